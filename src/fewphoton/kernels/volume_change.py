"""Passes over a whole volume: the mean of what was compressed, and how far it moved."""

from __future__ import annotations

import numba
import numpy as np
from numba import prange
from numpy.typing import NDArray


@numba.njit(cache=True, parallel=True)
def divide_by_weight(total: NDArray[np.float64], weight: NDArray[np.float64]) -> None:
    """Divide sums by their weights in place, 0 where the weight is 0; 24 bytes of traffic per voxel.

    Parameters
    ----------
    total : ndarray of float64, `(n, n, n)`
        Interpolated photons; overwritten with their weighted means.
    weight : ndarray of float64, `(n, n, n)`
        Interpolated exposure.
    """
    n = total.shape[0]
    for plane in prange(n):
        values, weights = total[plane].reshape(-1), weight[plane].reshape(-1)
        for v in range(len(values)):
            values[v] = values[v] / weights[v] if weights[v] > 0 else 0.0


@numba.njit(cache=True, fastmath={"reassoc", "contract", "nsz"})
def _plane_squares(
    values: NDArray[np.float64], former: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[float, float]:
    moved, size = 0.0, 0.0
    for v in range(len(values)):
        before = former[v] if weight[v] > 0 else 0.0
        step = values[v] - before if weight[v] > 0 else 0.0
        moved += step * step
        size += before * before
    return moved, size


@numba.njit(cache=True, parallel=True)
def squared_change(
    values: NDArray[np.float64],
    former: NDArray[np.float64],
    weight: NDArray[np.float64],
    planes: NDArray[np.float64],
) -> None:
    """Write, for each plane, the sums over measured voxels of the squared difference and of the former's square.

    24 bytes of traffic per voxel. The sum of a plane has a fixed order.

    Parameters
    ----------
    values, former : ndarray of float64, `(n, n, n)`
        The volume now and before.
    weight : ndarray of float64, `(n, n, n)`
        Voxels of weight 0 are not measured and do not count.
    planes : ndarray of float64, `(n, 2)`
        Filled.
    """
    for plane in prange(values.shape[0]):
        moved, size = _plane_squares(values[plane].reshape(-1), former[plane].reshape(-1), weight[plane].reshape(-1))
        planes[plane, 0] = moved
        planes[plane, 1] = size
