"""Receiver operating characteristic of a score, the area under it, and how sure that area is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from fewphoton.errors import DataError


@dataclass(frozen=True)
class AreaUnderCurve:
    """Area under the curve: the chance that a wanted frame scores above an unwanted one.

    Parameters
    ----------
    area : float
        Ties count half.
    standard_error : float
        By DeLong, DeLong and Clarke-Pearson 1988, doi:10.2307/2531595.
    low, high : float
        Confidence interval, symmetric in the logit of the area, so that it stays within 0 to 1.
    """

    area: float
    standard_error: float
    low: float
    high: float


def _checked(score: NDArray[np.float64], is_wanted: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    values, wanted = np.asarray(score, dtype=np.float64), np.asarray(is_wanted, dtype=bool)
    if values.shape != wanted.shape or values.ndim != 1:
        raise DataError(f"scores of shape {values.shape} for labels of shape {wanted.shape}")
    if wanted.all() or not wanted.any():
        raise DataError(f"the curve needs frames of both classes, found {int(wanted.sum())} of {len(wanted)} wanted")
    if not np.isfinite(values).all():
        raise DataError(f"score of frame {int(np.argmax(~np.isfinite(values)))} is not finite")
    return values, wanted


def area_under_curve(
    score: NDArray[np.float64], is_wanted: NDArray[np.bool_], confidence: float = 0.95
) -> AreaUnderCurve:
    """Return the area under the curve with its confidence interval.

    Where the classes part fully, or all scores are equal, the error by DeLong vanishes; the interval is then the exact
    binomial one of as many frames as the rarer class has, which is wide for few frames.

    Raises
    ------
    DataError
        If a class is missing or has a single frame, or a score is not finite.
    """
    values, wanted = _checked(score, is_wanted)
    positive, negative = values[wanted], values[~wanted]
    if min(len(positive), len(negative)) < 2:
        raise DataError("the error of the area needs at least two frames of each class")
    wins = (positive[:, None] > negative).astype(np.float64) + 0.5 * (positive[:, None] == negative)
    area = float(wins.mean())
    error = float(
        np.sqrt(wins.mean(axis=1).var(ddof=1) / len(positive) + wins.mean(axis=0).var(ddof=1) / len(negative))
    )
    if error == 0.0:
        fewest = min(len(positive), len(negative))
        interval = stats.binomtest(round(area * fewest), fewest).proportion_ci(confidence)
        return AreaUnderCurve(area, error, float(interval.low), float(interval.high))
    reach = stats.norm.ppf(0.5 + confidence / 2) * error / (area * (1 - area))
    middle = special.logit(area)
    return AreaUnderCurve(area, error, float(special.expit(middle - reach)), float(special.expit(middle + reach)))


def roc_curve(
    score: NDArray[np.float64], is_wanted: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return thresholds falling from infinity, and the shares of unwanted and of wanted frames at or above each.

    Raises
    ------
    DataError
        If a class is missing, or a score is not finite.
    """
    values, wanted = _checked(score, is_wanted)
    threshold = np.concatenate([[np.inf], np.unique(values)[::-1]])
    above = values[None, :] >= threshold[:, None]
    return threshold, above[:, ~wanted].mean(axis=1), above[:, wanted].mean(axis=1)
