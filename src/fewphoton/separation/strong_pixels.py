"""Strong pixels of a frame: those above the interpolated background (Kieffer et al. 2025, section 3)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.kernels.strong_pixels import keep_strong, poisson_thresholds, reach_ring_limit
from fewphoton.separation.background import Background, BackgroundFinder


def normal_tail(cutoff: float) -> float:
    """Share of a normal distribution above ``cutoff`` standard deviations."""
    return 0.5 * math.erfc(cutoff / math.sqrt(2.0))


def ring_limits(
    background: Background, dtype: np.dtype[Any], cutoff: float, noise: float, floor: float, tail: float
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return values that every strong pixel of a ring reaches, and values from which on every pixel is strong.

    A pixel's background is interpolated between two ring centres, so smallest and largest over a ring and its
    neighbours are bounds. Both `(n_bins + 1,)`, the last entry out of reach; integers for integer frames.
    """
    bounds: list[NDArray[Any]] = []
    for choose in (np.minimum, np.maximum):
        mean, std = (
            choose(choose(padded[:-2], padded[1:-1]), padded[2:])
            for padded in (np.pad(curve, 1, mode="edge") for curve in (background.mean, background.std))
        )
        if tail > 0:
            limit = np.empty(len(mean))
            poisson_thresholds(np.maximum(mean, 0.0), tail, limit)
        else:
            limit = mean + np.maximum(floor, cutoff * np.hypot(std, noise))
        bounds.append(limit)
    least, certain = bounds
    if dtype.kind == "f":
        edge = np.float32(np.inf)
        return (
            np.append(np.nextafter(least.astype(np.float32), -edge), edge),
            np.append(np.nextafter(certain.astype(np.float32), edge), edge),
        )
    largest = 2.0**53
    out_of_reach = np.iinfo(np.int64).max
    return (
        np.append(np.ceil(np.clip(least, -largest, largest)).astype(np.int64), out_of_reach),
        np.append(np.floor(np.clip(certain, -largest, largest)).astype(np.int64) + 1, out_of_reach),
    )


def strong_pixels(
    finder: BackgroundFinder,
    values: NDArray[Any],
    background: Background,
    cutoff: float,
    *,
    floor: float = 0.0,
    inclusive: bool = False,
) -> NDArray[np.uint32]:
    """Return the pixels above ``mean + max(floor, cutoff * hypot(std, noise))``, uint32, increasing.

    With the error model ``poisson_tail`` a pixel is strong where background counts alone would reach its value with
    the probability that a normal distribution has beyond the cut-off, or less.

    Parameters
    ----------
    finder : BackgroundFinder
        Rings, error model and noise.
    values : ndarray, `(n_pixels,)`
        Corrected frame, or the raw one where no correction is made.
    background : Background
        Of that frame.
    cutoff : float
        In standard deviations.
    floor : float
        Smallest excess of a strong pixel.
    inclusive : bool
        The limit itself counts as above.
    """
    tail = normal_tail(cutoff) if finder.config.error_model == "poisson_tail" else 0.0
    noise = finder.config.noise
    smallest, largest = finder.smallest, finder.largest
    if not finder.plain:
        # The corrected frame carries NaN for bad reads, and its values may leave the raw ones' range.
        smallest, largest = -np.inf, np.inf
    picked = np.empty(len(values), dtype=np.uint32)
    bins = finder.bins
    least, certain = ring_limits(background, values.dtype, cutoff, noise, floor, tail)
    n_near = reach_ring_limit(values, bins.bin_of_pixel, least, picked)
    n_strong = keep_strong(
        values,
        picked[:n_near],
        bins.radius,
        float(bins.centres[0]),
        bins.step,
        background.mean,
        background.std,
        certain,
        bins.bin_of_pixel,
        noise,
        cutoff,
        floor,
        tail,
        inclusive,
        smallest,
        largest,
    )
    return picked[:n_strong].copy()
