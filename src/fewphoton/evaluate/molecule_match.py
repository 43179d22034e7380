"""Which atoms of a molecule were found, and how far off they are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from fewphoton.data.arrays import frozen_array
from fewphoton.data.molecule import Molecule
from fewphoton.errors import DataError
from fewphoton.evaluate.molecule_alignment import Alignment, align, best_exact

MATCH_ANGSTROM = 0.3
"""Atoms of the right element this near to the truth are matched."""
CLOSE_ANGSTROM = 0.1
"""Atoms this near are as good as a crystal structure's."""

_REALIGNMENTS = 10


@dataclass(frozen=True, eq=False)
class MoleculeMatch:
    """A recovered molecule laid upon the truth, atom by atom.

    Atoms of one element cannot be told apart, so they are paired as brings most of them within the tolerance. Where
    more atoms were found than there are, as by methods that fill a grid, the ones of largest occupancy take part.

    Parameters
    ----------
    truth : Molecule
        The true atoms.
    aligned : Molecule
        All recovered atoms in the form and at the shift of least squares over matched atoms (that of the largest
        overlap where none is matched).
    alignment : Alignment
        The better exact form, with its error of eq. 4 at the shift of the largest overlap.
    alignments : dict of str to Alignment
        All forms, the mirrored ones too.
    partner : ndarray of int64, `(n_true,)`
        Number of the recovered atom paired with each true one; -1: none of that element was left.
    tolerance_angstrom : float
        Distance below which a pair is matched.

    Raises
    ------
    DataError
        If partners do not fit the true atoms.
    """

    truth: Molecule
    aligned: Molecule
    alignment: Alignment
    alignments: dict[str, Alignment]
    partner: NDArray[np.int64]
    tolerance_angstrom: float

    def __post_init__(self) -> None:
        partner = frozen_array("molecule match: partners", self.partner, np.int64, (len(self.truth),))
        object.__setattr__(self, "partner", partner)

    @property
    def displacement_angstrom(self) -> NDArray[np.float64]:
        """Recovered minus true position of each true atom, `(n_true, 3)`; NaN without a partner."""
        return _displacements(self.truth, self.aligned, self.partner)

    @property
    def distance_angstrom(self) -> NDArray[np.float64]:
        """Distance of each true atom from its partner, `(n_true,)`; infinite without one."""
        return _distances(self.truth, self.aligned, self.partner)

    @property
    def is_matched(self) -> NDArray[np.bool_]:
        """Whether each true atom was found, `(n_true,)`."""
        return self.distance_angstrom < self.tolerance_angstrom

    @property
    def is_heavy(self) -> NDArray[np.bool_]:
        """Whether each true atom is no hydrogen, `(n_true,)`."""
        return np.array([name not in ("H", "D") for name in self.truth.element])

    @property
    def n_surplus(self) -> int:
        """Recovered atoms beyond the true number of their element."""
        return sum((_present(self.aligned) - _present(self.truth)).values())

    @property
    def is_solved(self) -> bool:
        """Whether every atom was found and none beside them."""
        return bool(self.is_matched.all()) and self.n_surplus == 0

    def rms_angstrom(self, chosen: NDArray[np.bool_] | None = None) -> float:
        """Return the root mean square distance over ``chosen`` true atoms (default: all).

        NaN for none; infinite where one of them has no partner.
        """
        distance = self.distance_angstrom if chosen is None else self.distance_angstrom[chosen]
        return float(np.sqrt(np.mean(distance**2))) if len(distance) else float("nan")

    def rms_over_bound(self, bound_angstrom: NDArray[np.float64]) -> float:
        """Return the rms error over matched atoms divided by that which the Cramér-Rao bound allows them.

        Parameters
        ----------
        bound_angstrom : ndarray of float64, `(n_true, 3)`
            Smallest standard deviation of each true coordinate, with the centroid of all atoms at rest.

        Raises
        ------
        DataError
            If the bound does not fit the true atoms or is not positive.
        """
        bound = np.asarray(bound_angstrom, dtype=np.float64)
        if bound.shape != (len(self.truth), 3) or not (bound > 0).all():
            raise DataError(
                f"Cramér-Rao bound: expected {len(self.truth)} x 3 standard deviations above 0, found shape "
                f"{bound.shape}, lowest {bound.min(initial=np.inf):.4g}"
            )
        matched = self.is_matched
        if not matched.any():
            return float("nan")
        squared = float(np.sum(self.displacement_angstrom[matched] ** 2))
        return float(np.sqrt(squared / np.sum(bound[matched] ** 2)))

    def rms_over_standard_error(self, standard_error_angstrom: NDArray[np.float64]) -> float:
        """Return the rms of the errors of matched coordinates in units of their own stated standard errors.

        1 where the errors are stated rightly.

        Parameters
        ----------
        standard_error_angstrom : ndarray of float64, `(n_recovered, 3)`
            Of each recovered coordinate; those that are 0 or not finite say nothing.

        Raises
        ------
        DataError
            If the errors do not fit the recovered atoms.
        """
        given = np.asarray(standard_error_angstrom, dtype=np.float64)
        if given.shape != (len(self.aligned), 3):
            raise DataError(f"standard errors: expected shape {(len(self.aligned), 3)}, found {given.shape}")
        matched = self.is_matched
        stated = given[self.partner[matched]]
        known = (stated > 0) & np.isfinite(stated)
        if not known.any():
            return float("nan")
        return float(np.sqrt(np.mean((self.displacement_angstrom[matched][known] / stated[known]) ** 2)))

    def element_accuracy(self) -> float:
        """Return the share of places found, whatever element stands there, that hold the right element.

        NaN where no place was found.
        """
        strongest = _strongest(self.truth, self.aligned, per_element=False)
        names = np.array(self.truth.element)[:, None] == np.array(self.aligned.element)[strongest][None]
        distance = cdist(self.truth.position_angstrom, self.aligned.position_angstrom[strongest])
        limit = self.tolerance_angstrom**2
        # Of two atoms at one place the right one is taken.
        cost = np.minimum(distance**2, limit) - 1e-6 * limit * names
        rows, columns = linear_sum_assignment(cost)
        found = distance[rows, columns] < self.tolerance_angstrom
        return float(names[rows, columns][found].mean()) if found.any() else float("nan")

    def is_on_right_sites(self, spacing_angstrom: float) -> bool:
        """Tell whether every atom, and none beside them, is on its site of a grid of that spacing.

        Each must be nearer than half a spacing along every axis.

        Raises
        ------
        DataError
            If the spacing is not above 0.
        """
        if not spacing_angstrom > 0:
            raise DataError(f"grid spacing: expected above 0, found {spacing_angstrom}")
        if self.n_surplus or (self.partner < 0).any():
            return False
        offset = self.displacement_angstrom - np.median(self.displacement_angstrom, axis=0)
        return bool((np.abs(offset) < spacing_angstrom / 2).all())


def match_molecules(truth: Molecule, recovered: Molecule, tolerance_angstrom: float = MATCH_ANGSTROM) -> MoleculeMatch:
    """Lay a recovered molecule upon the truth and pair its atoms.

    The form (as found or inverted) and shift of the largest overlap come first; then pairs and the shift of least
    squares over matched pairs are improved in turn.

    Raises
    ------
    DataError
        If the tolerance is not above 0 or a molecule has no density.
    """
    if not tolerance_angstrom > 0:
        raise DataError(f"tolerance of matched atoms: expected above 0 angstrom, found {tolerance_angstrom}")
    alignments = align(truth, recovered)
    alignment = best_exact(alignments)
    aligned = alignment.applied(recovered)
    partner = _pair(truth, aligned, tolerance_angstrom)
    for _ in range(_REALIGNMENTS):
        near = _distances(truth, aligned, partner) < tolerance_angstrom
        if not near.any():
            break
        shift = -_displacements(truth, aligned, partner)[near].mean(axis=0)
        moved = replace(aligned, position_angstrom=aligned.position_angstrom + shift)
        paired = _pair(truth, moved, tolerance_angstrom)
        if (_distances(truth, moved, paired) < tolerance_angstrom).sum() < near.sum():
            break
        settled = np.array_equal(paired, partner) and np.abs(shift).max() < 1e-9
        aligned, partner = moved, paired
        if settled:
            break
    return MoleculeMatch(truth, aligned, alignment, alignments, partner, tolerance_angstrom)


def _present(molecule: Molecule) -> Counter[str]:
    pairs = zip(molecule.element, molecule.occupancy, strict=True)
    return Counter(name for name, occupancy in pairs if occupancy > 0)


def _strongest(truth: Molecule, recovered: Molecule, *, per_element: bool) -> NDArray[np.int64]:
    """Return numbers of recovered atoms of largest occupancy, as many as the truth has (of each element)."""
    order = np.argsort(-recovered.occupancy, kind="stable")
    order = order[recovered.occupancy[order] > 0]
    if not per_element:
        return order[: len(truth)]
    room = Counter(truth.element)
    chosen = []
    for number in order:
        if room[recovered.element[number]] > 0:
            room[recovered.element[number]] -= 1
            chosen.append(int(number))
    return np.array(chosen, dtype=np.int64)


def _pair(truth: Molecule, aligned: Molecule, tolerance: float) -> NDArray[np.int64]:
    """Return the partner of each true atom, `(n_true,)`: first as brings pairs within the tolerance, then the rest."""
    partner = np.full(len(truth), -1, dtype=np.int64)
    chosen = _strongest(truth, aligned, per_element=True)
    true_name, found_name = np.array(truth.element), np.array(aligned.element)
    for name in sorted(set(truth.element) & set(found_name[chosen].tolist())):
        here, there = np.flatnonzero(true_name == name), chosen[found_name[chosen] == name]
        squared = cdist(truth.position_angstrom[here], aligned.position_angstrom[there], "sqeuclidean")
        rows, columns = linear_sum_assignment(np.minimum(squared, tolerance**2))
        near = squared[rows, columns] < tolerance**2
        partner[here[rows[near]]] = there[columns[near]]
        here_left, there_left = np.delete(here, rows[near]), np.delete(there, columns[near])
        squared = cdist(truth.position_angstrom[here_left], aligned.position_angstrom[there_left], "sqeuclidean")
        rows, columns = linear_sum_assignment(squared)
        partner[here_left[rows]] = there_left[columns]
    return partner


def _displacements(truth: Molecule, aligned: Molecule, partner: NDArray[np.int64]) -> NDArray[np.float64]:
    offset = aligned.position_angstrom[partner] - truth.position_angstrom
    return np.where((partner >= 0)[:, None], offset, np.nan)


def _distances(truth: Molecule, aligned: Molecule, partner: NDArray[np.int64]) -> NDArray[np.float64]:
    offset = _displacements(truth, aligned, partner)
    return np.where(partner >= 0, np.linalg.norm(offset, axis=1), np.inf)
