"""Light groups at the ends of a chain: amine, carboxylic acid, hydroxyl, methyl.

They scatter too little to be told apart at the small scattering vectors of a search, so they are tried at other angles
when the rest of the molecule stands.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from fewphoton.ankylography.residue_refinement import DistanceRestraints, WeightedIntensities, refine
from fewphoton.data.peptide_chain import PeptideChain, Torsion

_LARGEST_GROUP = 4
_TURNS_DEG = (120.0, 180.0, 240.0)
_TRIALS = 8
_DETECTORS = 1500
_ITERATIONS = 8
_SAME_ANGSTROM = 0.3
_NEVER = 1e6


def turn_light_group(
    data: WeightedIntensities,
    kind: NDArray[np.int64],
    chain: PeptideChain,
    place: NDArray[np.float64],
    restraints: DistanceRestraints,
) -> NDArray[np.float64] | None:
    """Turn the group that lowers the misfit most.

    Every group of up to four atoms is turned by thirds and half of a turn; the turns that fit best as they are, are
    refined for a few steps, all on at most 1500 detectors.

    Parameters
    ----------
    data : WeightedIntensities
        Intensities with noise weights.
    kind : ndarray of int64, `(n_atoms,)`
        Element of each atom in ``data.model``.
    chain : PeptideChain
        Torsions.
    place : ndarray of float64, `(n_atoms, 3)`
        Atoms, in angstrom.
    restraints : DistanceRestraints
        Ideal distances.

    Returns
    -------
    ndarray of float64, `(n_atoms, 3)`, or None
        The turned atoms, partly refined; None where no turn lowers the misfit.
    """
    some = data.thinned(_DETECTORS)
    _, present = refine(some, kind, place, None, restraints, _ITERATIONS)
    turned = [
        trial
        for torsion in chain.torsions
        for angle in _TURNS_DEG
        if (trial := turned_group(torsion, place, angle)) is not None
        and not same_atoms(chain.element, place, chain.element, trial)
    ]
    turned.sort(key=lambda trial: some.misfit(kind, trial))
    trials = [refine(some, kind, trial, None, restraints, _ITERATIONS) for trial in turned[:_TRIALS]]
    best, misfit = min(trials, key=lambda trial: trial[1], default=(place, np.inf))
    return best if misfit < present else None


def turned_group(torsion: Torsion, place: NDArray[np.float64], angle_deg: float) -> NDArray[np.float64] | None:
    """Turn the smaller side of a bond, or return None where it has more than four atoms."""
    behind = int(torsion.moving.sum())
    before = len(place) - behind - 2
    if min(behind, before) > _LARGEST_GROUP:
        return None
    turned = torsion.turned(place, angle_deg)
    if behind <= before:
        return turned
    # The larger side has turned; turning all of it back leaves the smaller one turned the other way.
    whole = Torsion("whole", 0, torsion.dihedral, np.ones(len(place), dtype=bool))
    return whole.turned(turned, -angle_deg)


def same_atoms(
    element: Sequence[str],
    place: NDArray[np.float64],
    other_element: Sequence[str],
    other_place: NDArray[np.float64],
) -> bool:
    """Return whether like atoms stand within 0.3 angstrom, up to a shift and an inversion of the whole."""
    different = np.array(element)[:, None] != np.array(other_element)
    here, there = place - place.mean(axis=0), other_place - other_place.mean(axis=0)
    for sign in (1, -1):
        gap = np.linalg.norm(here[:, None] - sign * there, axis=2)
        far = different | (gap >= _SAME_ANGSTROM)
        if not far[linear_sum_assignment(np.where(far, _NEVER, gap**2))].any():
            return True
    return False
