"""Sigma-clipping of integer counts on their histograms by ring.

Kieffer et al. 2025 (signal separation), equations 2, 6, 12-14, 19 and 20; the Poisson tail is this project's own.
A value that was discarded never comes back, so what is kept always lies in one interval: the intersection of all
intervals so far. No pixel has to be marked.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

POISSON, AZIMUTHAL, HYBRID, POISSON_TAIL, GIVEN_VARIANCE = 0, 1, 2, 3, 4
"""Error models: how the standard deviation of a ring is estimated while clipping, and in the end."""
_SMALLEST_TAIL = 1e-200
_VANISHING = 1e-290


@numba.njit(cache=True, nogil=True)
def chauvenet_cutoff(n: float) -> float:
    """Return the cut-off at which a normal sample of ``n`` values loses about one (equation 20); 3 values at least."""
    return math.sqrt(2.0 * math.log(max(3.0, n) / math.sqrt(2.0 * math.pi)))


@numba.njit(cache=True, nogil=True)
def _poisson_probability(count: float, mean: float) -> float:
    return math.exp(count * math.log(mean) - mean - math.lgamma(count + 1.0))


@numba.njit(cache=True, nogil=True)
def far_above(mean: float, tail: float) -> tuple[int, float]:
    """Return a count whose upper Poisson tail is below ``1e-8 tail``, and its probability, for a positive mean."""
    # Bernstein's bound; where it is so loose that the probability vanishes, the tail is still below 1e-280.
    need = 20.0 - math.log(tail)
    count = int(mean + need / 3.0 + math.sqrt(need * need / 9.0 + 2.0 * mean * need)) + 1
    probability = _poisson_probability(count, mean)
    while probability < _VANISHING and count > mean:
        count -= 1
        probability = _poisson_probability(count, mean)
    return count, probability


@numba.njit(cache=True, nogil=True)
def poisson_interval(mean: float, tail: float) -> tuple[int, int]:
    """Return the smallest and largest counts whose Poisson tails hold at least ``tail`` on either side.

    ``P(X <= low) >= tail`` and ``P(X >= high) >= tail`` for a tail of at most 1/2; one below 1e-200 counts as that.
    About ``10 sqrt(mean) + 30`` operations for common tails.
    """
    if mean <= 0.0:
        return 0, 0
    tail = max(tail, _SMALLEST_TAIL)
    low = max(0, int(mean - math.sqrt(2.0 * mean * (20.0 - math.log(tail)))) - 1)
    probability = _poisson_probability(low, mean)
    while probability < _VANISHING and low < mean:
        low += 1
        probability = _poisson_probability(low, mean)
    below = 0.0
    while below + probability < tail:
        below += probability
        low += 1
        probability *= mean / low
    high, probability = far_above(mean, tail)
    above = 0.0
    while high > 0 and above + probability < tail:
        above += probability
        probability *= high / mean
        high -= 1
    return low, high


@numba.njit(cache=True, nogil=True)
def _kept_of_histogram(counts, lowest, outside, low, high):  # type: ignore[no-untyped-def]
    """Return number, sum, sum of max(value, 1), and sum of squared deviations of kept values."""
    n = 0.0
    total = 0.0
    variance = 0.0
    first = max(0, int(max(low, np.float64(lowest)) - lowest))
    last = min(len(counts) - 1, int(min(high, np.float64(lowest + len(counts))) - lowest))
    for column in range(first, last + 1):
        value = np.float64(lowest + column)
        if counts[column] and low <= value <= high:
            n += counts[column]
            total += counts[column] * value
            variance += counts[column] * max(value, 1.0)
    for value in outside:
        if low <= value <= high:
            n += 1.0
            total += value
            variance += max(np.float64(value), 1.0)
    squares = 0.0
    if n > 0.0:
        mean = total / n
        for column in range(first, last + 1):
            value = np.float64(lowest + column)
            if counts[column] and low <= value <= high:
                squares += counts[column] * (value - mean) ** 2
        for value in outside:
            if low <= value <= high:
                squares += (value - mean) ** 2
    return n, total, variance, squares


@numba.njit(cache=True, nogil=True)
def likely_counts(centre: float, n: float, cutoff: float) -> tuple[float, float]:
    """Return the smallest and largest count that clipping by the Poisson tail keeps of ``n`` pixels of a mean.

    Beyond lies, on either side, the probability of the normal distribution beyond ``cutoff`` or half a pixel of the
    ring (Chauvenet), whichever is less; the latter alone where the cut-off is 0.
    """
    normal_tail = 0.5 * math.erfc(cutoff / math.sqrt(2.0))
    tail = min(normal_tail, 0.5 / n) if cutoff > 0.0 else 0.5 / n
    least, most = poisson_interval(centre, tail)
    return np.float64(least), np.float64(most)


@numba.njit(cache=True, nogil=True)
def clip_histograms(
    histogram: NDArray[np.uint32],
    lowest: int,
    outside_ptr: NDArray[np.int64],
    outside_value: NDArray[np.int64],
    error_model: int,
    cutoff: float,
    n_cycles: int,
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
    n_kept: NDArray[np.float64],
) -> int:
    """Clip every ring of a frame of counts; exact, as if every pixel were looked at.

    A ring and cycle cost a few operations a column that holds counts, whatever the number of pixels.

    Parameters
    ----------
    histogram : ndarray of uint32, `(n_bins + 1, n_values)`
        From :func:`fewphoton.kernels.ring_histogram.count_by_ring`; the last row is not used.
    lowest : int
        Value of the first column.
    outside_ptr : ndarray of int64, `(n_bins + 1,)`
        Ring ``r`` owns ``outside_value[outside_ptr[r]:outside_ptr[r + 1]]``.
    outside_value : ndarray of int64
        Values outside the table.
    error_model : int
        POISSON, AZIMUTHAL, HYBRID or POISSON_TAIL.
    cutoff : float
        Cut-off in standard deviations; raised to Chauvenet's where that is larger (0: Chauvenet's alone).
    n_cycles : int
        Clipping passes at most; a ring stops where nothing more is discarded.
    mean, std, n_kept : ndarray of float64, `(n_bins,)`
        Filled; NaN and 0 for rings without pixels or emptied by clipping.

    Returns
    -------
    int
        Largest number of passes that discarded something.
    """
    deepest = 0
    for ring in range(histogram.shape[0] - 1):
        counts = histogram[ring]
        outside = outside_value[outside_ptr[ring] : outside_ptr[ring + 1]]
        low, high = -np.inf, np.inf
        n, total, variance, squares = _kept_of_histogram(counts, lowest, outside, low, high)
        passes = 0
        while n > 0.0 and passes < n_cycles:
            centre = total / n
            if error_model == POISSON_TAIL:
                next_low, next_high = likely_counts(centre, n, cutoff)
            else:
                sigma = math.sqrt((variance if error_model == POISSON else squares) / n)
                reach = max(cutoff, chauvenet_cutoff(n)) * sigma
                next_low, next_high = centre - reach, centre + reach
            low, high = max(low, next_low), min(high, next_high)
            before = n
            n, total, variance, squares = _kept_of_histogram(counts, lowest, outside, low, high)
            if n == before:
                break
            passes += 1
        deepest = max(deepest, passes)
        n_kept[ring] = n
        if n > 0.0:
            mean[ring] = total / n
            if error_model == AZIMUTHAL:
                std[ring] = math.sqrt(squares / n)
            elif error_model == POISSON_TAIL:
                std[ring] = math.sqrt(max(total, 0.0) / n)
            else:
                std[ring] = math.sqrt(variance / n)
        else:
            mean[ring] = np.nan
            std[ring] = np.nan
    return deepest
