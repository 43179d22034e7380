"""Residues as basis elements: how they may move, and the exact misfit of one at every site of a grid.

A residue is a rigid group of atoms but for its torsions. Joined to a chain, residues move by turning about bonds; free,
each turns and shifts alone (Mutzafi et al. 2015, Nat. Commun. 6, 7950, doi:10.1038/ncomms8950, Fig. 5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fewphoton.data.arrays import frozen_array
from fewphoton.data.orientations import rotation_matrices
from fewphoton.data.peptide_chain import PeptideChain
from fewphoton.kernels.gibbs_turns import SHIFT, TURN


@dataclass(frozen=True, eq=False)
class Moves:
    """Elementary motions of a molecule's parts; bonds first.

    Parameters
    ----------
    bond : ndarray of int64, `(n_moves, 2)`
        Atoms of the bond that turns, or one of the kernel's marks TURN (about any axis through the centroid) and
        SHIFT (along any axis) and -1.
    moving, other : ndarray of bool, `(n_moves, n_atoms)`
        Atoms that move, and those that may move in their place.
    """

    bond: NDArray[np.int64]
    moving: NDArray[np.bool_]
    other: NDArray[np.bool_]

    def __post_init__(self) -> None:
        bond = frozen_array("moves: bond", self.bond, np.int64, (None, 2))
        moving = frozen_array("moves: moving", self.moving, np.bool_, (len(bond), None))
        object.__setattr__(self, "bond", bond)
        object.__setattr__(self, "moving", moving)
        object.__setattr__(self, "other", frozen_array("moves: other", self.other, np.bool_, moving.shape))

    def __len__(self) -> int:
        return len(self.bond)

    @classmethod
    def joined(cls, chain: PeptideChain, *, peptide_bonds: bool = False) -> Moves:
        """Return turns about the single bonds of a chain, and (twice as often) of the whole of it.

        ``peptide_bonds`` adds the turns about peptide bonds.
        """
        torsions = [torsion for torsion in chain.torsions if peptide_bonds or torsion.name != "omega"]
        everything = np.ones((2, len(chain)), dtype=bool)
        moving = np.array([torsion.moving for torsion in torsions]).reshape(len(torsions), len(chain))
        bond = [torsion.dihedral[1:3] for torsion in torsions] + [(TURN, -1)] * 2
        return cls(np.array(bond), np.concatenate([moving, everything]), np.concatenate([~moving, everything]))

    @classmethod
    def free(cls, chain: PeptideChain) -> Moves:
        """Return turns about bonds inside residues, and turns and shifts of each residue."""
        bond: list[tuple[int, int]] = []
        moving, other = [], []
        for torsion in chain.torsions:
            own = chain.residue == torsion.residue
            if torsion.name != "omega" and (torsion.moving & own).any():
                bond.append(torsion.dihedral[1:3])
                moving.append(torsion.moving & own)
                other.append(~torsion.moving & own)
        for mark in (TURN, SHIFT):
            for residue in range(len(chain.sequence)):
                bond.append((mark, -1))
                moving.append(chain.residue == residue)
                other.append(chain.residue == residue)
        return cls(np.array(bond), np.array(moving), np.array(other))


class TranslationMap:
    """Misfit of a residue at every site of a grid, exactly, from two Fourier sums.

    With the wave y of all else, the residue's wave g at the origin, e = exp(2 pi i q·r) and d = |y|² + |g|² - I,

    sum w (|y + g e|² - I)² = sum w (d² + 2 |y g|²) + Re sum 4 w d y* g e + Re sum 2 w (y* g)² e².

    Both sums are one product of matrices: phases along z, times a table of phases in (x, y) that serves all
    orientations. 8 operations per detector, site and orientation; the table holds 4 numbers per detector and (x, y).

    Parameters
    ----------
    q_inv_angstrom : ndarray, `(n, 3)`
        Scattering vectors, without 2 pi. Its dtype, float32 or float64, is that of all arithmetic.
    intensity, weight : ndarray, `(n,)`
        Measured intensities and the weights of their squared misfits.
    axis_angstrom : tuple of three arrays
        Coordinates of the sites along x, y and z.
    """

    def __init__(
        self,
        q_inv_angstrom: NDArray[np.floating],
        intensity: NDArray[np.floating],
        weight: NDArray[np.floating],
        axis_angstrom: tuple[ArrayLike, ArrayLike, ArrayLike],
    ) -> None:
        self._dtype = q_inv_angstrom.dtype
        self._intensity = np.asarray(intensity, dtype=np.float64)
        self._weight = np.asarray(weight, dtype=np.float64)
        self.axis_angstrom = tuple(np.asarray(axis, dtype=np.float64) for axis in axis_angstrom)
        q = np.asarray(q_inv_angstrom, dtype=np.float64)
        x, y, z = self.axis_angstrom
        turns = q[:, :1, None] * x[:, None] + q[:, 1:2, None] * y
        plane = np.exp(2j * np.pi * turns.reshape(len(q), -1))
        parts = [plane.real, -plane.imag, (plane**2).real, -(plane**2).imag]
        self._table = np.concatenate(parts).astype(self._dtype)
        self._line = np.exp(2j * np.pi * z[:, None] * q[:, 2])

    def misfits(self, rest: NDArray[np.complex128], residue: NDArray[np.complex128]) -> NDArray[np.floating]:
        """Return the misfits, `(n_orientations, n_x, n_y, n_z)`.

        Parameters
        ----------
        rest : ndarray of complex, `(n,)`
            Wave of all other atoms.
        residue : ndarray of complex, `(n_orientations, n)`
            Wave of the residue at the origin in each orientation.
        """
        cross = np.conj(rest) * residue
        difference = np.abs(rest) ** 2 + np.abs(residue) ** 2 - self._intensity
        constant = (difference**2 + 2 * np.abs(cross) ** 2) @ self._weight
        once = (4 * self._weight * difference * cross)[:, None] * self._line
        twice = (2 * self._weight * cross**2)[:, None] * self._line**2
        rows = np.concatenate([once.real, once.imag, twice.real, twice.imag], axis=2).astype(self._dtype)
        n_z, shape = len(self._line), tuple(len(axis) for axis in self.axis_angstrom)
        sums = (rows.reshape(-1, rows.shape[2]) @ self._table).reshape(len(residue), n_z, *shape[:2])
        return np.asarray(np.moveaxis(sums, 1, 3) + constant.astype(self._dtype)[:, None, None, None])


def residue_frame(
    chain: PeptideChain, place: NDArray[np.float64], residue: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the place of CA `(3,)` and a right-handed frame `(3, 3)`, in columns, of N, CA and C of a residue."""
    own = np.flatnonzero(chain.residue == residue)
    nitrogen, ca, carbon = (
        place[own[[chain.atom_name[atom] for atom in own].index(name)]] for name in ("N", "CA", "C")
    )
    x = (nitrogen - ca) / np.linalg.norm(nitrogen - ca)
    z = np.cross(x, carbon - ca)
    z /= np.linalg.norm(z)
    return ca, np.stack([x, np.cross(z, x), z], axis=1)


def exchanged(chain: PeptideChain, place: NDArray[np.float64], first: int, second: int) -> NDArray[np.float64]:
    """Return the atoms with two residues in each other's place and orientation (CA, N and C tell both)."""
    result = np.array(place)
    origin, frame = zip(*(residue_frame(chain, place, residue) for residue in (first, second)), strict=True)
    for here, there in ((0, 1), (1, 0)):
        own = chain.residue == (first, second)[here]
        result[own] = (place[own] - origin[here]) @ frame[here] @ frame[there].T + origin[there]
    return result


def random_orientation(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a rotation matrix `(3, 3)` drawn evenly from all rotations."""
    quaternion = rng.standard_normal((1, 4))
    return np.asarray(rotation_matrices(quaternion / np.linalg.norm(quaternion))[0])
