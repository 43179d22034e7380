"""Three-dimensional intensity on a grid of fractional Miller indices."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fewphoton.data.arrays import frozen_array
from fewphoton.errors import DataError


def voxels_to_hold(q_max_inv_angstrom: float, spacing_inv_angstrom: float, margin: int) -> int:
    """Return the odd edge of a grid that reaches to ``q_max_inv_angstrom`` with ``margin`` voxels beyond."""
    return 2 * (math.ceil(q_max_inv_angstrom / spacing_inv_angstrom) + margin) + 1


@dataclass(frozen=True, eq=False)
class IntensityVolume:
    """Intensity at h = (i - n // 2) / k along each axis of a cube, with k voxels per reciprocal cell edge.

    Reciprocal lattice points fall on voxels when k is an integer, whatever the unit cell (Ayyer et al. 2015,
    section 2.1). Axis 0 is h, axis 1 is k, axis 2 is l. The origin is voxel ``n // 2`` for odd and even n, the
    place that ``numpy.fft.fftshift`` gives to zero frequency.

    Parameters
    ----------
    values : ndarray of float64, `(n, n, n)`
        Mean photons per detector pixel and frame.
    weight : ndarray of float64, `(n, n, n)`
        Interpolation weight that each voxel received; 0 where nothing was measured.
    voxels_per_cell : int
        k above.
    """

    values: NDArray[np.float64]
    weight: NDArray[np.float64]
    voxels_per_cell: int

    def __post_init__(self) -> None:
        n = np.shape(self.values)[0] if np.ndim(self.values) == 3 else None
        object.__setattr__(self, "values", frozen_array("volume values", self.values, np.float64, (n, n, n)))
        object.__setattr__(self, "weight", frozen_array("volume weight", self.weight, np.float64, (n, n, n)))
        if self.voxels_per_cell < 1 or self.voxels_per_cell != int(self.voxels_per_cell):
            raise DataError(f"voxels_per_cell must be a positive integer, found {self.voxels_per_cell}")

    @property
    def n(self) -> int:
        """Voxels along an edge."""
        return int(self.values.shape[0])

    @property
    def h_max(self) -> int:
        """Largest integer index whose voxel, and both neighbours, lie inside the grid on both sides."""
        return ((self.n - 1) // 2 - 1) // self.voxels_per_cell

    def axis_hkl(self) -> NDArray[np.float64]:
        """Fractional index along an edge, float64 `(n,)`."""
        return (np.arange(self.n) - self.n // 2) / self.voxels_per_cell

    def voxel_of(self, hkl: ArrayLike) -> NDArray[np.float64]:
        """Fractional voxel coordinate of fractional ``hkl`` `(..., 3)`, `(..., 3)`."""
        return np.asarray(hkl, dtype=np.float64) * self.voxels_per_cell + self.n // 2
