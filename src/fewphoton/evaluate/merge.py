"""Merging of Laue equivalents and Friedel mates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Crystal, Reflections


def merge_equivalents(
    reflections: Reflections, crystal: Crystal, weight: NDArray[np.float64] | None = None
) -> Reflections:
    """Average equivalent reflections.

    Sigma is the standard error of the weighted mean from the scatter of its ``m`` equivalents,
    ``sqrt(sum w (I - mean)² / ((m - 1) sum w))``; NaN for a single one. Systematic absences of the space group are
    left out.

    Parameters
    ----------
    reflections : Reflections
        One row a lattice point.
    crystal : Crystal
        Laue group and absences, through gemmi.
    weight : ndarray of float64, `(n,)`, optional
        Positive weight of each row, proportional to its exposure. Default: all equal.

    Returns
    -------
    Reflections
        One row a reflection of the asymmetric unit, in lexical order.
    """
    usable = crystal.space_group_allows(reflections.hkl) & np.isfinite(reflections.intensity)
    rows = reflections.take(usable)
    mass = np.ones(len(rows)) if weight is None else weight[usable]
    unique, back = np.unique(crystal.to_laue_asu(rows.hkl), axis=0, return_inverse=True)
    back = back.ravel()
    n_groups = len(unique)
    n_each = np.bincount(back, minlength=n_groups)
    mean = _group_mean(rows.intensity, mass, back, n_groups)
    square = np.bincount(back, mass * (rows.intensity - mean[back]) ** 2, minlength=n_groups)
    total = np.bincount(back, mass, minlength=n_groups)
    variance = np.divide(square, (n_each - 1) * total, out=np.full(n_groups, np.nan), where=n_each > 1)
    return Reflections(
        unique,
        mean,
        np.sqrt(variance),
        n_each.astype(np.int32),
        _group_mean(rows.half_1, mass, back, n_groups),
        _group_mean(rows.half_2, mass, back, n_groups),
    )


def _group_mean(
    values: NDArray[np.float64], weight: NDArray[np.float64], group: NDArray[np.int64], n_groups: int
) -> NDArray[np.float64]:
    known = np.isfinite(values)
    mass = np.bincount(group[known], weight[known], minlength=n_groups)
    total = np.bincount(group[known], weight[known] * values[known], minlength=n_groups)
    return np.asarray(np.divide(total, mass, out=np.full(n_groups, np.nan), where=mass > 0))


def match(reflections: Reflections, other: Reflections) -> NDArray[np.float64]:
    """Return the intensity of ``other`` for each row of ``reflections``, float64 `(n,)`; NaN where it is missing."""
    known = {tuple(index): value for index, value in zip(other.hkl.tolist(), other.intensity.tolist(), strict=True)}
    return np.array([known.get(tuple(index), np.nan) for index in reflections.hkl.tolist()], dtype=np.float64)
