"""Statistics of raw values over frames, gathered a chunk of frames at a time: peaks, moments, histograms."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

_TILE_PIXELS = 2048
_PRIVATE_HISTOGRAMS = 8


@numba.njit(cache=True, parallel=True)
def median_and_spread(
    frames: NDArray[np.generic],
    smallest_valid: np.generic,
    largest_valid: np.generic,
    median: NDArray[np.float64],
    spread: NDArray[np.float64],
) -> None:
    """Fill the median, and the median absolute deviation, of each pixel over a few frames.

    Cost: one strided read and two selections over the frames a pixel.

    Parameters
    ----------
    frames : ndarray of integers or floats, `(n_frames, n_pixels)`
        Raw values.
    smallest_valid, largest_valid : scalar of the same type
        Values outside, and NaN, are left out.
    median, spread : ndarray of float64, `(n_pixels,)`
        Filled; NaN for pixels without a valid value.
    """
    n_frames, n_pixels = frames.shape
    for tile in numba.prange((n_pixels + _TILE_PIXELS - 1) // _TILE_PIXELS):
        held = np.empty(n_frames, dtype=np.float64)
        for p in range(tile * _TILE_PIXELS, min((tile + 1) * _TILE_PIXELS, n_pixels)):
            n_valid = 0
            for d in range(n_frames):
                value = frames[d, p]
                if value >= smallest_valid and value <= largest_valid:
                    held[n_valid] = value
                    n_valid += 1
            if n_valid == 0:
                median[p] = np.nan
                spread[p] = np.nan
                continue
            centre = np.median(held[:n_valid])
            median[p] = centre
            spread[p] = np.median(np.abs(held[:n_valid] - centre))


@numba.njit(cache=True, parallel=True)
def add_moments_inside(
    frames: NDArray[np.generic],
    smallest_valid: np.generic,
    largest_valid: np.generic,
    centre: NDArray[np.float64],
    half_width: NDArray[np.float64],
    n_inside: NDArray[np.int64],
    total: NDArray[np.float64],
    total_squared: NDArray[np.float64],
) -> None:
    """Add to each pixel's moments about its centre the values that lie within a half width of it.

    Cost: one read a value and 24 + 16 bytes of sums a pixel and chunk, kept in the cache by tiles; about six operations
    a value.

    Parameters
    ----------
    frames : ndarray of integers or floats, `(n_frames, n_pixels)`
        Raw values.
    smallest_valid, largest_valid : scalar of the same type
        Values outside, and NaN, are left out.
    centre, half_width : ndarray of float64, `(n_pixels,)`
        Window.
    n_inside : ndarray of int64, `(n_pixels,)`
        Number of values, added to.
    total, total_squared : ndarray of float64, `(n_pixels,)`
        Sums of (value - centre) and of its square, added to.
    """
    n_frames, n_pixels = frames.shape
    for tile in numba.prange((n_pixels + _TILE_PIXELS - 1) // _TILE_PIXELS):
        for d in range(n_frames):
            for p in range(tile * _TILE_PIXELS, min((tile + 1) * _TILE_PIXELS, n_pixels)):
                value = frames[d, p]
                away = np.float64(value) - centre[p]
                if abs(away) <= half_width[p] and value >= smallest_valid and value <= largest_valid:
                    n_inside[p] += 1
                    total[p] += away
                    total_squared[p] += away * away


@numba.njit(cache=True, parallel=True)
def add_panel_histograms(
    frames: NDArray[np.generic],
    centre: NDArray[np.float64],
    panel: NDArray[np.int32],
    usable: NDArray[np.bool_],
    smallest_valid: np.generic,
    largest_valid: np.generic,
    low: float,
    bin_width: float,
    counts: NDArray[np.int64],
) -> None:
    """Add (value - centre) of the usable pixels to a histogram of each panel.

    Cost: one read a value, one multiplication, one scattered addition.

    Parameters
    ----------
    frames : ndarray of integers or floats, `(n_frames, n_pixels)`
        Raw values.
    centre : ndarray of float64, `(n_pixels,)`
        Subtracted.
    panel : ndarray of int32, `(n_pixels,)`
        Panel of each pixel.
    usable : ndarray of bool, `(n_pixels,)`
        Pixels that enter.
    smallest_valid, largest_valid : scalar of the frames' type
        Values outside, and NaN, are left out.
    low, bin_width : float
        Lower edge of the first bin and width of the bins; values beyond the bins are left out.
    counts : ndarray of int64, `(n_panels, n_bins)`
        Added to.
    """
    n_frames, n_pixels = frames.shape
    n_panels, n_bins = counts.shape
    private = np.zeros((_PRIVATE_HISTOGRAMS, n_panels, n_bins), dtype=np.int64)
    for part in numba.prange(_PRIVATE_HISTOGRAMS):
        for d in range(part, n_frames, _PRIVATE_HISTOGRAMS):
            for p in range(n_pixels):
                value = frames[d, p]
                if usable[p] and value >= smallest_valid and value <= largest_valid:
                    place = np.floor((np.float64(value) - centre[p] - low) / bin_width)
                    if place >= 0 and place < n_bins:
                        private[part, panel[p], int(place)] += 1
    for part in range(_PRIVATE_HISTOGRAMS):
        counts += private[part]
