"""Weighted least squares between measured and modelled intensities, with gradient and curvature.

The objective is the sum over detectors of weight (|F|² - measured)² (Mutzafi et al. 2015, Nat. Commun. 6, 7950,
doi:10.1038/ncomms8950, eq. 10, where all weights are 1). Parameters stand in the order of the Jacobian: x, y, z of
the first atom, of the second, ...; then one amplitude an atom where those are free.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.ankylography.forward_model import ForwardModel


@dataclass(frozen=True, eq=False)
class WeightedMisfit:
    """The objective of given measurements.

    Parameters
    ----------
    model : ForwardModel
        Scattering of atoms into the detectors.
    kind : ndarray of int64, `(n_atoms,)`
        Number of each atom's element in the model.
    measured_electron2 : ndarray of float64, `(n,)`
        Measured intensities.
    weight : ndarray of float64, `(n,)`
        Weights, for example 1 / variance.
    amplitudes : bool
        Amplitudes are parameters beside the positions.
    """

    model: ForwardModel
    kind: NDArray[np.int64]
    measured_electron2: NDArray[np.float64]
    weight: NDArray[np.float64]
    amplitudes: bool = False

    def residual(
        self, position_angstrom: NDArray[np.float64], occupancy: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Return |F|² - measured, float64 `(n,)`, of atoms at ``position_angstrom`` `(n_atoms, 3)`."""
        return self.model.intensity(position_angstrom, self.kind, occupancy) - self.measured_electron2

    def value(self, position_angstrom: NDArray[np.float64], occupancy: NDArray[np.float64] | None = None) -> float:
        """Return the objective."""
        return float(self.weight @ self.residual(position_angstrom, occupancy) ** 2)

    def gradient(
        self, position_angstrom: NDArray[np.float64], occupancy: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Return its derivatives, float64 `(n_parameters,)`."""
        slope = self._jacobian(position_angstrom, occupancy)
        return np.asarray(2 * (self.weight * self.residual(position_angstrom, occupancy)) @ slope)

    def gauss_newton(
        self, position_angstrom: NDArray[np.float64], occupancy: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Return the part of the Hessian that needs first derivatives alone, float64 `(n_parameters, n_parameters)`.

        It is positive semidefinite, and equals the Hessian where the model meets the measurements.
        """
        slope = self._jacobian(position_angstrom, occupancy)
        return np.asarray(2 * (slope * self.weight[:, None]).T @ slope)

    def hessian(
        self, position_angstrom: NDArray[np.float64], occupancy: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Return all second derivatives, float64 `(n_parameters, n_parameters)`."""
        share = 2 * self.weight * self.residual(position_angstrom, occupancy)
        curvature = self.model.curvature(share, position_angstrom, self.kind, occupancy, amplitudes=self.amplitudes)
        return self.gauss_newton(position_angstrom, occupancy) + curvature

    def _jacobian(
        self, position_angstrom: NDArray[np.float64], occupancy: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        return self.model.jacobian(position_angstrom, self.kind, occupancy, amplitudes=self.amplitudes)
