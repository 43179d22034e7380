"""Shares of successes with their confidence, and the middle of a sample."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binomtest

from fewphoton.errors import DataError


class Proportion(NamedTuple):
    """A share of successes and its confidence interval; NaN throughout for no trials."""

    share: float
    low: float
    high: float


def wilson_interval(n_successes: int, n_trials: int, confidence: float = 0.95) -> Proportion:
    """Return a share with Wilson's score interval (Wilson 1927, doi:10.1080/01621459.1927.10502953).

    It holds its coverage for few trials and for shares of 0 and 1, where the normal interval has no width.

    Raises
    ------
    DataError
        If there are more successes than trials, a number is negative, or the confidence is not between 0 and 1.
    """
    if not 0 <= n_successes <= n_trials:
        raise DataError(f"{n_successes} successes of {n_trials} trials: expected 0 to the number of trials")
    if not 0 < confidence < 1:
        raise DataError(f"confidence: expected between 0 and 1, found {confidence}")
    if n_trials == 0:
        return Proportion(np.nan, np.nan, np.nan)
    interval = binomtest(n_successes, n_trials).proportion_ci(confidence, method="wilson")
    return Proportion(n_successes / n_trials, float(interval.low), float(interval.high))


class Quartiles(NamedTuple):
    """Median and quartiles of the known values; NaN without any."""

    median: float
    low: float
    high: float
    n: int


def quartiles(values: ArrayLike) -> Quartiles:
    """Return the median and the quartiles of the values that are no NaN, and how many these are.

    Infinite values (a run that never came to an end) count as larger than all others.
    """
    given = np.asarray(values, dtype=np.float64)
    known = np.sort(given[~np.isnan(given)])
    if len(known) == 0:
        return Quartiles(np.nan, np.nan, np.nan, 0)
    low, median, high = (_between(known, share) for share in (0.25, 0.5, 0.75))
    return Quartiles(median, low, high, len(known))


def _between(ordered: np.ndarray, share: float) -> float:
    """Quantile, linear between neighbours; between a finite and an infinite value it is infinite."""
    place = share * (len(ordered) - 1)
    below, above = ordered[int(np.floor(place))], ordered[int(np.ceil(place))]
    part = place - np.floor(place)
    return float(below if part == 0 or below == above else below + part * (above - below))
