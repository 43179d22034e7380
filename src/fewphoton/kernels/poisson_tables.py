"""Poisson counts of many pixels from few different means: one table look-up a pixel, at any mean."""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

GUIDE_BITS = 8
"""Leading bits of a random word that choose where the search in a cumulative table starts."""


@numba.njit(cache=True, parallel=True)
def poisson_tables(
    mean: NDArray[np.float64],
    first_count: NDArray[np.int64],
    threshold: NDArray[np.uint32],
    guide: NDArray[np.uint16],
) -> None:
    """Tabulate cumulative Poisson probabilities in units of 2⁻³² for :func:`draw_poisson`.

    Terms are built by recursion outwards from the most probable count, so that no mean underflows. Per mean one
    log-gamma, two operations and 12 bytes a column, and 256 short steps for the guide.

    Parameters
    ----------
    mean : ndarray of float64, `(n_levels,)`
        Expected counts, not negative.
    first_count : ndarray of int64, `(n_levels,)`
        Count of the first column; at most the most probable count ``floor(mean)``, which must have a column.
    threshold : ndarray of uint32, `(n_levels, n_columns)`
        Filled: a random word draws the first column whose threshold it does not exceed. Tails less probable than
        2⁻³² are cut; the last column is the largest word, so every search ends.
    guide : ndarray of uint16, `(n_levels, 256)`
        Filled: the column drawn by the smallest word with the given leading 8 bits.
    """
    n_columns = threshold.shape[1]
    for level in numba.prange(mean.shape[0]):
        value = mean[level]
        first = first_count[level]
        probability = np.zeros(n_columns)
        mode = int(value)
        if value > 0.0:
            probability[mode - first] = math.exp(mode * math.log(value) - value - math.lgamma(mode + 1.0))
            for column in range(mode - first, 0, -1):
                probability[column - 1] = probability[column] * (first + column) / value
            for column in range(mode - first, n_columns - 1):
                probability[column + 1] = probability[column] * value / (first + column + 1.0)
        else:
            probability[0] = 1.0
        below = 0.0
        for column in range(n_columns):
            below += probability[column]
            word = math.ceil(below * 4294967296.0) - 1.0
            threshold[level, column] = np.uint32(min(max(word, 0.0), 4294967295.0))
        threshold[level, n_columns - 1] = np.uint32(4294967295)
        column = 0
        for leading in range(guide.shape[1]):
            smallest = np.uint32(leading << (32 - GUIDE_BITS))
            while smallest > threshold[level, column]:
                column += 1
            guide[level, leading] = column


@numba.njit(cache=True, parallel=True)
def draw_poisson(
    level: NDArray[np.uint16],
    first_count: NDArray[np.int64],
    threshold: NDArray[np.uint32],
    guide: NDArray[np.uint16],
    word: NDArray[np.uint32],
    largest_count: int,
    masked_value: int,
    counts: NDArray[np.uint32],
) -> None:
    """Turn one random word a pixel into a Poisson count by inverting its level's cumulative table.

    Per pixel 6 bytes streamed in, the count out, and two or three table reads that stay in cache, at any mean.

    Parameters
    ----------
    level : ndarray of uint16, `(n_pixels,)`
        Row of the tables; any number beyond them marks a masked pixel.
    first_count, threshold, guide
        From :func:`poisson_tables`.
    word : ndarray of uint32, `(n_pixels,)`
        Uniform random words.
    largest_count : int
        Counts end here.
    masked_value : int
        What masked pixels get.
    counts : ndarray of unsigned integers, `(n_pixels,)`
        Filled.
    """
    n_levels = threshold.shape[0]
    for p in numba.prange(counts.shape[0]):
        row = level[p]
        if row >= n_levels:
            counts[p] = masked_value
            continue
        column = int(guide[row, word[p] >> np.uint32(32 - GUIDE_BITS)])
        while word[p] > threshold[row, column]:
            column += 1
        counts[p] = min(first_count[row] + column, largest_count)
