"""Strong pixels of a frame: those above the interpolated background (Kieffer et al. 2025, section 3)."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import AzimuthalBins
from fewphoton.kernels.strong_pixels import exceed_ring_limit, keep_strong, poisson_thresholds
from fewphoton.kernels.summed_excess import keep_summed_excess
from fewphoton.separation.background import Background, BackgroundFinder

COUNTING_MODELS = ("poisson", "hybrid", "poisson_tail")
"""Error models that take the variance of counts from their mean."""


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
    least, certain = bounds if dtype.kind != "u" else (np.maximum(bound, 0.0) for bound in bounds)
    if dtype.kind == "f":
        edge = np.float32(np.inf)
        return (
            np.append(np.nextafter(least.astype(np.float32), -edge), edge),
            np.append(np.nextafter(certain.astype(np.float32), edge), edge),
        )
    return _whole_limits(np.ceil(least)), _whole_limits(np.floor(certain) + 1)


def _whole_limits(limit: NDArray[np.float64]) -> NDArray[Any]:
    """Return limits for integer frames, int64, the last out of reach."""
    largest = 2.0**53
    return np.append(np.clip(limit, -largest, largest).astype(np.int64), np.int64(2**63 - 1))


def _just_below(limit: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return values that exactly those exceed who reach the limits, in the frame's type, which compares fastest.

    The last is the type's largest value, which gaps hold and nothing exceeds. Unsigned values cannot lie below a
    limit of 0 or less; a strong pixel holds a photon at least, so 0 serves there.
    """
    if dtype.kind == "f":
        return np.append(np.nextafter(limit[:-1], -np.float32(np.inf)), np.float32(np.inf)).astype(np.float32)
    low, high = (int(end) for end in (np.iinfo(dtype).min, np.iinfo(dtype).max))
    return np.append(np.clip(limit[:-1] - 1, low, high).astype(dtype), np.array(high, dtype=dtype))


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
    n_near = exceed_ring_limit(values, bins.bin_of_pixel, _just_below(least, values.dtype), picked)
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


def steepest(curve: NDArray[np.float64], bins: AzimuthalBins) -> float:
    """Return the largest difference of a curve between pixels that touch in a row or column."""
    n_rings = min(int(bins.pixel_step / bins.step) + 2, len(curve) - 1)
    return float(max((np.abs(curve[k:] - curve[:-k]).max() for k in range(1, n_rings + 1)), default=0.0))


def summed_excess(
    finder: BackgroundFinder, values: NDArray[Any], background: Background, false_probability: float
) -> NDArray[np.uint32]:
    """Return the pixels whose 3 x 3 sum background gives with a smaller probability, uint32, increasing.

    A weak spot spreads its photons over a few pixels, none of which need stand out; their sum does. Counts go by
    Poisson's distribution, whatever the error model's name; corrected values, and frames clipped by their scatter, by
    the normal one.

    Parameters
    ----------
    finder, values, background
        See :func:`strong_pixels`.
    false_probability : float
        Probability, for one pixel, to be listed by chance.
    """
    bins, noise = finder.bins, finder.config.noise
    counts = finder.plain and finder.dtype.kind in "iu" and finder.config.error_model in COUNTING_MODELS
    deviations = float(NormalDist().inv_cdf(1 - false_probability))
    expected = background.mean
    if counts:
        # A ring of few pixels without a count does not prove that there is no background: one more is allowed for.
        n_kept = background.n_kept
        expected = expected + np.where(n_kept > 0, 1.0 / np.maximum(n_kept, 1.0), 0.0)
    mean, std = (np.pad(curve, 1, mode="edge") for curve in (expected, background.std))
    least_mean = np.minimum(np.minimum(mean[:-2], mean[1:-1]), mean[2:])
    least_std = np.minimum(np.minimum(std[:-2], std[1:-1]), std[2:])
    if counts:
        least = np.empty(bins.n_bins)
        poisson_thresholds(9 * np.maximum(least_mean, 0.0), false_probability, least)
    else:
        least = 9 * least_mean + 3 * deviations * np.hypot(least_std, noise)
    # Neighbours may lie in the next ring but one: rings are about as wide as pixels, so a little is allowed for.
    least = np.minimum(np.minimum(np.pad(least, 1, mode="edge")[:-2], least), np.pad(least, 1, mode="edge")[2:])
    ninth = np.ceil(least / 9) if values.dtype.kind in "iu" else least / 9
    if values.dtype.kind == "f":
        limit: NDArray[Any] = np.append(np.nextafter(ninth.astype(np.float32), -np.inf), np.inf).astype(np.float32)
    else:
        limit = _whole_limits(ninth)
    picked = np.empty(len(values), dtype=np.uint32)
    n_near = exceed_ring_limit(values, bins.bin_of_pixel, _just_below(limit, values.dtype), picked)
    n_kept = keep_summed_excess(
        values,
        bins.frame_shape[1],
        picked[:n_near],
        bins.bin_of_pixel,
        bins.radius,
        float(bins.centres[0]),
        bins.step,
        expected,
        background.std,
        np.append(least, np.inf),
        steepest(expected, bins),
        noise,
        false_probability if counts else 0.0,
        deviations,
    )
    return picked[:n_kept].copy()
