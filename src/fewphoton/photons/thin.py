"""Binomial thinning: the counts of frames with fewer photons, as if the exposures had been shorter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from fewphoton.data import PhotonFrames
from fewphoton.errors import DataError

BLOCK_FRAMES = 4096
"""Frames that share a random stream; fixed, so that the result does not depend on how a file is read."""


def in_blocks(chunks: Iterable[PhotonFrames], block_frames: int = BLOCK_FRAMES) -> Iterator[PhotonFrames]:
    """Regroup chunks into blocks of a fixed number of frames (the last may be shorter)."""
    waiting: list[PhotonFrames] = []
    held = 0
    for chunk in chunks:
        waiting.append(chunk)
        held += chunk.n_frames
        if held >= block_frames:
            joined = PhotonFrames.concatenate(waiting)
            whole = held - held % block_frames
            for start in range(0, whole, block_frames):
                yield joined.take(slice(start, start + block_frames))
            waiting = [joined.take(slice(whole, held))] if whole < held else []
            held -= whole
    if held:
        yield PhotonFrames.concatenate(waiting)


def kept_fraction(photons_total: int, n_frames: int, photons_per_frame: float) -> float:
    """Return the probability with which each photon is kept.

    Raises
    ------
    DataError
        If the frames hold fewer photons than wanted.
    """
    mean = photons_total / n_frames if n_frames else 0.0
    if mean < photons_per_frame:
        raise DataError(
            f"cannot thin to {photons_per_frame} photons per frame: the frames hold {mean:.3g}; collapse more frames"
        )
    return photons_per_frame / mean


def thin(chunks: Iterable[PhotonFrames], fraction: float, seed: int) -> Iterator[PhotonFrames]:
    """Keep each photon with probability ``fraction``, independently.

    Poisson counts stay Poisson counts under thinning; copies thinned from one run are not independent of each other.

    Parameters
    ----------
    chunks : iterable of PhotonFrames
        All frames in order.
    fraction : float
        Probability, 0 to 1.
    seed : int
        Seed; blocks of a fixed number of frames have a random stream each, so chunks do not change the result.

    Yields
    ------
    PhotonFrames
        All frames in order, those without photons included.
    """
    for number, block in enumerate(in_blocks(chunks)):
        count = np.random.default_rng([seed, number]).binomial(block.count, fraction)
        frame = block.frame_numbers()[count > 0]
        yield PhotonFrames(
            np.searchsorted(frame, np.arange(block.n_frames + 1)).astype(np.int64),
            block.pixel[count > 0],
            count[count > 0].astype(np.uint32),
            block.n_pixels,
            block.table,
        )
