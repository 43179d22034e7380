"""Frames that were read with a wrong offset: absurd photon totals, or a shifted level of the empty pixels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.photons.calibration import Calibration

_PROBE_PIXELS = 1024
_MIN_EMPTY_SHARE = 0.02


def total_limit(totals: NDArray[np.int64], max_total_sigma: float) -> float:
    """Return the photon total above which a frame is absurd: median plus so many robust sigmas, at least Poisson's."""
    median = float(np.median(totals))
    robust = 1.4826 * float(np.median(np.abs(totals - median)))
    return median + max_total_sigma * max(robust, math.sqrt(max(median, 1.0)))


class LevelProbe:
    """Measures how far the empty pixels of a frame lie from their calibrated offset.

    About a thousand usable pixels, evenly spread, are enough: their median is known to 0.04 of the read noise.

    Parameters
    ----------
    calibration : Calibration
        Offsets, noise, usable pixels.
    threshold_photons : float
        Values above the photon threshold are left out, so that photons do not shift the level.
    """

    def __init__(self, calibration: Calibration, threshold_photons: float) -> None:
        chosen = np.flatnonzero(calibration.usable & (calibration.read_noise_adu > 0))
        self._pixels = chosen[:: max(1, len(chosen) // _PROBE_PIXELS)]
        self._offset = calibration.offset_adu[self._pixels]
        self._noise = calibration.read_noise_adu[self._pixels]
        self._limit = threshold_photons * calibration.adu_per_photon[self._pixels] / self._noise

    def shifts(self, frames: NDArray[Any]) -> NDArray[np.float64]:
        """Median of (raw - offset) / noise over the empty pixels of each frame, float64 `(n_frames,)`.

        Infinity where fewer than 2 % of the pixels are below the photon threshold.
        """
        if len(self._pixels) == 0:
            return np.zeros(len(frames))
        signal = (frames[:, self._pixels].astype(np.float32) - self._offset) / self._noise
        signal[~(np.isfinite(signal) & (signal <= self._limit))] = np.inf
        signal.sort(axis=1)
        n_empty = np.isfinite(signal).sum(axis=1)
        row = np.arange(len(frames))
        middle = 0.5 * (signal[row, np.maximum(n_empty - 1, 0) // 2].astype(np.float64) + signal[row, n_empty // 2])
        return np.asarray(np.where(n_empty >= max(1, _MIN_EMPTY_SHARE * signal.shape[1]), middle, np.inf))
