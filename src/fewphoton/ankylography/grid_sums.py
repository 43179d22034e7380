"""Fourier sums between the sites of a position grid and the scattering vectors of a shot.

The sensing matrix of Mutzafi et al. 2015 (Nat. Commun. 6, 7950, doi:10.1038/ncomms8950, eq. 8) holds
f(q) exp(2 pi i q·r) for all detectors, elements and sites; it is never built. Its products are non-uniform Fourier
transforms (Barnett, Magland & af Klinteberg 2019, SIAM J. Sci. Comput. 41, C479, doi:10.1137/18M120885X), and the
form factors are multiplied at the detectors.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.data.arrays import frozen_array
from fewphoton.data.position_grid import PositionGrid
from fewphoton.errors import DataError
from fewphoton.kernels.nonuniform_fourier import finufft_library

_ACCURACY = 1e-9
# With many sites for each detector the Fourier transform costs more than spreading; the coarser fine grid is then
# faster and takes a quarter of the memory.
_SITES_PER_DETECTOR = 64


class GridSums:
    """Sums over all sites for each scattering vector, and over all scattering vectors for each site.

    Results agree with direct sums to about 1e-9 of the 2-norm of the input. One sum takes O(n log n) operations for
    n sites and about 1000 for each detector; its work space is 32 to 128 bytes a site. An object serves one thread
    at a time.

    Parameters
    ----------
    grid : PositionGrid
        Sites.
    q_inv_angstrom : ndarray of float64, `(n, 3)`
        Scattering vectors, without 2 pi.

    Raises
    ------
    ConfigError
        If finufft is not installed.
    DataError
        If ``q_inv_angstrom`` has another shape.
    """

    def __init__(self, grid: PositionGrid, q_inv_angstrom: NDArray[np.float64]) -> None:
        q = frozen_array("grid sums: q_inv_angstrom", q_inv_angstrom, np.float64, (None, 3))
        self.grid = grid
        self.n_detectors = len(q)
        # The transforms count modes from -(n // 2); the rest of the distance to the grid's origin is a phase.
        shape = np.array(grid.shape)
        origin = grid.centre_angstrom + grid.spacing_angstrom * (shape // 2 - (shape - 1) / 2)
        self._phase = np.exp(2j * np.pi * (q @ origin))
        turns = q * grid.spacing_angstrom
        points = [np.ascontiguousarray(column) for column in (2 * np.pi * (turns - np.rint(turns))).T]
        fine = 1.25 if grid.n_sites > _SITES_PER_DETECTOR * len(q) else 2.0
        self._plans = {}
        for kind, sign in ((1, -1), (2, 1)):
            # One thread, so that sums do not depend on how many there are.
            plan = finufft_library().Plan(kind, grid.shape, eps=_ACCURACY, isign=sign, nthreads=1, upsampfac=fine)
            plan.setpts(*points)
            self._plans[kind] = plan

    def at_detectors(self, strength: NDArray[Any]) -> NDArray[np.complex128]:
        """Return the sum over sites of strength exp(2 pi i q·r) at each detector.

        Parameters
        ----------
        strength : ndarray, real or complex, `(..., nx, ny, nz)`
            Amplitudes on the grid, for example of each element.

        Returns
        -------
        ndarray of complex128, `(..., n)`

        Raises
        ------
        DataError
            If the last axes are not those of the grid.
        """
        given = self._checked(strength, self.grid.shape)
        return np.asarray(self._phase * self._transform(2, given, (self.n_detectors,)))

    def at_sites(self, weight: NDArray[Any]) -> NDArray[np.complex128]:
        """Return the sum over detectors of weight exp(-2 pi i q·r) at each site, the adjoint of ``at_detectors``.

        Parameters
        ----------
        weight : ndarray, real or complex, `(..., n)`
            Values at the detectors.

        Returns
        -------
        ndarray of complex128, `(..., nx, ny, nz)`

        Raises
        ------
        DataError
            If the last axis is not that of the detectors.
        """
        given = self._checked(weight, (self.n_detectors,))
        return self._transform(1, np.conj(self._phase) * given, self.grid.shape)

    @staticmethod
    def _checked(values: NDArray[Any], inner: tuple[int, ...]) -> NDArray[np.complex128]:
        given = np.asarray(values, dtype=np.complex128)
        if given.shape[-len(inner) :] != inner:
            raise DataError(f"grid sums: expected an array whose last axes are {inner}, found shape {given.shape}")
        return given

    def _transform(self, kind: int, values: NDArray[np.complex128], result: tuple[int, ...]) -> NDArray[np.complex128]:
        n_inner = 1 if kind == 1 else 3
        outer, inner = values.shape[:-n_inner], values.shape[-n_inner:]
        found = np.empty((math.prod(outer), *result), dtype=np.complex128)
        for source, target in zip(np.ascontiguousarray(values).reshape(-1, *inner), found, strict=True):
            self._plans[kind].execute(source, out=target)
        return found.reshape(*outer, *result)
