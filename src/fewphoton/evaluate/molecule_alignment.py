"""A recovered molecule laid upon the true one, over all that a diffraction pattern leaves open.

Intensities do not change when a molecule is shifted, nor, for real form factors, when it is inverted: these are exact.
The mirror across the plane normal to the beam changes them only by the curvature of the Ewald sphere (a few per cent
of the power), so that searches end there too; it is reported, but a mirrored molecule is a wrong one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fewphoton.data.molecule import Molecule
from fewphoton.evaluate.sphere_overlap import SphereDensity, error_of_product

HANDS = {
    "as_found": (1.0, 1.0, 1.0),
    "inverted": (-1.0, -1.0, -1.0),
    "z_mirrored": (1.0, 1.0, -1.0),
    "z_mirrored_and_inverted": (-1.0, -1.0, 1.0),
}
"""Signs of x, y, z of each form in which a molecule is laid upon the truth; the beam is along z."""
EXACT_HANDS = ("as_found", "inverted")
"""Forms of exactly the same intensities; those with a mirror differ."""

_VOTE_CELL_ANGSTROM = 0.25
_CANDIDATES = 256
_CLIMBS = 8


@dataclass(frozen=True, eq=False)
class Alignment:
    """One form of the recovered molecule at its best shift.

    Parameters
    ----------
    hand : str
        Name of the form in :data:`HANDS`.
    shift_angstrom : ndarray of float64, `(3,)`
        Added after the signs were changed.
    error : float
        Error of eq. 4 there.
    """

    hand: str
    shift_angstrom: NDArray[np.float64]
    error: float

    @property
    def is_exact(self) -> bool:
        """Whether this form has the same intensities as the molecule that was found."""
        return self.hand in EXACT_HANDS

    def applied(self, molecule: Molecule) -> Molecule:
        """Return the molecule in this form at this shift."""
        return replace(molecule, position_angstrom=molecule.position_angstrom * HANDS[self.hand] + self.shift_angstrom)


def align(truth: Molecule, recovered: Molecule) -> dict[str, Alignment]:
    """Lay every form of ``recovered`` upon ``truth`` where their inner product is largest.

    Shifts that bring two atoms of one element together vote; those with most votes are tried exactly, and from the best
    the shift climbs to the maximum.

    Returns
    -------
    dict of str to Alignment
        By name of the form, in the order of :data:`HANDS`.

    Raises
    ------
    DataError
        If one of the molecules has no atom of occupancy above 0.
    """
    source = SphereDensity.of(truth)
    source_norm = source.norm()
    recovery_norm = SphereDensity.of(recovered).norm()
    found = {}
    for hand, signs in HANDS.items():
        form = replace(recovered, position_angstrom=recovered.position_angstrom * signs)
        recovery = SphereDensity.of(form)
        tried = _candidate_shifts(truth, form)
        order = np.argsort(-source.inner_product(recovery, tried), kind="stable")
        climbed = [source.climb(recovery, tried[number]) for number in order[:_CLIMBS]]
        ends = np.array([tried[order[0]], *climbed])
        products = source.inner_product(recovery, ends)
        best = int(np.argmax(products))
        found[hand] = Alignment(hand, ends[best], error_of_product(float(products[best]), source_norm, recovery_norm))
    return found


def best_exact(alignments: dict[str, Alignment]) -> Alignment:
    """Return the better of the two exact forms; as found where both are alike to rounding."""
    as_found, inverted = (alignments[hand] for hand in EXACT_HANDS)
    return inverted if inverted.error < as_found.error - 1e-9 else as_found


def _candidate_shifts(truth: Molecule, recovered: Molecule) -> NDArray[np.float64]:
    """Return shifts that bring atoms of one element together, `(n, 3)`, those of most votes first.

    A pair votes with what it adds to the inner product when its centres meet; pairs that agree within a
    cell are one candidate, at their mean. The shift between the mean positions comes last.
    """
    differences, votes = [], []
    true_name, found_name = np.array(truth.element), np.array(recovered.element)
    for name in sorted(set(truth.element) & set(recovered.element)):
        here, there = true_name == name, found_name == name
        pairs = truth.position_angstrom[here][:, None] - recovered.position_angstrom[there][None]
        alike = Molecule((name,), np.zeros((1, 3)), np.ones(1), np.zeros(1))
        strength = SphereDensity.of(alike).norm() ** 2
        differences.append(pairs.reshape(-1, 3))
        votes.append(strength * np.outer(truth.occupancy[here], recovered.occupancy[there]).ravel())
    centres = [
        np.average(molecule.position_angstrom, axis=0, weights=molecule.occupancy) for molecule in (truth, recovered)
    ]
    middle = (centres[0] - centres[1])[None]
    if not differences:
        return middle
    difference, vote = np.concatenate(differences), np.concatenate(votes)
    difference, vote = difference[vote > 0], vote[vote > 0]
    cells = np.floor(difference / _VOTE_CELL_ANGSTROM).astype(np.int64)
    _, cell = np.unique(cells, axis=0, return_inverse=True)
    cell = cell.ravel()
    total = np.bincount(cell, weights=vote)
    means = np.stack([np.bincount(cell, weights=vote * difference[:, axis]) for axis in range(3)], axis=1)
    order = np.argsort(-total, kind="stable")[:_CANDIDATES]
    return np.concatenate([means[order] / total[order, None], middle])
