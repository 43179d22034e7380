"""Agreement of two sets of intensities: R factor, correlation, and the level that chance gives.

R(high-low) is equation 3 of Ayyer et al. 2015, doi:10.1107/S2052252514022313.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_CHANCE_GROUP = 12
"""Reflections that exchange intensities. Wider ranges of q (40 reflections) put the level of chance too low for
crystals of large B: wrong structures with the right fall-off would beat it."""
_MIN_ROWS = 3


def amplitudes(intensity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Square roots; negative intensities, which noise can give, count as 0."""
    return np.sqrt(np.maximum(intensity, 0.0))


def amplitude_scale(reference: NDArray[np.float64], intensity: NDArray[np.float64]) -> float:
    """Factor on the amplitudes of ``intensity`` that fits those of ``reference`` best (least squares)."""
    low = amplitudes(intensity)
    norm = float(low @ low)
    return float(low @ amplitudes(reference)) / norm if norm > 0 else np.nan


def r_factor(reference: NDArray[np.float64], intensity: NDArray[np.float64], scale: float | None = None) -> float:
    """R = sum |F_reference - scale F| / sum F_reference (equation 3); the scale is fitted where it is not given.

    NaN for empty sets.
    """
    high, low = amplitudes(reference), amplitudes(intensity)
    if len(high) == 0 or high.sum() == 0:
        return float("nan")
    factor = amplitude_scale(reference, intensity) if scale is None else scale
    return float(np.abs(high - factor * low).sum() / high.sum())


def correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Pearson correlation over rows that both know; NaN for fewer than three or without spread."""
    known = np.isfinite(first) & np.isfinite(second)
    if known.sum() < _MIN_ROWS:
        return float("nan")
    a, b = first[known] - first[known].mean(), second[known] - second[known].mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 0 else float("nan")


def cc_star(cc_half: float) -> float:
    """CC* = sqrt(2 CC1/2 / (1 + CC1/2)); NaN for a negative CC1/2 (Karplus & Diederichs 2012)."""
    return float(np.sqrt(2 * cc_half / (1 + cc_half))) if cc_half >= 0 else float("nan")


def permuted(
    intensity: NDArray[np.float64], q_inv_angstrom: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Exchange intensities at random among reflections of similar q (about 12 at a time, in the order of q)."""
    order = np.argsort(q_inv_angstrom, kind="stable")
    shuffled = intensity.copy()
    for part in np.array_split(order, max(1, round(len(order) / _CHANCE_GROUP))):
        shuffled[part] = intensity[rng.permutation(part)]
    return shuffled
