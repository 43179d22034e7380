"""Projection of densities on a grid onto measured moduli on a sheet of the Ewald sphere.

A grid holds far more numbers than a sheet has detectors, and waves of neighbouring detectors nearly agree on a small
grid, so that the least change which makes every modulus the measured one may be huge. Here the change is the one of
Tikhonov: delta = A' (A A' + mu p)^-1 (target - A u), with p the largest eigenvalue of A A'. A A' lives in the space of
measurements and needs no sum over sites: for a grid that is symmetric about its middle it is a product of the elements'
form factors and of Dirichlet kernels of q - q' and q + q'.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse.linalg import eigsh
from scipy.special import diric

from fewphoton.ankylography.grid_sums import GridSums
from fewphoton.errors import DataError

# Two matrices of 8 bytes a number: 0.6 GB.
_MOST_DETECTORS = 6000


class SheetProjection:
    """Densities to waves, and back to the nearest densities with given moduli.

    Setting up takes `n² n_elements` operations and `n³ / 3` for each of two Cholesky factors, and 16 n² bytes. A
    projection takes two Fourier sums over the grid for each density and 4 n² operations.

    Parameters
    ----------
    sums : GridSums
        Fourier sums over the grid.
    factor : ndarray of float64, `(n_densities, n)`
        Transform of each density's building block at each detector.
    q_inv_angstrom : ndarray of float64, `(n, 3)`
        Scattering vectors.
    regularization : float
        mu.

    Attributes
    ----------
    power : float
        Largest eigenvalue of A A', by which a gradient step along ``back(target - wave)`` must be divided so that it
        never overshoots.

    Raises
    ------
    DataError
        If there are more than 6000 detectors.
    """

    def __init__(
        self,
        sums: GridSums,
        factor: NDArray[np.float64],
        q_inv_angstrom: NDArray[np.float64],
        regularization: float,
    ) -> None:
        n = len(q_inv_angstrom)
        if n > _MOST_DETECTORS:
            raise DataError(
                f"projections onto {n} intensities need matrices of their square; bin them to {_MOST_DETECTORS} at most"
            )
        self.sums = sums
        self.factor = factor
        # Waves about the grid's middle, where real and imaginary parts do not mix.
        self._middle = np.exp(-2j * np.pi * (q_inv_angstrom @ np.array(sums.grid.centre_angstrom)))
        product = factor.T @ factor / 2
        difference = product * self._dirichlet(q_inv_angstrom, -1)
        total = product * self._dirichlet(q_inv_angstrom, 1)
        self.power = max(_largest_eigenvalue(difference + sign * total) for sign in (1, -1))
        ridge = regularization * self.power * np.eye(n)
        self._factors = [cho_factor(difference + sign * total + ridge, lower=True) for sign in (1, -1)]

    def _dirichlet(self, q: NDArray[np.float64], sign: int) -> NDArray[np.float64]:
        """Return the sum over sites of exp(2 pi i (q + sign q')·r) about the grid's middle, `(n, n)`."""
        kernel = np.ones((len(q), len(q)))
        for axis, n_sites in enumerate(self.sums.grid.shape):
            turns = 2 * np.pi * self.sums.grid.spacing_angstrom * (q[:, None, axis] + sign * q[None, :, axis])
            kernel *= n_sites * diric(turns, n_sites)
        return kernel

    def wave(self, density: NDArray[np.float64]) -> NDArray[np.complex128]:
        """Return F of densities `(n_densities, nx, ny, nz)`, complex128 `(n,)`."""
        return np.asarray((self.factor * self.sums.at_detectors(density)).sum(axis=0))

    def nearest(
        self, density: NDArray[np.float64], wave: NDArray[np.complex128], target: NDArray[np.complex128]
    ) -> NDArray[np.float64]:
        """Return the densities next to ``density`` whose F is nearly ``target``.

        Parameters
        ----------
        density : ndarray of float64, `(n_densities, nx, ny, nz)`
            Densities.
        wave, target : ndarray of complex128, `(n,)`
            Their F, and the wanted one.
        """
        gap = self._middle * (target - wave)
        parts = [
            cho_solve(factor, part, check_finite=False)
            for factor, part in zip(self._factors, (gap.real, gap.imag), strict=True)
        ]
        return density + self.back(np.conj(self._middle) * (parts[0] + 1j * parts[1]))

    def back(self, wave: NDArray[np.complex128]) -> NDArray[np.float64]:
        """Return the adjoint of :meth:`wave` for real densities, `(n_densities, nx, ny, nz)`."""
        return np.asarray(self.sums.at_sites(self.factor * wave).real)


def with_phases_of(modulus: NDArray[np.float64], wave: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Return waves of given moduli and the phases of ``wave``, phase 0 where it vanishes; all `(n,)`."""
    size = np.abs(wave)
    return np.asarray(modulus * np.divide(wave, size, out=np.ones_like(wave), where=size > 0))


def _largest_eigenvalue(matrix: NDArray[np.float64]) -> float:
    if len(matrix) < 3:
        return float(np.linalg.eigvalsh(matrix)[-1])
    # A start of one's own, so that every run is the same.
    return float(eigsh(matrix, k=1, which="LA", v0=matrix.sum(axis=0) + matrix.trace(), return_eigenvectors=False)[0])
