"""Averages over voxels that the symmetry of a crystal makes equivalent."""

from __future__ import annotations

import numba
import numpy as np
from numba import prange
from numpy.typing import NDArray


@numba.njit(cache=True)
def _place(operation: NDArray[np.int64], h: int, k: int, m: int, half: int, n: int) -> int:
    """Return the flat index of the voxel to which an operation takes hkl, -1 beyond the cube."""
    a = operation[0, 0] * h + operation[0, 1] * k + operation[0, 2] * m
    b = operation[1, 0] * h + operation[1, 1] * k + operation[1, 2] * m
    c = operation[2, 0] * h + operation[2, 1] * k + operation[2, 2] * m
    if max(abs(a), abs(b), abs(c)) > half:
        return -1
    centre = n // 2
    return int(((a + centre) * n + b + centre) * n + c + centre)


@numba.njit(cache=True, parallel=True)
def average_equivalents(
    values: NDArray[np.float64], weight: NDArray[np.float64], operations: NDArray[np.int64]
) -> None:
    """Replace each value by the weighted mean over its equivalents, and each weight by their mean, in place.

    The voxel of an orbit that comes first in memory does the work for all of them, so none is written by two threads
    and nothing depends on their number. A voxel costs 32 bytes of traffic, scattered over as many places as there are
    operations, and 30 operations of integers for each of these; the others of an orbit stop at the first equivalent
    that comes before them.

    Parameters
    ----------
    values : ndarray of float64, `(n, n, n)`
        Intensity about the voxel ``n // 2``; overwritten.
    weight : ndarray of float64, `(n, n, n)`
        Voxels of weight 0 do not count; overwritten.
    operations : ndarray of int64, `(n_operations, 3, 3)`
        A group of integer matrices that act on hkl. Equivalents beyond the cube count as not measured; the outermost
        planes of an even grid on the negative side have no mates and stay as they are.
    """
    n = values.shape[0]
    half, centre = (n - 1) // 2, n // 2
    flat, mass = values.reshape(-1), weight.reshape(-1)
    for plane in prange(-half, half + 1):
        places = np.empty(len(operations), dtype=np.int64)
        for k in range(-half, half + 1):
            for m in range(-half, half + 1):
                own = ((plane + centre) * n + k + centre) * n + m + centre
                is_first = True
                for g in range(len(operations)):
                    places[g] = _place(operations[g], plane, k, m, half, n)
                    if 0 <= places[g] < own:
                        is_first = False
                        break
                if not is_first:
                    continue
                total, total_mass = 0.0, 0.0
                for place in places:
                    if place >= 0 and mass[place] > 0:
                        total += mass[place] * flat[place]
                        total_mass += mass[place]
                mean = total / total_mass if total_mass > 0 else 0.0
                mean_mass = total_mass / len(places)
                for place in places:
                    if place >= 0:
                        flat[place] = mean
                        mass[place] = mean_mass
