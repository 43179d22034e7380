"""Crystals: unit cell, space group, lattice centring, and the orientation of the cell in the laboratory.

The crystal's Cartesian frame is gemmi's and the PDB's: a along x, b in the xy plane. Reciprocal vectors carry
no 2π: a*·a = 1. ``B`` maps hkl to that frame and ``U`` rotates it into the laboratory at goniometer zero, so
q = R(omega) U B h with the goniometer rotation R.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import gemmi
import numpy as np
from numpy.typing import ArrayLike, NDArray

from fewphoton.data.arrays import frozen_array
from fewphoton.errors import GeometryError


@dataclass(frozen=True, eq=False)
class Crystal:
    """A unit cell with its symmetry and orientation.

    Parameters
    ----------
    cell : tuple of float
        a, b, c in angstrom, alpha, beta, gamma in degrees.
    space_group : str
        Hermann-Mauguin symbol as gemmi knows it, for example ``"I -4 3 d"``.
    u_matrix : ndarray of float64, `(3, 3)`
        Rotation from the crystal's Cartesian frame to the laboratory at goniometer zero. Default: identity.

    Raises
    ------
    GeometryError
        If the cell is impossible, contradicts the space group, or ``u_matrix`` is no proper rotation.
    """

    cell: tuple[float, float, float, float, float, float]
    space_group: str
    u_matrix: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))

    def __post_init__(self) -> None:
        group = gemmi.find_spacegroup_by_name(self.space_group)
        if group is None:
            raise GeometryError(f"unknown space group {self.space_group!r}; write it like 'I -4 3 d' or 'P 21 21 21'")
        lengths, angles = np.array(self.cell[:3]), np.array(self.cell[3:])
        if len(self.cell) != 6 or not (lengths > 0).all() or not ((angles > 0) & (angles < 180)).all():
            raise GeometryError(f"cell needs six positive numbers (angstrom, degrees below 180), found {self.cell}")
        unit_cell = gemmi.UnitCell(*self.cell)
        if not (np.isfinite(unit_cell.volume) and unit_cell.volume > 0):
            raise GeometryError(f"cell {self.cell} encloses no volume")
        if not unit_cell.is_compatible_with_spacegroup(group):
            raise GeometryError(
                f"cell {self.cell} contradicts the {group.crystal_system_str()} space group {group.hm}; "
                "correct one of the two"
            )
        rotation = frozen_array("u_matrix", self.u_matrix, np.float64, (3, 3))
        if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-5) or np.linalg.det(rotation) < 0:
            raise GeometryError(f"u_matrix must be a proper rotation, found {rotation.tolist()}")
        object.__setattr__(self, "cell", tuple(float(value) for value in self.cell))
        object.__setattr__(self, "u_matrix", rotation)

    @classmethod
    def from_ub(cls, ub_inv_angstrom: ArrayLike, cell: tuple[float, ...], space_group: str) -> Crystal:
        """Build from a UB matrix (1/angstrom, no 2π) whose cell must agree with ``cell`` within 1 %.

        The rotation is the one nearest to ``UB B⁻¹`` (polar decomposition), so small strains in UB are dropped.
        """
        ub = frozen_array("UB matrix", ub_inv_angstrom, np.float64, (3, 3))
        if not np.isfinite(ub).all():
            raise GeometryError(f"UB matrix must be finite, found {ub.tolist()}")
        upright = cls(tuple(cell), space_group)  # type: ignore[arg-type]
        strained = ub @ np.linalg.inv(upright.b_matrix)
        left, stretch, right = np.linalg.svd(strained)
        if np.abs(stretch - 1).max() > 0.01 or np.linalg.det(strained) < 0:
            raise GeometryError(
                f"UB matrix does not describe the cell {cell}: principal stretches {stretch.round(4).tolist()}, "
                "expected 1 within 1 % and a right-handed set"
            )
        return cls(upright.cell, space_group, left @ right)

    @cached_property
    def _gemmi_cell(self) -> gemmi.UnitCell:
        return gemmi.UnitCell(*self.cell)

    @cached_property
    def _gemmi_group(self) -> gemmi.SpaceGroup:
        group = gemmi.find_spacegroup_by_name(self.space_group)
        assert group is not None  # checked when the crystal was made
        return group

    @property
    def centring(self) -> str:
        """Lattice centring letter: P, A, B, C, I, F or R."""
        return str(self._gemmi_group.centring_type())

    @property
    def b_matrix(self) -> NDArray[np.float64]:
        """Columns a*, b*, c* in the crystal's Cartesian frame, `(3, 3)`, in 1/angstrom."""
        return np.array(self._gemmi_cell.frac.mat.tolist()).T

    @property
    def ub_matrix(self) -> NDArray[np.float64]:
        """Columns a*, b*, c* in the laboratory at goniometer zero, `(3, 3)`, in 1/angstrom."""
        return np.asarray(self.u_matrix @ self.b_matrix)

    def q_inv_angstrom(self, hkl: ArrayLike) -> NDArray[np.float64]:
        """Length of the reciprocal vectors of ``hkl`` `(..., 3)`, in 1/angstrom, `(...)`; hkl may be fractional."""
        return np.asarray(np.linalg.norm(np.asarray(hkl, dtype=np.float64) @ self.b_matrix.T, axis=-1))

    def centring_allows(self, hkl: ArrayLike) -> NDArray[np.bool_]:
        """Tell which integer ``hkl`` `(n, 3)` the lattice centring allows, bool `(n,)` (glide and screw ignored)."""
        indices = frozen_array("hkl", hkl, np.int64, (None, 3))
        shifts = np.array(self._gemmi_group.operations().cen_ops, dtype=np.int64)
        return np.asarray(((indices @ shifts.T) % gemmi.Op.DEN == 0).all(axis=1))

    def space_group_allows(self, hkl: ArrayLike) -> NDArray[np.bool_]:
        """Tell which integer ``hkl`` `(n, 3)` are not systematically absent, bool `(n,)`."""
        indices = frozen_array("hkl", hkl, np.int32, (None, 3))
        return ~np.asarray(self._gemmi_group.operations().systematic_absences(indices), dtype=bool)

    def laue_rotations(self) -> NDArray[np.int64]:
        """Proper rotations of the Laue group acting on hkl as columns, int64 `(n, 3, 3)`, the identity included."""
        rotations = {}
        for operation in self._gemmi_group.operations().sym_ops:
            matrix = np.array(operation.rot, dtype=np.int64) // gemmi.Op.DEN
            # hkl transforms with the transposed real-space rotation; Friedel's law makes -M equivalent to M.
            proper = matrix.T * round(float(np.linalg.det(matrix)))
            rotations[proper.tobytes()] = proper
        return np.stack(list(rotations.values()))

    def to_laue_asu(self, hkl: ArrayLike) -> NDArray[np.int32]:
        """Map integer ``hkl`` `(n, 3)` to the representative of their Laue class, int32 `(n, 3)`.

        gemmi's reciprocal asymmetric unit of the space group is used, with Friedel mates identified.
        """
        indices = frozen_array("hkl", hkl, np.int32, (None, 3))
        unit = gemmi.ReciprocalAsu(self._gemmi_group)
        operations = self._gemmi_group.operations()
        mapped = [unit.to_asu(index, operations)[0] for index in indices.tolist()]
        return np.array(mapped, dtype=np.int32).reshape(-1, 3)

    def lattice_points(self, q_max_inv_angstrom: float) -> NDArray[np.int32]:
        """All hkl that the centring allows with 0 < q <= ``q_max_inv_angstrom``, int32 `(n, 3)`, in lexical order."""
        reach = [int(np.floor(q_max_inv_angstrom * length)) + 1 for length in self.cell[:3]]
        axes = [np.arange(-n, n + 1, dtype=np.int32) for n in reach]
        hkl = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        length = self.q_inv_angstrom(hkl)
        hkl = hkl[(length > 0) & (length <= q_max_inv_angstrom)]
        return np.asarray(hkl[self.centring_allows(hkl)])
