"""Atoms of a crystal's asymmetric unit."""

from __future__ import annotations

from dataclasses import dataclass

import gemmi
import numpy as np
from numpy.typing import NDArray

from fewphoton.data.arrays import frozen_array
from fewphoton.data.crystal import Crystal
from fewphoton.errors import DataError


@dataclass(frozen=True, eq=False)
class AtomicStructure:
    """Cell, space group and atoms.

    Parameters
    ----------
    cell : tuple of float
        a, b, c in angstrom, alpha, beta, gamma in degrees.
    space_group : str
        Hermann-Mauguin symbol, with its origin choice or axes where there are several (``F d -3 m:2``, ``R 3:R``).
    element : tuple of str
        Element of each atom, for example ``"Mo"``.
    fractional : ndarray of float64, `(n_atoms, 3)`
        Fractional coordinates.
    occupancy : ndarray of float64, `(n_atoms,)`
        Chemical occupancy: the share of the site that is filled, whatever its symmetry.
    b_iso_angstrom2 : ndarray of float64, `(n_atoms,)`
        Isotropic displacement B.

    Raises
    ------
    DataError
        If there are no atoms, an element is unknown, an array does not fit, or an occupancy is negative.
    GeometryError
        If the space group is unknown or the cell contradicts it.
    """

    cell: tuple[float, float, float, float, float, float]
    space_group: str
    element: tuple[str, ...]
    fractional: NDArray[np.float64]
    occupancy: NDArray[np.float64]
    b_iso_angstrom2: NDArray[np.float64]

    def __post_init__(self) -> None:
        n_atoms = len(self.element)
        if n_atoms == 0:
            raise DataError("a structure needs atoms")
        Crystal(self.cell, self.space_group)  # refuses what is no crystal
        unknown = sorted({name for name in self.element if gemmi.Element(name).atomic_number == 0})
        if unknown:
            raise DataError(f"unknown elements: {', '.join(unknown)}")
        object.__setattr__(self, "element", tuple(self.element))
        for name, shape in (("fractional", (n_atoms, 3)), ("occupancy", (n_atoms,)), ("b_iso_angstrom2", (n_atoms,))):
            values = frozen_array(f"structure: {name}", getattr(self, name), np.float64, shape)
            if not np.isfinite(values).all():
                raise DataError(f"structure: {name} holds values that are not finite")
            object.__setattr__(self, name, values)
        if self.occupancy.min() < 0:
            raise DataError(f"structure: occupancy must not be negative, found {self.occupancy.min()}")

    def site_symmetry_order(self) -> NDArray[np.int64]:
        """Count the symmetry operations that leave each atom where it is, int64 `(n_atoms,)`; 1 on general sites."""
        cell = gemmi.UnitCell(*self.cell)
        group = gemmi.find_spacegroup_by_name(self.space_group)
        orthogonal = np.array(cell.orth.mat.tolist())
        orders = np.zeros(len(self.element), dtype=np.int64)
        for operation in group.operations():
            rotation = np.array(operation.rot) / gemmi.Op.DEN
            shift = np.array(operation.tran) / gemmi.Op.DEN
            moved = self.fractional @ rotation.T + shift - self.fractional
            distance = np.linalg.norm((moved - np.rint(moved)) @ orthogonal.T, axis=1)
            orders += distance < 0.05
        return orders
