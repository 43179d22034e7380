"""Atoms on a grid of sites that are to explain one shot: waves of sites, and the misfit's gradient over all sites."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.ankylography.grid_sums import GridSums
from fewphoton.ankylography.misfit_weights import Weights, misfit_weights, noise_floor
from fewphoton.data.position_grid import PositionGrid
from fewphoton.data.shot import Shot
from fewphoton.errors import DataError


@dataclass(frozen=True, eq=False)
class SparseProblem:
    """A shot, a grid and weights.

    Parameters
    ----------
    shot : Shot
        Intensities and composition.
    model : ForwardModel
        Form factors of the composition's elements, in its order.
    sums : GridSums
        Fourier sums over the grid.
    weight : ndarray of float64, `(n,)`
        Weight of each detector's squared misfit.
    floor : float
        Weighted misfit that the truth hardly exceeds.
    """

    shot: Shot
    model: ForwardModel
    sums: GridSums
    weight: NDArray[np.float64]
    floor: float

    @classmethod
    def of(cls, shot: Shot, grid: PositionGrid, weights: Weights, kappa: float) -> SparseProblem:
        """Return the problem of a shot on a grid.

        Raises
        ------
        DataError
            If the grid has fewer sites than the molecule atoms, or the shot fewer detectors, or no intensity is
            positive.
        ConfigError
            If weights by noise are asked for and there is none.
        """
        if grid.n_sites < shot.n_atoms:
            raise DataError(f"{shot.n_atoms} atoms do not fit on a grid of {grid.n_sites} sites; use more sites")
        if len(shot) < shot.n_atoms:
            raise DataError(f"{len(shot)} intensities cannot determine {shot.n_atoms} atoms; measure at more detectors")
        if not shot.intensity_electron2.max() > 0:
            raise DataError("no intensity of the shot is above 0; there is nothing to explain")
        model = ForwardModel.of(shot)
        weight = misfit_weights(shot, model, weights, kappa)
        return cls(shot, model, GridSums(grid, shot.q_inv_angstrom), weight, noise_floor(shot, model, weight))

    @property
    def grid(self) -> PositionGrid:
        """Sites."""
        return self.sums.grid

    @property
    def counts(self) -> NDArray[np.int64]:
        """Atoms of each element, `(n_elements,)`."""
        return np.array(list(self.shot.composition.values()), dtype=np.int64)

    def residual(self, misfit: float) -> float:
        """Return the root of a weighted misfit relative to that of no atoms at all."""
        return float(np.sqrt(misfit / (self.weight @ self.shot.intensity_electron2**2)))

    def columns(self, kind: NDArray[np.int64], site: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the waves of whole atoms on sites, float64 `(n_atoms, 2, n)`: real and imaginary part."""
        waves = self.model.waves(self.grid.positions(site), kind).T
        return np.ascontiguousarray(np.stack([waves.real, waves.imag], axis=1))

    def gradient(
        self, wave: NDArray[np.float64], kind: int, weight: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Return the derivatives of the misfit by the amplitude of one element at every site.

        With r = |F|² - c they are 4 Re sum(w r F* f exp(2 pi i q·r)), one Fourier sum over the grid.

        Parameters
        ----------
        wave : ndarray of float64, `(2, n)`
            Real and imaginary part of F.
        kind : int
            Number of the element.
        weight : ndarray of float64, `(n,)`, optional
            In place of the problem's own.

        Returns
        -------
        ndarray of float64, `(n_sites,)`
        """
        weights = self.weight if weight is None else weight
        excess = weights * (wave[0] ** 2 + wave[1] ** 2 - self.shot.intensity_electron2)
        strength = (excess * self.model.factor[kind]) * (wave[0] + 1j * wave[1])
        return np.asarray(4 * self.sums.at_sites(strength).real.ravel())
