"""Alias tables of the background's distribution in each ring (Walker 1977; set-up by Vose 1991)."""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

POISSON_COUNTS, NEGATIVE_BINOMIAL, ROUNDED_NORMAL = 0, 1, 2
"""Families of distributions of counts."""


@numba.njit(cache=True, nogil=True)
def normal_below(value: float) -> float:
    """Return the normal distribution function; accurate in the lower tail."""
    return 0.5 * math.erfc(-value / math.sqrt(2.0))


@numba.njit(cache=True, nogil=True)
def count_range(family: int, mean: float, std: float, smallest: float, limit: float) -> tuple[int, int]:
    """Return the first and the last count that a table needs: 8 standard deviations, cut at ``limit`` (exclusive)."""
    spread = math.sqrt(max(mean, 0.0)) if family == POISSON_COUNTS else std
    first = float(math.floor(mean - 8.0 * spread))
    last = float(math.ceil(mean + 8.0 * spread + 8.0))
    if family == NEGATIVE_BINOMIAL:
        last = float(math.ceil(mean + 16.0 * spread + 16.0))
    first = max(first, smallest if family == ROUNDED_NORMAL else max(smallest, 0.0))
    last = min(last, np.ceil(limit) - 1.0)
    return int(first), int(max(first, last))


@numba.njit(cache=True, nogil=True)
def fill_probabilities(family: int, mean: float, std: float, first: int, probability: NDArray[np.float64]) -> None:
    """Fill the probabilities of ``first``, ``first + 1``, ... `(n,)`, not normalized."""
    if family == ROUNDED_NORMAL:
        for place in range(len(probability)):
            count = first + place
            if std <= 0.0:
                probability[place] = 1.0 if abs(count - mean) <= 0.5 else 0.0
            elif count > mean:
                # The upper tail is measured from above, where differences keep their digits.
                upper = normal_below(-(count - 0.5 - mean) / std)
                probability[place] = upper - normal_below(-(count + 0.5 - mean) / std)
            else:
                upper = normal_below((count + 0.5 - mean) / std)
                probability[place] = upper - normal_below((count - 0.5 - mean) / std)
        return
    if mean <= 0.0:
        probability[:] = 0.0
        probability[0] = 1.0
        return
    if family == POISSON_COUNTS:
        for place in range(len(probability)):
            count = first + place
            probability[place] = math.exp(count * math.log(mean) - mean - math.lgamma(count + 1.0))
        return
    size = mean * mean / (std * std - mean)
    success = mean / (std * std)
    for place in range(len(probability)):
        count = first + place
        probability[place] = math.exp(
            math.lgamma(count + size)
            - math.lgamma(size)
            - math.lgamma(count + 1.0)
            + size * math.log(success)
            + count * math.log1p(-success)
        )


@numba.njit(cache=True, nogil=True)
def alias_table(
    probability: NDArray[np.float64], accept: NDArray[np.uint32], alias: NDArray[np.int32], queue: NDArray[np.int32]
) -> None:
    """Set up one alias table; about ten operations an entry.

    Parameters
    ----------
    probability : ndarray of float64, `(n,)`
        Of each entry, not normalized; overwritten. All zero counts as the first entry for certain.
    accept : ndarray of uint32, `(n,)`
        Filled: probability to stay at an entry, in units of 2**-32.
    alias : ndarray of int32, `(n,)`
        Filled: entry to go to otherwise.
    queue : ndarray of int32, `(n,)`
        Working memory.
    """
    n = len(probability)
    total = probability.sum()
    if not total > 0.0:
        probability[:] = 0.0
        probability[0] = 1.0
        total = 1.0
    n_small = 0
    n_large = 0
    for entry in range(n):
        probability[entry] *= n / total
        alias[entry] = entry
        if probability[entry] < 1.0:
            queue[n_small] = entry
            n_small += 1
        else:
            n_large += 1
            queue[n - n_large] = entry
    while n_small and n_large:
        n_small -= 1
        small = queue[n_small]
        large = queue[n - n_large]
        alias[small] = large
        probability[large] -= 1.0 - probability[small]
        if probability[large] < 1.0:
            n_large -= 1
            queue[n_small] = large
            n_small += 1
    for entry in range(n):
        # What rounding left over stays where it is.
        share = min(probability[entry], 1.0) if alias[entry] != entry else 1.0
        accept[entry] = np.uint32(min(share * 4294967296.0, 4294967295.0))


@numba.njit(cache=True, nogil=True)
def count_tables(
    family: NDArray[np.int8],
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
    smallest: float,
    limit: NDArray[np.float64],
    table_ptr: NDArray[np.int64],
    accept: NDArray[np.uint32],
    alias_value: NDArray[np.int32],
    value: NDArray[np.int32],
) -> bool:
    """Set up the tables of all rings for counts below each ring's limit.

    A ring costs about 30 operations an entry and has 16 standard deviations of them.

    Parameters
    ----------
    family : ndarray of int8, `(n_bins,)`
        POISSON_COUNTS, NEGATIVE_BINOMIAL or ROUNDED_NORMAL.
    mean, std : ndarray of float64, `(n_bins,)`
        Moments (a Poisson ring has the variance of its mean).
    smallest : float
        Smallest count.
    limit : ndarray of float64, `(n_bins,)`
        Counts stay below.
    table_ptr : ndarray of int64, `(n_bins + 2,)`
        Filled with the start of each ring's table; the end of all stands twice.
    accept, alias_value, value : ndarray, `(capacity,)`
        Filled, see :func:`fewphoton.kernels.background_draws.draw_counts`.

    Returns
    -------
    bool
        False where the capacity was too small.
    """
    n_bins = len(mean)
    end = 0
    for ring in range(n_bins):
        first, last = count_range(family[ring], mean[ring], std[ring], smallest, limit[ring])
        n = last - first + 1
        if end + n > len(accept):
            return False
        table_ptr[ring] = end
        probability = np.empty(n)
        fill_probabilities(family[ring], mean[ring], std[ring], first, probability)
        alias = np.empty(n, dtype=np.int32)
        alias_table(probability, accept[end : end + n], alias, np.empty(n, dtype=np.int32))
        for place in range(n):
            value[end + place] = first + place
            alias_value[end + place] = first + alias[place]
        end += n
    table_ptr[n_bins] = end
    table_ptr[n_bins + 1] = end
    return True


@numba.njit(cache=True, nogil=True)
def value_tables(
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
    limit: NDArray[np.float64],
    n_intervals: int,
    table_ptr: NDArray[np.int64],
    accept: NDArray[np.uint32],
    alias_value: NDArray[np.float32],
    value: NDArray[np.float32],
    width: NDArray[np.float32],
) -> None:
    """Set up tables of equal intervals for normal values below each ring's limit; see :func:`count_tables`.

    ``value`` `(n_bins * n_intervals,)` gets the lower ends, ``width`` `(n_bins + 1,)` the length of the intervals.
    """
    n_bins = len(mean)
    probability = np.empty(n_intervals)
    queue = np.empty(n_intervals, dtype=np.int32)
    alias = np.empty(n_intervals, dtype=np.int32)
    for ring in range(n_bins):
        start = ring * n_intervals
        low = mean[ring] - 6.0 * std[ring]
        high = mean[ring] + 6.0 * std[ring]
        if high >= limit[ring]:
            # A little less, so that no float32 sum of an interval's end and a place inside it rounds up to the limit.
            high = max(low, limit[ring] - (abs(limit[ring]) + std[ring]) * 2.0**-22)
        step = (high - low) / n_intervals
        below = 0.0
        if std[ring] > 0.0:
            below = normal_below((low - mean[ring]) / std[ring])
        for place in range(n_intervals):
            value[start + place] = low + place * step
            if std[ring] > 0.0:
                upper = normal_below((low + (place + 1) * step - mean[ring]) / std[ring])
                probability[place] = upper - below
                below = upper
            else:
                probability[place] = 1.0
        part = slice(start, start + n_intervals)
        alias_table(probability, accept[part], alias, queue)
        for place in range(n_intervals):
            alias_value[start + place] = value[start + alias[place]]
        table_ptr[ring] = start
        width[ring] = step
    table_ptr[n_bins] = n_bins * n_intervals
    table_ptr[n_bins + 1] = n_bins * n_intervals
    width[n_bins] = width[n_bins - 1]
