"""Comparison of merged intensities with a reference, overall and by shell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Reflections
from fewphoton.evaluate.agreement import amplitude_scale, correlation, permuted, r_factor
from fewphoton.evaluate.shells import in_shell


@dataclass(frozen=True, eq=False)
class Comparison:
    """Agreement with a reference.

    Parameters
    ----------
    scaled : ndarray of float64, `(n,)`
        The reference's intensities on the scale of ours; NaN where it has none.
    r_all, r_low_q : float
        R factor over all common reflections, and over those of low q.
    r_chance, r_chance_std : float
        R at low q when our intensities are exchanged among reflections of similar q, with its spread.
    cc, cc_chance : float
        Correlation of intensities, and the same by chance.
    r_by_shell, r_chance_by_shell, cc_by_shell : ndarray of float64, `(n_shells,)`
        By shell; NaN for shells without common reflections.
    """

    scaled: NDArray[np.float64]
    r_all: float
    r_low_q: float
    r_chance: float
    r_chance_std: float
    cc: float
    cc_chance: float
    r_by_shell: NDArray[np.float64]
    r_chance_by_shell: NDArray[np.float64]
    cc_by_shell: NDArray[np.float64]


def compare(
    ours: Reflections,
    q_inv_angstrom: NDArray[np.float64],
    reference_intensity: NDArray[np.float64],
    edges: NDArray[np.float64],
    low_q_fraction: float,
    shuffles: int,
    rng: np.random.Generator,
) -> Comparison:
    """Compare with a reference; one scale factor, fitted over all common reflections, serves all shells.

    Parameters
    ----------
    ours : Reflections
        Merged.
    q_inv_angstrom : ndarray of float64, `(n,)`
        Their q.
    reference_intensity : ndarray of float64, `(n,)`
        Intensity of the same reflections in the reference, NaN where missing.
    edges : ndarray of float64, `(n_shells + 1,)`
        Shells.
    low_q_fraction : float
        Low q ends at this fraction of the largest q that both sets have.
    shuffles : int
        Permutations for the level of chance.
    rng : numpy.random.Generator
        For the permutations.
    """
    common = np.isfinite(reference_intensity) & np.isfinite(ours.intensity)
    high, low, q = reference_intensity[common], ours.intensity[common], q_inv_angstrom[common]
    scale = amplitude_scale(high, low)
    near = q <= low_q_fraction * (q.max() if len(q) else 0.0)
    chance_r, chance_cc, chance_shells = [], [], []
    for _ in range(shuffles):
        mixed = permuted(low, q, rng)
        mixed_scale = amplitude_scale(high, mixed)
        chance_r.append(r_factor(high[near], mixed[near], mixed_scale))
        chance_cc.append(correlation(high, mixed))
        chance_shells.append([r_factor(high[part], mixed[part], mixed_scale) for part in _parts(q, edges)])
    return Comparison(
        np.where(common, reference_intensity / scale**2, np.nan),
        r_factor(high, low, scale),
        r_factor(high[near], low[near], scale),
        float(np.mean(chance_r)),
        float(np.std(chance_r)),
        correlation(high, low),
        float(np.mean(chance_cc)),
        np.array([r_factor(high[part], low[part], scale) for part in _parts(q, edges)]),
        np.mean(chance_shells, axis=0),
        np.array([correlation(high[part], low[part]) for part in _parts(q, edges)]),
    )


def _parts(q: NDArray[np.float64], edges: NDArray[np.float64]) -> list[NDArray[np.bool_]]:
    return [in_shell(q, edges, shell) for shell in range(len(edges) - 1)]
