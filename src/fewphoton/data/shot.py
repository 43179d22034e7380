"""One diffraction pattern of one molecule, and what is known of it beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import gemmi
import numpy as np
from numpy.typing import NDArray

from fewphoton.data.arrays import frozen_array
from fewphoton.errors import DataError

AtomModel = Literal["sphere", "free_atom"]

# White noise of n readings reaches further with a chance below 1e-9 each.
_LOWEST_SIGMA = 6.0


@dataclass(frozen=True, eq=False)
class Shot:
    """Intensities on the Ewald sphere.

    Parameters
    ----------
    wavelength_angstrom : float
        Wavelength.
    q_inv_angstrom : ndarray of float64, `(n, 3)`
        Scattering vector of each detector, without 2 pi.
    intensity_electron2 : ndarray of float64, `(n,)`
        Measured |F|² with its noise; counts divided by ``photons_per_electron2`` where photons were counted.
    white_sigma_electron2 : float
        Standard deviation of the noise that does not depend on the signal; 0: none. Without counting noise either, all
        variances are 0 and no misfit can be told in their units.
    photons_per_electron2 : float or None
        Photons that a detector counts per electron² of |F|²; None: intensities hold no counting noise.
    composition : mapping of str to int
        Atoms of each element.
    atom_model : {"sphere", "free_atom"}
        Uniform spheres of covalent radius, or tabulated form factors.

    Raises
    ------
    DataError
        If arrays do not fit or are not finite, an intensity is impossibly far below 0, the noise is negative,
        the atom model is unknown, or the composition holds an unknown element or no atoms.
    """

    wavelength_angstrom: float
    q_inv_angstrom: NDArray[np.float64]
    intensity_electron2: NDArray[np.float64]
    white_sigma_electron2: float
    photons_per_electron2: float | None
    composition: Mapping[str, int]
    atom_model: AtomModel = "sphere"

    def __post_init__(self) -> None:
        q = frozen_array("shot: q_inv_angstrom", self.q_inv_angstrom, np.float64, (None, 3))
        intensity = frozen_array("shot: intensity_electron2", self.intensity_electron2, np.float64, (len(q),))
        for name, values in (("q_inv_angstrom", q), ("intensity_electron2", intensity)):
            n_bad = int((~np.isfinite(values)).sum())
            if n_bad:
                raise DataError(f"shot: {name} holds {n_bad} values that are not finite; leave those detectors out")
            object.__setattr__(self, name, values)
        if len(q) == 0:
            raise DataError("a shot needs at least one detector")
        if not self.wavelength_angstrom > 0:
            raise DataError(f"shot: the wavelength must be positive, found {self.wavelength_angstrom}")
        if not 0 <= self.white_sigma_electron2 < np.inf:
            raise DataError(f"shot: white noise must not be negative, found {self.white_sigma_electron2}")
        if self.photons_per_electron2 is not None and not 0 < self.photons_per_electron2 < np.inf:
            raise DataError(f"shot: photons per electron² must be positive, found {self.photons_per_electron2}")
        if self.atom_model not in get_args(AtomModel):
            raise DataError(
                f"shot: the atom model is one of {', '.join(get_args(AtomModel))}, found {self.atom_model!r}"
            )
        lowest = -_LOWEST_SIGMA * self.white_sigma_electron2
        if intensity.min() < lowest:
            raise DataError(
                f"shot: {int((intensity < lowest).sum())} intensities lie below {lowest:.6g}, "
                f"{_LOWEST_SIGMA:g} standard deviations of the white noise; lowest: {intensity.min():.6g}. "
                "Subtract less background, or state the noise that is there"
            )
        self._check_composition()

    def _check_composition(self) -> None:
        unknown = sorted(name for name in self.composition if gemmi.Element(name).atomic_number == 0)
        if unknown:
            raise DataError(f"shot: unknown elements in the composition: {', '.join(unknown)}")
        wrong = {name: count for name, count in self.composition.items() if count < 1}
        if wrong or not self.composition:
            raise DataError(f"shot: the composition needs at least one atom of each element, found {self.composition}")

    def __len__(self) -> int:
        return len(self.q_inv_angstrom)

    @property
    def n_atoms(self) -> int:
        """Atoms of the molecule."""
        return sum(self.composition.values())

    def variance(self, model_electron2: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the variance of the measured intensities where the true ones are ``model_electron2`` `(n,)`."""
        white = np.full(len(self), self.white_sigma_electron2**2)
        if self.photons_per_electron2 is None:
            return white
        return white + np.maximum(model_electron2, 0.0) / self.photons_per_electron2
