"""A molecule that was found in a shot, and how well it explains it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.data.arrays import frozen_array
from fewphoton.data.molecule import Molecule
from fewphoton.errors import DataError


@dataclass(frozen=True, eq=False)
class RecoveredMolecule:
    """One solution.

    Parameters
    ----------
    molecule : Molecule
        Atoms; occupancies are amplitudes relative to whole atoms where they were free.
    reduced_chi2 : float
        Mean over all detectors of (measured - model)² / variance; the truth has 1 on average.
    standard_error_angstrom : ndarray of float64, `(n_atoms, 3)`, or None
        Standard errors of the positions from the Fisher information.

    Raises
    ------
    DataError
        If the misfit is negative or not finite, or the errors do not fit the atoms.
    """

    molecule: Molecule
    reduced_chi2: float
    standard_error_angstrom: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.reduced_chi2 < np.inf:
            raise DataError(f"recovered molecule: reduced chi² must be finite, found {self.reduced_chi2}")
        if self.standard_error_angstrom is not None:
            shape = (len(self.molecule), 3)
            errors = frozen_array(
                "recovered molecule: standard errors", self.standard_error_angstrom, np.float64, shape
            )
            object.__setattr__(self, "standard_error_angstrom", errors)
