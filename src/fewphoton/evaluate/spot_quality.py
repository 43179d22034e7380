"""How good integrated intensities are.

The indicators follow Kieffer et al. 2025, Table 1: completeness, R_obs, R_meas (Diederichs & Karplus 1997, Nat. Struct.
Biol. 4, 269-275, doi:10.1038/nsb0497-269), CC1/2 (Karplus & Diederichs 2012, doi:10.1126/science.1218231) and mean
I/sigma, overall and by shells of equal volume in reciprocal space.
"""

from __future__ import annotations

from dataclasses import dataclass

import gemmi
import numpy as np
from numpy.typing import ArrayLike, NDArray

from fewphoton.data import Crystal, Reflections
from fewphoton.errors import GeometryError
from fewphoton.evaluate.agreement import correlation
from fewphoton.evaluate.merge import match, merge_equivalents
from fewphoton.evaluate.shells import in_shell

_LARGEST_STRAIN = 0.02


def with_space_group(crystal: Crystal, space_group: str) -> Crystal:
    """Return the crystal with another space group, its cell averaged over the group's rotations.

    Raises
    ------
    GeometryError
        If the group is unknown or the cell departs from its symmetry by more than 2 %.
    """
    group = gemmi.find_spacegroup_by_name(space_group)
    if group is None:
        raise GeometryError(f"unknown space group {space_group!r}; write it like 'I -4 3 d' or 'P 21 21 21'")
    metric = _metric(crystal.cell)
    turns = [np.array(operation.rot) / gemmi.Op.DEN for operation in group.operations().sym_ops]
    mean = np.mean([turn.T @ metric @ turn for turn in turns], axis=0)
    lengths = np.sqrt(np.diag(mean))
    if (np.abs(mean - metric) > 2 * _LARGEST_STRAIN * np.outer(lengths, lengths)).any():
        raise GeometryError(f"cell {crystal.cell} does not have the symmetry of {space_group}")
    cosines = [mean[1, 2] / (lengths[1] * lengths[2]), mean[0, 2] / (lengths[0] * lengths[2])]
    cosines.append(mean[0, 1] / (lengths[0] * lengths[1]))
    return Crystal((*lengths.tolist(), *np.degrees(np.arccos(cosines)).tolist()), space_group, crystal.u_matrix)


def _metric(cell: tuple[float, ...]) -> NDArray[np.float64]:
    orthogonal = np.array(gemmi.UnitCell(*cell).orth.mat.tolist())
    return np.asarray(orthogonal.T @ orthogonal)


def equal_volume_edges(q_max_inv_angstrom: float, n_shells: int) -> NDArray[np.float64]:
    """Edges in q of shells of equal reciprocal volume, float64 `(n_shells + 1,)`, the last just beyond q_max."""
    return np.asarray(np.cbrt(np.linspace(0.0, 1.0, n_shells + 1)) * q_max_inv_angstrom * (1 + 1e-9))


def merge_observations(
    hkl: ArrayLike,
    intensity: NDArray[np.float64],
    sigma: NDArray[np.float64],
    crystal: Crystal,
    rng: np.random.Generator,
) -> Reflections:
    """Average equivalent observations, Friedel mates among them, with equal weights; unknown ones are left out.

    Equal weights, because weights made from the counts themselves favour observations that fluctuated downwards.
    Sigma is that of the mean from the observations' own; the halves are random halves of each reflection's
    observations (the odd one out goes to either by chance).

    Parameters
    ----------
    hkl : array_like of int, `(n, 3)`
        Indices.
    intensity, sigma : ndarray of float64, `(n,)`
        Observations.
    crystal : Crystal
        Laue group and absences.
    rng : numpy.random.Generator
        Draws the halves.
    """
    indices = np.asarray(hkl, dtype=np.int32).reshape(-1, 3)
    known = np.isfinite(intensity) & np.isfinite(sigma)
    indices, values, errors = crystal.to_laue_asu(indices[known]), intensity[known], sigma[known]
    first = _random_halves(indices, rng)
    rows = Reflections(
        indices,
        values,
        errors,
        np.ones(len(values), dtype=np.int32),
        np.where(first, values, np.nan),
        np.where(first, np.nan, values),
    )
    merged = merge_equivalents(rows, crystal)
    group, counted = _groups(indices, merged.hkl)
    square = np.bincount(group[counted], errors[counted] ** 2, minlength=len(merged))
    return Reflections(
        merged.hkl,
        merged.intensity,
        np.sqrt(square) / np.maximum(merged.multiplicity, 1),
        merged.multiplicity,
        merged.half_1,
        merged.half_2,
    )


def _random_halves(indices: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Tell which observations go to the first half: half of each group of equal indices, up to one."""
    if not len(indices):
        return np.zeros(0, dtype=bool)
    unique, group = np.unique(indices, axis=0, return_inverse=True)
    group = group.ravel()
    order = np.lexsort((rng.random(len(indices)), group))
    start = np.concatenate([[0], np.cumsum(np.bincount(group))[:-1]])
    first = np.empty(len(indices), dtype=bool)
    odd = rng.integers(0, 2, len(unique))
    first[order] = (np.arange(len(order)) - start[group[order]] + odd[group[order]]) % 2 == 0
    return first


def _groups(asu: NDArray[np.int32], merged: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Row of ``merged`` for each index, and whether it has one."""
    place = {tuple(index): row for row, index in enumerate(merged.tolist())}
    group = np.array([place.get(tuple(index), -1) for index in asu.tolist()], dtype=np.int64)
    return group, group >= 0


def frame_scales(
    hkl: NDArray[np.int32],
    intensity: NDArray[np.float64],
    frame: NDArray[np.int64],
    crystal: Crystal,
    rounds: int,
) -> NDArray[np.float64]:
    """Fit one factor a frame so that its intensities are the factor times the merged mean of all frames.

    In turns, the mean of each reflection is taken over scaled observations and each frame's factor fitted to it by
    least squares. Reflections that one frame alone saw say nothing. Negative factors are refused: such a frame, and
    one without shared reflections, keeps its former factor (1 at the start). The factors' mean is 1.

    Parameters
    ----------
    hkl : ndarray of int32, `(n, 3)`
        Indices.
    intensity : ndarray of float64, `(n,)`
        Observations; NaN where unknown.
    frame : ndarray of int64, `(n,)`
        Frame of each observation, from 0.
    crystal : Crystal
        Laue group.
    rounds : int
        Turns.

    Returns
    -------
    ndarray of float64, `(n,)`
        Factor of each observation's frame.
    """
    scale = np.ones(int(frame.max(initial=-1)) + 1)
    known = np.isfinite(intensity)
    if not known.any():
        return np.ones(len(hkl))
    _, group = np.unique(crystal.to_laue_asu(hkl[known]), axis=0, return_inverse=True)
    group, values, place = group.ravel(), intensity[known], frame[known]
    shared = np.bincount(group)[group] > 1
    for _ in range(rounds):
        share = scale[place]
        # The least-squares mean of a reflection, given the scales.
        mean = np.bincount(group, share * values) / np.bincount(group, share**2)
        model = np.where(shared, mean[group], 0.0)
        weight = np.bincount(place, model**2, minlength=len(scale))
        fitted = np.bincount(place, model * values, minlength=len(scale))
        new = np.divide(fitted, weight, out=scale.copy(), where=weight > 0)
        scale = np.where(new > 0, new, scale)
        scale /= scale[np.unique(place)].mean()
    return np.asarray(scale[frame])


@dataclass(frozen=True)
class Quality:
    """Quality of the reflections of one shell, or of all; NaN where undefined.

    Parameters
    ----------
    d_max_angstrom, d_min_angstrom : float
        Limits; infinite for the innermost.
    n_observed, n_unique, n_possible : int
        Observations, merged reflections, and reflections that exist.
    completeness : float
        Merged over existing.
    r_obs : float
        Sum of |I_hi - I_h| over sum of I_hi, over reflections with two or more observations (Kieffer et al. 2025,
        Table 1).
    r_meas : float
        The same with sqrt(n / (n - 1)) on each reflection, independent of multiplicity.
    cc_half : float
        Correlation of the random halves.
    i_over_sigma : float
        Mean of I/sigma of merged reflections.
    i_over_sigma_observed : float
        Mean of I/sigma of single observations.
    cc_reference : float
        Correlation of merged intensities with the given list.
    n_reference : int
        Merged reflections that the list holds.
    """

    d_max_angstrom: float
    d_min_angstrom: float
    n_observed: int
    n_unique: int
    n_possible: int
    completeness: float
    r_obs: float
    r_meas: float
    cc_half: float
    i_over_sigma: float
    i_over_sigma_observed: float
    cc_reference: float
    n_reference: int


def quality(
    hkl: NDArray[np.int32],
    intensity: NDArray[np.float64],
    sigma: NDArray[np.float64],
    merged: Reflections,
    crystal: Crystal,
    edges: NDArray[np.float64],
    reference: Reflections | None = None,
) -> tuple[Quality, list[Quality]]:
    """Judge observations and their merged mean; return the whole and one entry a shell.

    Parameters
    ----------
    hkl : ndarray of int32, `(n, 3)`
        Indices of the observations.
    intensity, sigma : ndarray of float64, `(n,)`
        Observations; NaN where unknown.
    merged : Reflections
        From :func:`merge_observations` with the same crystal.
    crystal : Crystal
        Cell, Laue group, absences.
    edges : ndarray of float64, `(n_shells + 1,)`
        Shells in q.
    reference : Reflections, optional
        Intensities to correlate with, merged or not, on any scale.
    """
    known = np.isfinite(intensity) & np.isfinite(sigma)
    asu, values, errors = crystal.to_laue_asu(hkl[known]), intensity[known], sigma[known]
    group, counted = _groups(asu, merged.hkl)
    group, values, errors = group[counted], values[counted], errors[counted]
    other = np.full(len(merged), np.nan)
    if reference is not None:
        other = match(merged, merge_equivalents(reference, crystal))
    all_hkl = crystal.lattice_points(float(edges[-1]))
    existing = np.unique(crystal.to_laue_asu(all_hkl[crystal.space_group_allows(all_hkl)]), axis=0)
    q_merged, q_existing = crystal.q_inv_angstrom(merged.hkl), crystal.q_inv_angstrom(existing)

    def judged(low: float, high: float, part: NDArray[np.bool_], n_possible: int) -> Quality:
        mine = part[group]
        deviation = np.abs(values - merged.intensity[group])
        n_each = merged.multiplicity[group]
        several = mine & (n_each > 1)
        total = values[several].sum()
        weight = np.sqrt(n_each[several] / (n_each[several] - 1))
        both = part & np.isfinite(other)
        return Quality(
            1 / low if low > 0 else np.inf,
            1 / high,
            int(mine.sum()),
            int(part.sum()),
            n_possible,
            float(part.sum() / n_possible) if n_possible else np.nan,
            float(deviation[several].sum() / total) if total > 0 else np.nan,
            float((weight * deviation[several]).sum() / total) if total > 0 else np.nan,
            correlation(merged.half_1[part], merged.half_2[part]),
            float(np.mean(merged.intensity[part] / merged.sigma[part])) if part.any() else np.nan,
            float(np.mean(values[mine] / errors[mine])) if mine.any() else np.nan,
            correlation(merged.intensity[part], other[part]),
            int(both.sum()),
        )

    shells = [
        judged(
            float(edges[shell]),
            float(edges[shell + 1]),
            in_shell(q_merged, edges, shell),
            int(in_shell(q_existing, edges, shell).sum()),
        )
        for shell in range(len(edges) - 1)
    ]
    whole = in_shell(q_merged, edges[[0, -1]], 0)
    return judged(float(edges[0]), float(edges[-1]), whole, int((q_existing < edges[-1]).sum())), shells
