"""A chain of amino acids: its atoms, bonds and the torsions about its single bonds.

Residues keep the bond lengths and angles of the library; peptide bonds have the geometry of Engh & Huber 1991,
Acta Cryst. A47, 392 (doi:10.1107/S0108767391001071). Torsions are named and signed by IUPAC-IUB 1970
(doi:10.1021/bi00820a001).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.data.molecule import Molecule
from fewphoton.data.orientations import rotation_about_axis, unit_axis
from fewphoton.data.residue_library import AminoAcid, amino_acid
from fewphoton.errors import DataError

C_N_ANGSTROM = 1.329
"""Length of the peptide bond."""
_N_H_ANGSTROM = 1.01
_CA_C_N_DEG = 116.6
_C_N_CA_DEG = 121.7
_WATER_OF_N = ("H2", "H")
_WATER_OF_C = ("OXT", "HXT")


@dataclass(frozen=True, eq=False)
class Torsion:
    """A single bond, and the atoms that turn when the part of the chain behind it turns.

    Parameters
    ----------
    name : str
        ``phi``, ``psi``, ``omega``, or ``chi`` for bonds of side chains and end groups.
    residue : int
        Residue of the bond's first atom, from 0.
    dihedral : tuple of int
        The four atoms whose dihedral angle is the torsion; the bond joins the middle two.
    moving : ndarray of bool, `(n_atoms,)`
        Atoms behind the bond.
    """

    name: str
    residue: int
    dihedral: tuple[int, int, int, int]
    moving: NDArray[np.bool_]

    def angle_deg(self, position_angstrom: NDArray[np.float64]) -> float:
        """Return the torsion of atoms at ``position_angstrom`` `(n_atoms, 3)`, from -180 to 180."""
        return dihedral_deg(*(position_angstrom[atom] for atom in self.dihedral))

    def turned(self, position_angstrom: NDArray[np.float64], by_deg: float) -> NDArray[np.float64]:
        """Return the atoms after the moving ones turned by ``by_deg``, which is added to the torsion."""
        start, end = (position_angstrom[atom] for atom in self.dihedral[1:3])
        rotation = rotation_about_axis(end - start, by_deg)
        turned = np.array(position_angstrom)
        turned[self.moving] = (turned[self.moving] - start) @ rotation.T + start
        return turned


def dihedral_deg(
    first: NDArray[np.float64], second: NDArray[np.float64], third: NDArray[np.float64], fourth: NDArray[np.float64]
) -> float:
    """Return the dihedral angle of four points `(3,)`: 0 is cis, positive is clockwise seen along the middle bond."""
    axis = third - second
    before = np.cross(axis, first - second)
    behind = np.cross(axis, fourth - third)
    sine = float(np.dot(np.cross(before, behind), axis) / np.linalg.norm(axis))
    return float(np.rad2deg(np.arctan2(sine, np.dot(before, behind))))


def placed_atom(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    third: NDArray[np.float64],
    length_angstrom: float,
    angle_deg: float,
    torsion_deg: float,
) -> NDArray[np.float64]:
    """Return the place of an atom bonded to ``third``, by bond length, bond angle and dihedral angle."""
    bond = unit_axis(third - second)
    normal = unit_axis(np.cross(second - first, bond))
    angle, torsion = np.deg2rad([angle_deg, torsion_deg])
    across = np.cos(torsion) * np.cross(normal, bond) + np.sin(torsion) * normal
    return np.asarray(third + length_angstrom * (-np.cos(angle) * bond + np.sin(angle) * across))


@dataclass(frozen=True, eq=False)
class PeptideChain:
    """A peptide with neutral ends (amine and carboxylic acid), all torsions trans where it is built.

    Parameters
    ----------
    sequence : tuple of str
        Three-letter codes from the amine end.
    atom_name, element : tuple of str
        Atoms in order of the residues.
    residue : ndarray of int64, `(n_atoms,)`
        Residue of each atom.
    position_angstrom : ndarray of float64, `(n_atoms, 3)`
        The extended chain.
    bond : ndarray of int64, `(n_bonds, 2)`
        Numbers of bonded atoms.
    torsions : tuple of Torsion
        Single bonds that are no part of a ring and have atoms to turn.
    """

    sequence: tuple[str, ...]
    atom_name: tuple[str, ...]
    element: tuple[str, ...]
    residue: NDArray[np.int64]
    position_angstrom: NDArray[np.float64]
    bond: NDArray[np.int64]
    torsions: tuple[Torsion, ...]

    def __len__(self) -> int:
        return len(self.element)

    @classmethod
    def build(cls, sequence: Sequence[str]) -> PeptideChain:
        """Return the extended chain of a sequence of three-letter codes.

        Raises
        ------
        DataError
            If the sequence is empty or names an unknown amino acid.
        """
        if not sequence:
            raise DataError("a peptide needs at least one residue")
        names: list[str] = []
        elements: list[str] = []
        places: list[NDArray[np.float64]] = []
        owner: list[int] = []
        bonds: list[tuple[int, int]] = []
        start: dict[str, int] = {}
        for number, kind in enumerate(sequence):
            acid = amino_acid(kind)
            kept = _kept(acid, first=number == 0, last=number == len(sequence) - 1)
            place = np.array(acid.position_angstrom)
            if number:
                place = _attached(acid, *(places[start[name]] for name in ("CA", "C", "O")))
            new = {atom: len(names) + rank for rank, atom in enumerate(kept)}
            bonds += [(new[a], new[b]) for a, b in acid.bond.tolist() if a in new and b in new]
            if number:
                bonds.append((start["C"], new[acid.number("N")]))
            names += [acid.atom_name[atom] for atom in kept]
            elements += [acid.element[atom] for atom in kept]
            places += [place[atom] for atom in kept]
            owner += [number] * len(kept)
            start = {acid.atom_name[atom]: position for atom, position in new.items()}
        bond = np.array(bonds, dtype=np.int64)
        position = np.array(places)
        torsions = _torsions(names, elements, owner, bond)
        chain = cls(
            tuple(sequence), tuple(names), tuple(elements), np.array(owner, dtype=np.int64), position, bond, torsions
        )
        extended = {(t.name, t.residue): 180.0 for t in torsions if t.name in ("phi", "psi", "omega")}
        return chain.with_position(chain.with_torsions(extended))

    def with_position(self, position_angstrom: NDArray[np.float64]) -> PeptideChain:
        """Return the same chain with its atoms elsewhere."""
        return PeptideChain(
            self.sequence, self.atom_name, self.element, self.residue, position_angstrom, self.bond, self.torsions
        )

    def with_torsions(self, angle_deg: Mapping[tuple[str, int], float]) -> NDArray[np.float64]:
        """Return the atoms, `(n_atoms, 3)`, with some torsions set by (name, residue); the others stay.

        Raises
        ------
        DataError
            If the chain has no such torsion.
        """
        position = np.array(self.position_angstrom)
        found = {(torsion.name, torsion.residue): torsion for torsion in reversed(self.torsions)}
        for key, angle in angle_deg.items():
            if key not in found:
                raise DataError(f"{'-'.join(self.sequence)} has no torsion {key[0]} in residue {key[1]}")
            position = found[key].turned(position, angle - found[key].angle_deg(position))
        return position

    def neighbour_pairs(self) -> tuple[NDArray[np.int64], int]:
        """Return pairs of bonded atoms, then of atoms bonded to the same third, `(n, 2)`; and how many come first."""
        near: list[set[int]] = [set() for _ in range(len(self))]
        for a, b in self.bond.tolist():
            near[a].add(b)
            near[b].add(a)
        bonded = {(min(a, b), max(a, b)) for a, b in self.bond.tolist()}
        angled = {(a, c) for others in near for a in others for c in others if a < c} - bonded
        return np.array(sorted(bonded) + sorted(angled), dtype=np.int64).reshape(-1, 2), len(bonded)

    def molecule(self) -> Molecule:
        """Return the atoms without their names and bonds."""
        return Molecule(self.element, self.position_angstrom, np.ones(len(self)), np.zeros(len(self)))


def _kept(acid: AminoAcid, *, first: bool, last: bool) -> list[int]:
    """Numbers of the atoms that stay where water leaves to make peptide bonds."""
    leaving = set()
    if not first:
        leaving.add(next(name for name in _WATER_OF_N if name in acid.atom_name))
    if not last:
        leaving.update(_WATER_OF_C)
    return [number for number, name in enumerate(acid.atom_name) if name not in leaving]


def _attached(
    acid: AminoAcid, ca: NDArray[np.float64], carbon: NDArray[np.float64], oxygen: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Places of an amino acid behind a carbonyl group, the peptide bond trans and planar."""
    nitrogen = placed_atom(oxygen, ca, carbon, C_N_ANGSTROM, _CA_C_N_DEG, 180.0)
    length = float(np.linalg.norm(acid.atom("CA") - acid.atom("N")))
    next_ca = placed_atom(ca, carbon, nitrogen, length, _C_N_CA_DEG, 180.0)
    to_n, to_c = acid.atom("N") - acid.atom("CA"), acid.atom("C") - acid.atom("CA")
    angle = np.rad2deg(np.arccos(to_n @ to_c / np.linalg.norm(to_n) / np.linalg.norm(to_c)))
    phi = 180.0
    if "CD" in acid.atom_name and "H2" not in acid.atom_name:
        # The ring of proline holds phi; the peptide bond lies opposite to it.
        phi += dihedral_deg(*(acid.atom(name) for name in ("CD", "N", "CA", "C")))
    next_c = placed_atom(carbon, nitrogen, next_ca, float(np.linalg.norm(to_c)), float(angle), phi)
    turn = _frame(nitrogen - next_ca, next_c - next_ca) @ _frame(to_n, to_c).T
    place = (acid.position_angstrom - acid.atom("CA")) @ turn.T + next_ca
    if "H2" in acid.atom_name:
        outward = unit_axis(unit_axis(nitrogen - carbon) + unit_axis(nitrogen - next_ca))
        place[acid.number("H")] = nitrogen + _N_H_ANGSTROM * outward
    return np.asarray(place)


def _frame(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Right-handed frame, columns `(3, 3)`, of two vectors."""
    x = unit_axis(first)
    z = unit_axis(np.cross(first, second))
    return np.stack([x, np.cross(z, x), z], axis=1)


def _torsions(
    names: Sequence[str], elements: Sequence[str], owner: Sequence[int], bond: NDArray[np.int64]
) -> tuple[Torsion, ...]:
    n_atoms = len(names)
    near: list[list[int]] = [[] for _ in range(n_atoms)]
    for a, b in bond.tolist():
        near[a].append(b)
        near[b].append(a)
    found = []
    for a, b in bond.tolist():
        # The chain grows from the amine, so the part behind a bond is the one without the first atom.
        behind = _reached(near, b, a)
        if a in behind:
            continue  # a ring
        first, second = (b, a) if 0 in behind else (a, b)
        behind = _reached(near, second, first)
        ends = (
            _reference(near, names, elements, owner, first, second),
            _reference(near, names, elements, owner, second, first),
        )
        if ends[0] is None or ends[1] is None:
            continue
        moving = np.zeros(n_atoms, dtype=bool)
        moving[list(behind)] = True
        moving[second] = False
        pair = (names[first], names[second])
        name = {("N", "CA"): "phi", ("CA", "C"): "psi", ("C", "N"): "omega"}.get(pair, "chi")
        found.append(Torsion(name, owner[first], (ends[0], first, second, ends[1]), moving))
    return tuple(found)


def _reached(near: Sequence[Sequence[int]], start: int, without: int) -> set[int]:
    """Atoms that are bonded to ``start``, directly or not, when its bond to ``without`` is cut."""
    reached, waiting = {start}, [start]
    while waiting:
        atom = waiting.pop()
        for other in near[atom]:
            if other not in reached and not (atom == start and other == without):
                reached.add(other)
                waiting.append(other)
    return reached


def _reference(
    near: Sequence[Sequence[int]],
    names: Sequence[str],
    elements: Sequence[str],
    owner: Sequence[int],
    atom: int,
    without: int,
) -> int | None:
    """Return the neighbour that a dihedral angle is measured from: the main chain's, else the heaviest, or None."""
    chain = ("N", "CA", "C")

    def rank(other: int) -> tuple[bool, bool, bool, int]:
        return names[other] not in chain, names[other] == "O", elements[other] == "H", other

    others = [other for other in near[atom] if other != without]
    return min(others, key=rank) if others else None
