"""How alike two molecules made of uniform spheres are: eq. 4 of Mutzafi et al. 2015 (doi:10.1038/ncomms8950), exactly.

Each atom is a sphere of covalent radius that holds its electrons, atomic number times occupancy, evenly. The inner
product of two molecules is then a sum of lens volumes; no voxels are needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import gemmi
import numpy as np
from numpy.typing import NDArray

from fewphoton.data.form_factors import covalent_radius_angstrom
from fewphoton.data.molecule import Molecule
from fewphoton.errors import DataError
from fewphoton.kernels import sphere_overlap as kernel


@dataclass(frozen=True, eq=False)
class SphereDensity:
    """Electron density of a molecule as uniform spheres.

    Parameters
    ----------
    position_angstrom : ndarray of float64, `(n, 3)`
        Centres.
    density_per_angstrom3 : ndarray of float64, `(n,)`
        Electrons per cubic angstrom inside each sphere.
    radius_angstrom : ndarray of float64, `(n,)`
        Radii.
    """

    position_angstrom: NDArray[np.float64]
    density_per_angstrom3: NDArray[np.float64]
    radius_angstrom: NDArray[np.float64]

    @classmethod
    def of(cls, molecule: Molecule) -> SphereDensity:
        """Return the density of a molecule; atoms of occupancy 0 are left out.

        Raises
        ------
        DataError
            If every occupancy is 0.
        """
        there = molecule.occupancy > 0
        if not there.any():
            raise DataError("every atom of the molecule has occupancy 0: there is no density to compare")
        radii = {name: covalent_radius_angstrom(name) for name in set(molecule.element)}
        charges = {name: gemmi.Element(name).atomic_number for name in radii}
        radius = np.array([radii[name] for name in molecule.element])
        electrons = molecule.occupancy * [charges[name] for name in molecule.element]
        density = electrons / (4 / 3 * np.pi * radius**3)
        return cls(molecule.position_angstrom[there], density[there], radius[there])

    def inner_product(
        self, other: SphereDensity, shift_angstrom: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Return the integral of the product with ``other``, in electrons² per cubic angstrom.

        Parameters
        ----------
        other : SphereDensity
            The second density.
        shift_angstrom : ndarray of float64, `(n_shifts, 3)`, optional
            Shifts of ``other``; none: as it stands.

        Returns
        -------
        ndarray of float64, `(n_shifts,)`
            One value a shift.
        """
        shifts = np.zeros((1, 3)) if shift_angstrom is None else np.ascontiguousarray(shift_angstrom, np.float64)
        product = np.empty(len(shifts))
        kernel.overlaps(*self._arrays(), *other._arrays(), shifts, product)
        return product

    def norm(self) -> float:
        """Return the root of the integral of the square."""
        return float(np.sqrt(self.inner_product(self)[0]))

    def climb(
        self,
        other: SphereDensity,
        shift_angstrom: NDArray[np.float64],
        roundings_angstrom: tuple[float, ...] = (1e-2, 1e-4, 1e-6),
        max_steps: int = 60,
    ) -> NDArray[np.float64]:
        """Return the shift of ``other`` `(3,)` at a maximum of the inner product near a start.

        Kinks where two centres meet are rounded off less and less.
        """
        shift = np.array(shift_angstrom, dtype=np.float64)
        for rounding in roundings_angstrom:
            kernel.climb(*self._arrays(), *other._arrays(), shift, rounding, max_steps)
        return shift

    def _arrays(self) -> tuple[NDArray[np.float64], ...]:
        # Frozen and fresh arrays would be two types to the compiler, and each pair of them compiled anew.
        read_only = []
        for values in (self.position_angstrom, self.density_per_angstrom3, self.radius_angstrom):
            view = np.ascontiguousarray(values).view()
            view.flags.writeable = False
            read_only.append(view)
        return tuple(read_only)


def reconstruction_error(source: SphereDensity, recovery: SphereDensity) -> float:
    """Return 1 - |<source, recovery>| / (|source| |recovery|), 0 for alike and 1 for disjoint molecules.

    This is eq. 4 of Mutzafi et al. 2015 with norms that are not squared: it does not change when a density is scaled.
    Nothing is aligned here.
    """
    product = abs(float(source.inner_product(recovery)[0]))
    return error_of_product(product, source.norm(), recovery.norm())


def error_of_product(product: float, source_norm: float, recovery_norm: float) -> float:
    """Return the error of eq. 4 from an inner product and the two norms; rounding never makes it negative."""
    return max(0.0, 1.0 - abs(product) / (source_norm * recovery_norm))
