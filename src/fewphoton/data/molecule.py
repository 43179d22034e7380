"""Atoms of a single particle: Cartesian positions, no cell."""

from __future__ import annotations

from dataclasses import dataclass, replace

import gemmi
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist

from fewphoton.data.arrays import frozen_array
from fewphoton.errors import DataError


@dataclass(frozen=True, eq=False)
class Molecule:
    """Atoms of a particle.

    Parameters
    ----------
    element : tuple of str
        Element of each atom, for example ``"C"``.
    position_angstrom : ndarray of float64, `(n_atoms, 3)`
        Cartesian coordinates in the particle's own frame.
    occupancy : ndarray of float64, `(n_atoms,)`
        Share of the atom that is there.
    b_iso_angstrom2 : ndarray of float64, `(n_atoms,)`
        Isotropic displacement B.

    Raises
    ------
    DataError
        If there are no atoms, an element is unknown, an array does not fit or is not finite, or an occupancy or B is
        negative.
    """

    element: tuple[str, ...]
    position_angstrom: NDArray[np.float64]
    occupancy: NDArray[np.float64]
    b_iso_angstrom2: NDArray[np.float64]

    def __post_init__(self) -> None:
        n_atoms = len(self.element)
        if n_atoms == 0:
            raise DataError("a molecule needs atoms")
        unknown = sorted({name for name in self.element if gemmi.Element(name).atomic_number == 0})
        if unknown:
            raise DataError(f"unknown elements: {', '.join(unknown)}")
        object.__setattr__(self, "element", tuple(self.element))
        shapes = (("position_angstrom", (n_atoms, 3)), ("occupancy", (n_atoms,)), ("b_iso_angstrom2", (n_atoms,)))
        for name, shape in shapes:
            values = frozen_array(f"molecule: {name}", getattr(self, name), np.float64, shape)
            if not np.isfinite(values).all():
                raise DataError(f"molecule: {name} holds values that are not finite")
            object.__setattr__(self, name, values)
        for name in ("occupancy", "b_iso_angstrom2"):
            if getattr(self, name).min() < 0:
                raise DataError(f"molecule: {name} must not be negative, found {getattr(self, name).min()}")

    def __len__(self) -> int:
        return len(self.element)

    @property
    def diameter_angstrom(self) -> float:
        """Largest distance between the centres of two atoms."""
        ends = self.position_angstrom
        try:
            ends = ends[ConvexHull(ends).vertices]
        except (QhullError, ValueError):
            # Few or coplanar atoms have no hull with a volume; all of them may be ends then.
            ends = np.unique(ends, axis=0)
        return float(pdist(ends).max(initial=0.0))

    def centred(self) -> Molecule:
        """Return the molecule with the middle of its bounding box at the origin."""
        low, high = self.position_angstrom.min(axis=0), self.position_angstrom.max(axis=0)
        return replace(self, position_angstrom=self.position_angstrom - (low + high) / 2)

    def turned(self, rotation: NDArray[np.float64]) -> Molecule:
        """Return the molecule turned actively about the origin by ``rotation`` `(3, 3)`."""
        return replace(self, position_angstrom=self.position_angstrom @ rotation.T)
