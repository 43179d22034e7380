"""Density of a single particle on a periodic cubic grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.data.arrays import frozen_array
from fewphoton.errors import DataError


@dataclass(frozen=True, eq=False)
class Density:
    """Density at r = (i - n // 2) L / n along each axis of a cube that repeats with the box's edge L.

    The Fourier volume of the same box has its voxels 1/L apart, so that both grids have n voxels along an edge.

    Parameters
    ----------
    values : ndarray of float64, `(n, n, n)`
        Density of a voxel, up to one factor; axes x, y and z.
    box_angstrom : float
        L above.
    q_low_inv_angstrom, q_high_inv_angstrom : float
        Shells of q between which intensities were measured; what lies outside was found by the constraints alone.

    Raises
    ------
    DataError
        If the grid is no cube, a value is not finite, or lengths and q are impossible.
    """

    values: NDArray[np.float64]
    box_angstrom: float
    q_low_inv_angstrom: float
    q_high_inv_angstrom: float

    def __post_init__(self) -> None:
        n = np.shape(self.values)[0] if np.ndim(self.values) == 3 else None
        values = frozen_array("density values", self.values, np.float64, (n, n, n))
        if values.size == 0 or not np.isfinite(values).all():
            raise DataError("a density needs voxels, all of them finite")
        object.__setattr__(self, "values", values)
        if not self.box_angstrom > 0:
            raise DataError(f"box_angstrom must be above zero, found {self.box_angstrom}")
        if not 0 <= self.q_low_inv_angstrom < self.q_high_inv_angstrom:
            raise DataError(
                f"measured q must ascend from 0 on, found {self.q_low_inv_angstrom} to {self.q_high_inv_angstrom}"
            )

    @property
    def n(self) -> int:
        """Voxels along an edge."""
        return int(self.values.shape[0])

    @property
    def voxel_angstrom(self) -> float:
        """Edge of a voxel."""
        return self.box_angstrom / self.n

    def axis_angstrom(self) -> NDArray[np.float64]:
        """Coordinate along an edge, float64 `(n,)`."""
        return np.asarray((np.arange(self.n) - self.n // 2) * self.voxel_angstrom, dtype=np.float64)
