"""Sigma-clipping of values of any kind, with weights, after one pass that sorts a frame by ring.

The rings of a frame lie scattered over its rows. Copied once into ring order, each ring fits into the first cache, and
further passes over it stream at full width. Kieffer et al. 2025 (signal separation), equations 2, 6, 12-14, 19, 20.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from fewphoton.kernels.ring_clipping import (
    AZIMUTHAL,
    HYBRID,
    POISSON_TAIL,
    chauvenet_cutoff,
    likely_counts,
)

_SUMS = {"reassoc", "contract", "nsz"}
"""Lets sums run several at a time; NaN and infinity keep their meaning, unlike under full fastmath."""


@numba.njit(cache=True, nogil=True)
def sort_by_ring(values: NDArray[Any], place: NDArray[np.uint32], ring_sorted: NDArray[np.float32]) -> None:
    """Copy a frame into ring order: ``ring_sorted[place[i]] = values[i]``.

    Reads 4 bytes of place and the value of each pixel, and writes 4 bytes to one of as many streams as there are
    rings.

    Parameters
    ----------
    values : ndarray, `(n_pixels,)`
        Frame.
    place : ndarray of uint32, `(n_pixels,)`
        Where each pixel goes; all pixels without a ring share the last place.
    ring_sorted : ndarray of float32, `(n_used + 1,)`
        Filled.
    """
    for pixel in range(len(values)):
        ring_sorted[place[pixel]] = values[pixel]


@numba.njit(cache=True, nogil=True)
def sort_counts_by_ring(
    values: NDArray[Any],
    place: NDArray[np.uint32],
    smallest_valid: int,
    largest_valid: int,
    ring_sorted: NDArray[np.float32],
) -> None:
    """Copy a frame of integers into ring order with NaN for bad reads; see :func:`sort_by_ring`."""
    for pixel in range(len(values)):
        value = values[pixel]
        good = (value >= smallest_valid) & (value <= largest_valid)
        ring_sorted[place[pixel]] = np.float32(value) if good else np.float32(np.nan)


@numba.njit(cache=True, nogil=True)
def correct_frame(
    raw: NDArray[Any],
    dark: NDArray[np.float32],
    normalization: NDArray[np.float32],
    smallest_valid: float,
    largest_valid: float,
    corrected: NDArray[np.float32],
) -> None:
    """Apply equation 1: ``(raw - dark) / normalization``, NaN for bad reads and without a positive normalization.

    Parameters
    ----------
    raw : ndarray, `(n_pixels,)`
        Frame.
    dark, normalization : ndarray of float32, `(n_pixels,)` or `(0,)`
        Empty: 0 and 1 everywhere.
    smallest_valid, largest_valid : float
        Values outside, and NaN, are bad reads.
    corrected : ndarray of float32, `(n_pixels,)`
        Filled.
    """
    for pixel in range(len(raw)):
        value = np.float64(raw[pixel])
        if not smallest_valid <= value <= largest_valid:
            corrected[pixel] = np.nan
            continue
        if len(dark):
            value -= dark[pixel]
        if len(normalization) == 0:
            corrected[pixel] = value
        else:
            # Masked pixels may have a normalization of 0.
            corrected[pixel] = value / normalization[pixel] if normalization[pixel] > 0.0 else np.nan


@numba.njit(cache=True, nogil=True)
def _inner(low: float, high: float) -> tuple[np.float32, np.float32]:
    """Return float32 bounds that keep exactly the float32 values inside the given ones."""
    least, most = np.float32(low), np.float32(high)
    if np.float64(least) < low:
        least = np.nextafter(least, np.float32(np.inf))
    if np.float64(most) > high:
        most = np.nextafter(most, np.float32(-np.inf))
    return least, most


@numba.njit(cache=True, nogil=True, fastmath=_SUMS)
def _kept_plain(signal, low, high):  # type: ignore[no-untyped-def]
    n = np.int64(0)
    total = 0.0
    variance = 0.0
    for i in range(len(signal)):
        value = signal[i]
        keep = (value >= low) & (value <= high)
        n += np.int64(keep)
        total += np.float64(value) if keep else 0.0
        variance += np.float64(max(value, np.float32(1.0))) if keep else 0.0
    return n, total, variance


@numba.njit(cache=True, nogil=True, fastmath=_SUMS)
def _squares_plain(signal, low, high, mean):  # type: ignore[no-untyped-def]
    squares = 0.0
    for i in range(len(signal)):
        value = signal[i]
        deviation = np.float64(value) - mean
        squares += deviation * deviation if (value >= low) & (value <= high) else 0.0
    return squares


@numba.njit(cache=True, nogil=True, fastmath=_SUMS)
def _kept_weighted(corrected, variance_of, variance_floor, norm, low, high):  # type: ignore[no-untyped-def]
    n = np.int64(0)
    total = 0.0
    variance = 0.0
    weight = 0.0
    weight2 = 0.0
    for i in range(len(corrected)):
        value = corrected[i]
        keep = (value >= low) & (value <= high)
        n += np.int64(keep)
        total += np.float64(value) * np.float64(norm[i]) if keep else 0.0
        variance += np.float64(max(variance_of[i], variance_floor)) if keep else 0.0
        weight += np.float64(norm[i]) if keep else 0.0
        weight2 += np.float64(norm[i]) * np.float64(norm[i]) if keep else 0.0
    return n, total, variance, weight, weight2


@numba.njit(cache=True, nogil=True, fastmath=_SUMS)
def _kept_weighted_counts(corrected, variance_floor, norm, low, high):  # type: ignore[no-untyped-def]
    """Do what :func:`_kept_weighted` does where the variance is the signal's: 4 bytes less a pixel, and no sorting."""
    n = np.int64(0)
    total = 0.0
    variance = 0.0
    weight = 0.0
    weight2 = 0.0
    for i in range(len(corrected)):
        value = corrected[i]
        keep = (value >= low) & (value <= high)
        share = np.float64(norm[i])
        signal = np.float64(value) * share
        n += np.int64(keep)
        total += signal if keep else 0.0
        variance += max(signal, variance_floor) if keep else 0.0
        weight += share if keep else 0.0
        weight2 += share * share if keep else 0.0
    return n, total, variance, weight, weight2


@numba.njit(cache=True, nogil=True, fastmath=_SUMS)
def _squares_weighted(corrected, norm, low, high, mean):  # type: ignore[no-untyped-def]
    squares = 0.0
    for i in range(len(corrected)):
        value = corrected[i]
        deviation = (np.float64(value) - mean) * np.float64(norm[i])
        squares += deviation * deviation if (value >= low) & (value <= high) else 0.0
    return squares


@numba.njit(cache=True, nogil=True)
def _ring_statistics(corrected, variance_of, variance_floor, norm, with_squares, low, high):  # type: ignore[no-untyped-def]
    """Return number, mean, variance by summing and by scatter of the kept values (equations 2, 3 and 6)."""
    least, most = _inner(low, high)
    squares = 0.0
    if len(norm) == 0:
        n, total, variance = _kept_plain(corrected, least, most)
        weight, weight2 = np.float64(n), np.float64(n)
    elif len(variance_of) == 0:
        floor = np.float64(variance_floor)
        n, total, variance, weight, weight2 = _kept_weighted_counts(corrected, floor, norm, least, most)
    else:
        n, total, variance, weight, weight2 = _kept_weighted(corrected, variance_of, variance_floor, norm, least, most)
    if n == 0:
        return 0, np.nan, np.nan, np.nan
    mean = total / weight
    if with_squares:
        if len(norm) == 0:
            squares = _squares_plain(corrected, least, most, mean)
        else:
            squares = _squares_weighted(corrected, norm, least, most, mean)
    return n, mean, variance / weight2, squares / weight2


@numba.njit(cache=True, nogil=True)
def clip_ring_sorted(
    corrected: NDArray[np.float32],
    variance_of: NDArray[np.float32],
    variance_floor: float,
    norm: NDArray[np.float32],
    ring_ptr: NDArray[np.int64],
    error_model: int,
    cutoff: float,
    n_cycles: int,
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
    n_kept: NDArray[np.float64],
) -> int:
    """Clip every ring of a ring-sorted frame.

    A pass over a pixel costs 4 bytes from cache (8 or 12 with weights) and about ten operations, eight pixels at a
    time; azimuthal standard deviations take a second pass.

    Parameters
    ----------
    corrected : ndarray of float32, `(n_used + 1,)`
        Signal over normalization (equation 1), by ring; NaN for bad reads.
    variance_of : ndarray of float32, `(n_used + 1,)` or `(0,)`
        What the variance of a pixel is: raw counts for Poisson, or the given variance. Empty: the signal's own value,
        which is the raw count where no dark was subtracted. Not read without ``norm``.
    variance_floor : float
        Variances below are raised to it: 1 for Poisson, 0 for given ones.
    norm : ndarray of float32, `(n_used + 1,)` or `(0,)`
        Normalization of equation 1; empty: 1 everywhere, and the variance is that of the signal.
    ring_ptr : ndarray of int64, `(n_bins + 1,)`
        Ring ``r`` owns ``ring_ptr[r]`` to ``ring_ptr[r + 1] - 1``.
    error_model, cutoff, n_cycles, mean, std, n_kept
        See :func:`fewphoton.kernels.ring_clipping.clip_histograms`; GIVEN_VARIANCE goes by ``variance_of``.

    Returns
    -------
    int
        Largest number of passes that discarded something.
    """
    floor = np.float32(variance_floor)
    clip_by_squares = error_model in (AZIMUTHAL, HYBRID)
    deepest = 0
    for ring in range(len(ring_ptr) - 1):
        part = slice(ring_ptr[ring], ring_ptr[ring + 1])
        values = corrected[part]
        raw = variance_of[part] if len(variance_of) else variance_of
        weights = norm[part] if len(norm) else norm
        low, high = -np.inf, np.inf
        n, centre, variance, squares = _ring_statistics(values, raw, floor, weights, clip_by_squares, low, high)
        passes = 0
        while n > 0 and passes < n_cycles:
            if error_model == POISSON_TAIL:
                least, most = likely_counts(centre, np.float64(n), cutoff)
                low, high = max(low, least), min(high, most)
            else:
                sigma = math.sqrt(squares if clip_by_squares else variance)
                reach = max(cutoff, chauvenet_cutoff(np.float64(n))) * sigma
                low, high = max(low, centre - reach), min(high, centre + reach)
            before = n
            n, centre, variance, squares = _ring_statistics(values, raw, floor, weights, clip_by_squares, low, high)
            if n == before:
                break
            passes += 1
        deepest = max(deepest, passes)
        n_kept[ring] = n
        mean[ring] = centre
        if error_model == AZIMUTHAL:
            std[ring] = math.sqrt(squares)
        elif error_model == POISSON_TAIL:
            std[ring] = math.sqrt(max(centre, 0.0))
        else:
            std[ring] = math.sqrt(variance)
    return deepest
