"""Merging of Laue equivalents and Friedel mates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Crystal, Reflections


def merge_equivalents(reflections: Reflections, crystal: Crystal) -> Reflections:
    """Average equivalent reflections.

    Sigma is the standard error of the mean from the scatter of the equivalents; NaN for a single one. Systematic
    absences of the space group are left out.

    Parameters
    ----------
    reflections : Reflections
        One row a lattice point.
    crystal : Crystal
        Laue group and absences, through gemmi.

    Returns
    -------
    Reflections
        One row a reflection of the asymmetric unit, in lexical order.
    """
    usable = crystal.space_group_allows(reflections.hkl) & np.isfinite(reflections.intensity)
    rows = reflections.take(usable)
    unique, back = np.unique(crystal.to_laue_asu(rows.hkl), axis=0, return_inverse=True)
    back = back.ravel()
    n_each = np.bincount(back, minlength=len(unique))
    mean = np.bincount(back, rows.intensity, minlength=len(unique)) / n_each
    square = np.bincount(back, (rows.intensity - mean[back]) ** 2, minlength=len(unique))
    several = n_each > 1
    sigma = np.full(len(unique), np.nan)
    sigma[several] = np.sqrt(square[several] / (n_each[several] - 1) / n_each[several])
    return Reflections(
        unique,
        mean,
        sigma,
        n_each.astype(np.int32),
        _group_mean(rows.half_1, back, len(unique)),
        _group_mean(rows.half_2, back, len(unique)),
    )


def _group_mean(values: NDArray[np.float64], group: NDArray[np.int64], n_groups: int) -> NDArray[np.float64]:
    known = np.isfinite(values)
    n_each = np.bincount(group[known], minlength=n_groups)
    total = np.bincount(group[known], values[known], minlength=n_groups)
    return np.divide(total, n_each, out=np.full(n_groups, np.nan), where=n_each > 0)


def match(reflections: Reflections, other: Reflections) -> NDArray[np.float64]:
    """Return the intensity of ``other`` for each row of ``reflections``, float64 `(n,)`; NaN where it is missing."""
    known = {tuple(index): value for index, value in zip(other.hkl.tolist(), other.intensity.tolist(), strict=True)}
    return np.array([known.get(tuple(index), np.nan) for index in reflections.hkl.tolist()])
