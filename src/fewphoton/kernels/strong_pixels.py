"""Pixels that stand out of a background given as curves over the radius."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from fewphoton.kernels.ring_clipping import far_above


@numba.njit(cache=True, nogil=True)
def between_rings(radius: float, first_centre: float, step: float, n_bins: int) -> tuple[int, float]:
    """Return the ring whose centre lies at or below a radius, and the weight of the next one.

    Below the first centre and above the last one the weight is such that curves stay constant.
    """
    position = (np.float64(radius) - first_centre) / step
    if position <= 0.0 or n_bins == 1:
        return 0, 0.0
    left = int(position)
    if left >= n_bins - 1:
        return n_bins - 2, 1.0
    return left, position - left


@numba.njit(cache=True, nogil=True)
def poisson_upper_tail(value: float, mean: float) -> float:
    """Return ``P(X >= value)`` of a Poisson variable; summed from ``value`` up until terms vanish."""
    if value <= 0.0:
        return 1.0
    if mean <= 0.0:
        return 0.0
    count = float(np.ceil(value))
    term = math.exp(count * math.log(mean) - mean - math.lgamma(count + 1.0))
    if count <= mean:
        # Below the mean the lower tail is the shorter sum.
        below = 0.0
        while count > 0.0 and term > 0.0:
            term *= count / mean
            count -= 1.0
            below += term
        return 1.0 - below
    total = 0.0
    while term > 1e-18 * total:
        total += term
        count += 1.0
        term *= mean / count
    return total


@numba.njit(cache=True, nogil=True)
def poisson_threshold(mean: float, tail: float) -> float:
    """Return the smallest count that Poisson noise reaches with a probability of at most ``tail``."""
    if tail >= 1.0:
        return 0.0
    if mean <= 0.0:
        return 1.0
    # From above, where tails keep their digits and high means cost no more than their spread.
    count, probability = far_above(mean, max(tail, 1e-200))
    above = 0.0
    while count >= 0 and above + probability <= tail:
        above += probability
        probability *= count / mean
        count -= 1
    return float(count + 1)


@numba.njit(cache=True, nogil=True)
def poisson_thresholds(mean: NDArray[np.float64], tail: float, threshold: NDArray[np.float64]) -> None:
    """Fill :func:`poisson_threshold` of every mean, `(n,)`."""
    for place in range(len(mean)):
        threshold[place] = poisson_threshold(mean[place], tail)


@numba.njit(cache=True, nogil=True)
def exceed_ring_limit(
    frame: NDArray[Any], bin_of_pixel: NDArray[np.uint16], ring_limit: NDArray[Any], picked: NDArray[np.uint32]
) -> int:
    """List the pixels above the limit of their ring; return their number.

    One streaming pass: the pixel's bytes, 2 bytes of ring number, one look-up and one comparison, which is nearly
    always predicted right.

    Parameters
    ----------
    frame : ndarray, `(n_pixels,)`
        Frame; NaN is above nothing.
    bin_of_pixel : ndarray of uint16, `(n_pixels,)`
        Ring of each pixel, ``n_bins`` for none.
    ring_limit : ndarray, `(n_bins + 1,)`
        Limits, best of the frame's own type; the last is its largest value, which nothing exceeds.
    picked : ndarray of uint32, `(n_pixels,)`
        Filled, increasing.
    """
    n_picked = 0
    for pixel in range(len(frame)):
        if frame[pixel] > ring_limit[bin_of_pixel[pixel]]:
            picked[n_picked] = pixel
            n_picked += 1
    return n_picked


@numba.njit(cache=True, nogil=True)
def keep_strong(
    frame: NDArray[Any],
    picked: NDArray[np.uint32],
    radius: NDArray[np.float32],
    first_centre: float,
    step: float,
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
    ring_certain: NDArray[Any],
    bin_of_pixel: NDArray[np.uint16],
    noise: float,
    cutoff: float,
    floor: float,
    tail: float,
    inclusive: bool,
    smallest_valid: float,
    largest_valid: float,
) -> int:
    """Keep, in place, the listed pixels that lie above the interpolated background; return their number.

    Most listed pixels also reach the largest limit near their ring, and cost a look-up; the others meet the
    interpolated curves, about 40 operations a pixel.

    Parameters
    ----------
    frame : ndarray, `(n_pixels,)`
        Corrected frame (signal over normalization); the raw one where that is the same.
    picked : ndarray of uint32, `(n,)`
        Pixels in rings.
    radius, first_centre, step
        See :class:`fewphoton.data.AzimuthalBins`.
    mean, std : ndarray of float64, `(n_bins,)`
        Background, finite in all rings.
    ring_certain : ndarray, `(n_bins + 1,)`
        Value from which on every pixel of a ring is strong.
    bin_of_pixel : ndarray of uint16, `(n_pixels,)`
        Ring of each pixel.
    noise, cutoff, floor : float
        A pixel is strong above ``mean + max(floor, cutoff * hypot(std, noise))``.
    tail : float
        Where positive, a pixel is strong instead where Poisson noise of the mean reaches its count with at most this
        probability.
    inclusive : bool
        The limit itself counts as above.
    smallest_valid, largest_valid : float
        Values outside are bad reads, never strong.
    """
    n_bins = len(mean)
    n_kept = 0
    for pixel in picked:
        value = np.float64(frame[pixel])
        if not smallest_valid <= value <= largest_valid:
            continue
        if frame[pixel] >= ring_certain[bin_of_pixel[pixel]]:
            picked[n_kept] = pixel
            n_kept += 1
            continue
        left, share = between_rings(radius[pixel], first_centre, step, n_bins)
        right = min(left + 1, n_bins - 1)
        background = mean[left] * (1.0 - share) + mean[right] * share
        if tail > 0.0:
            strong = poisson_upper_tail(value, background) <= tail
        else:
            spread = std[left] * (1.0 - share) + std[right] * share
            limit = max(floor, cutoff * math.sqrt(spread * spread + noise * noise))
            excess = value - background
            strong = excess > limit or (inclusive and excess == limit and excess > 0.0)
        if strong:
            picked[n_kept] = pixel
            n_kept += 1
    return n_kept
