"""EMC where each frame has its own list of orientations: log-likelihoods, probabilities and views of listed pairs.

Pairs of frame and orientation stand in two orders. By frame, the sums of one frame run over neighbours in memory; by
orientation, one view serves all frames that list it and stays in cache while their few photons are looked up in it.
``place`` leads from the second order to the first. Sums have a fixed order, and every pair, frame or view belongs to
one thread: no result depends on the number of threads, to the last bit.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numba import prange
from numpy.typing import NDArray


@numba.njit(cache=True, parallel=True)
def listed_log_likelihoods(
    first: int,
    view_log: NDArray[np.float32],
    expected: NDArray[np.float64],
    by_orientation: NDArray[np.int64],
    frame: NDArray[np.int32],
    place: NDArray[np.int64],
    indptr: NDArray[np.int64],
    pixel: NDArray[np.int32],
    count: NDArray[np.float32],
    value: NDArray[np.float64],
) -> None:
    """Write the log-likelihood of each pair whose orientation is one of a tile.

    Per pair and photon one look-up in a view of 4 bytes a pixel, which fits the second cache, and one multiply-add.

    Parameters
    ----------
    first : int
        Number of the tile's first orientation.
    view_log : ndarray of float32, `(n_tile, n_pixels)`
        Log intensity of each view, 0 for pixels that do not enter the likelihood.
    expected : ndarray of float64, `(n_tile,)`
        Expected photons of each view.
    by_orientation : ndarray of int64, `(n_orientations + 1,)`
        Where the pairs of each orientation begin.
    frame : ndarray of int32, `(n_pairs,)`
        Frame of each pair in this order.
    place : ndarray of int64, `(n_pairs,)`
        Its place in the order by frame.
    indptr, pixel, count
        Photons by frame: row pointers int64 `(n_frames + 1,)`, pixel rows int32 and counts float32 `(n_hits,)`.
    value : ndarray of float64, `(n_pairs,)`
        Filled, in the order by frame, for the pairs of the tile.
    """
    for r in prange(len(view_log)):
        view = view_log[r]
        for pair in range(by_orientation[first + r], by_orientation[first + r + 1]):
            d = frame[pair]
            total = -expected[r]
            for hit in range(indptr[d], indptr[d + 1]):
                total += np.float64(count[hit]) * np.float64(view[pixel[hit]])
            value[place[pair]] = total


@numba.njit(cache=True, parallel=True)
def listed_maxima(by_frame: NDArray[np.int64], value: NDArray[np.float64], maximum: NDArray[np.float64]) -> None:
    """Write the largest value of each frame's pairs, minus infinity for frames without any; 8 bytes read a pair.

    Parameters
    ----------
    by_frame : ndarray of int64, `(n_frames + 1,)`
        Where the pairs of each frame begin.
    value : ndarray of float64, `(n_pairs,)`
        In the order by frame.
    maximum : ndarray of float64, `(n_frames,)`
        Filled.
    """
    for d in prange(len(maximum)):
        largest = -np.inf
        for pair in range(by_frame[d], by_frame[d + 1]):
            largest = max(largest, value[pair])
        maximum[d] = largest


@numba.njit(cache=True, parallel=True)
def listed_exponentials(
    by_frame: NDArray[np.int64],
    orientation: NDArray[np.int32],
    log_prior: NDArray[np.float64],
    beta: float,
    maximum: NDArray[np.float64],
    value: NDArray[np.float64],
    sums: NDArray[np.float64],
) -> None:
    """Replace log-likelihoods by ``e = prior * exp(beta * (value - maximum))``, and sum them over each frame.

    One exponential a pair.

    Parameters
    ----------
    by_frame : ndarray of int64, `(n_frames + 1,)`
        Where the pairs of each frame begin.
    orientation : ndarray of int32, `(n_pairs,)`
        Orientation of each pair.
    log_prior : ndarray of float64, `(n_orientations,)`
        Logarithm of the orientation weights.
    beta : float
        Exponent of the likelihood.
    maximum : ndarray of float64, `(n_frames,)`
        Largest log-likelihood of each frame over all ranks.
    value : ndarray of float64, `(n_pairs,)`
        Overwritten.
    sums : ndarray of float64, `(n_frames, 3)`
        Filled with the sums of ``e``, ``e * log(e)`` and ``e * log(e / prior)``.
    """
    for d in prange(len(maximum)):
        total, total_log, total_gain = 0.0, 0.0, 0.0
        for pair in range(by_frame[d], by_frame[d + 1]):
            prior = log_prior[orientation[pair]]
            gain = beta * (value[pair] - maximum[d])
            e = math.exp(gain + prior)
            value[pair] = e
            total += e
            total_log += e * (gain + prior)
            total_gain += e * gain
        sums[d, 0] = total
        sums[d, 1] = total_log
        sums[d, 2] = total_gain


@numba.njit(cache=True, parallel=True)
def divide_listed(by_frame: NDArray[np.int64], mass: NDArray[np.float64], value: NDArray[np.float64]) -> None:
    """Divide the pairs of each frame by its ``mass`` `(n_frames,)`, in place; 0 for frames of no mass."""
    for d in prange(len(mass)):
        inverse = 1.0 / mass[d] if mass[d] > 0 else 0.0
        for pair in range(by_frame[d], by_frame[d + 1]):
            value[pair] *= inverse


@numba.njit(cache=True, parallel=True)
def listed_exposures(
    by_orientation: NDArray[np.int64],
    frame: NDArray[np.int32],
    place: NDArray[np.int64],
    probability: NDArray[np.float64],
    frame_weight: NDArray[np.float64],
    exposure: NDArray[np.float64],
) -> None:
    """Write the sum over its pairs of probability times ``frame_weight`` `(n_frames,)` for each orientation.

    Per pair one number gathered from the order by frame; other parameters as in :func:`listed_log_likelihoods`.
    """
    for r in prange(len(exposure)):
        total = 0.0
        for pair in range(by_orientation[r], by_orientation[r + 1]):
            total += probability[place[pair]] * frame_weight[frame[pair]]
        exposure[r] = total


@numba.njit(cache=True, parallel=True)
def listed_views(
    chosen: NDArray[np.int64],
    by_orientation: NDArray[np.int64],
    frame: NDArray[np.int32],
    place: NDArray[np.int64],
    probability: NDArray[np.float64],
    frame_weight: NDArray[np.float64],
    indptr: NDArray[np.int64],
    pixel: NDArray[np.int32],
    count: NDArray[np.float32],
    views: NDArray[np.float32],
) -> None:
    """Sum the photons of frames, times probability and ``frame_weight`` `(n_frames,)`, into the chosen views.

    Per pair and photon one multiply-add into a view of 4 bytes a pixel, which fits the second cache.

    Parameters
    ----------
    chosen : ndarray of int64, `(n_views,)`
        Orientations.
    by_orientation, frame, place, indptr, pixel, count
        As in :func:`listed_log_likelihoods`.
    probability : ndarray of float64, `(n_pairs,)`
        In the order by frame.
    views : ndarray of float32, `(n_views, n_pixels)`
        Filled.
    """
    for number in prange(len(chosen)):
        view = views[number]
        view[:] = 0.0
        r = chosen[number]
        for pair in range(by_orientation[r], by_orientation[r + 1]):
            d = frame[pair]
            share = np.float32(probability[place[pair]] * frame_weight[d])
            if share > 0.0:
                for hit in range(indptr[d], indptr[d + 1]):
                    view[pixel[hit]] += share * count[hit]
