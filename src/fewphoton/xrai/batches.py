"""Which frames and pixels each step takes: functions of seed and step alone, so a run resumes where it was stopped."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.train_xrai import ScheduleConfig
from fewphoton.errors import DataError

_HELD_OUT, _ORDER, _PIXELS = 0, 1, 2


def _rng(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def held_out_split(n_frames: int, wanted: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide frames into those trained on and those held out, int64 arrays in rising order.

    Parameters
    ----------
    n_frames : int
        All frames.
    wanted : int
        Frames to hold out; a tenth of all at the most, but one at least.
    seed : int
        Which.

    Raises
    ------
    DataError
        If there are fewer than two frames.
    """
    if n_frames < 2:
        raise DataError(f"{n_frames} frame: at least two are needed, one to train on and one to hold out")
    n_held = max(1, min(wanted, n_frames // 10))
    held = np.sort(_rng(seed, _HELD_OUT).choice(n_frames, n_held, replace=False))
    return np.delete(np.arange(n_frames), held), held


class BatchOrder:
    """Frames of each step: pass after pass over all of them.

    Parameters
    ----------
    frames : ndarray of int64, `(n_frames,)`
        Frames to train on.
    schedule : ScheduleConfig
        Frames of a step, order.
    seed, start : int
        Seed, and number of the start; starts see frames in different orders.
    """

    def __init__(self, frames: NDArray[np.int64], schedule: ScheduleConfig, seed: int, start: int) -> None:
        self._frames, self._batch, self._seed, self._start = frames, schedule.batch_frames, seed, start
        self._shuffled = schedule.order == "shuffled"
        self._passed = functools.lru_cache(maxsize=2)(self._one_pass)

    def _one_pass(self, number: int) -> NDArray[np.int64]:
        if not self._shuffled:
            return self._frames
        return _rng(self._seed, _ORDER, self._start, number).permutation(self._frames)

    def frames(self, step: int) -> NDArray[np.int64]:
        """Return the frames of a step, `(batch_frames,)`; the step that ends a pass begins the next."""
        position = step * self._batch + np.arange(self._batch)
        number = position // len(self._frames)
        place = position % len(self._frames)
        return np.concatenate([self._passed(int(one))[place[number == one]] for one in np.unique(number)])


def chosen_pixels(n_candidates: int, wanted: int, seed: int, start: int, step: int) -> NDArray[np.int64]:
    """Draw ``wanted`` of the first ``n_candidates`` pixels for a step, each once, or all where there are no more."""
    if wanted >= n_candidates:
        return np.arange(n_candidates)
    return _rng(seed, _PIXELS, start, step).choice(n_candidates, wanted, replace=False, shuffle=False)
