"""Ewald-surface slices of a volume by cubic B-splines: smoother than linear interpolation, for simulated patterns."""

from __future__ import annotations

import numba
import numpy as np
from numba import prange
from numpy.typing import NDArray


@numba.njit(cache=True)
def _weights(part: float, weight: NDArray[np.float64]) -> None:
    """Fill the four cubic B-spline weights of a sample ``part`` of the way from its second to its third neighbour."""
    rest = 1.0 - part
    weight[0] = rest * rest * rest / 6.0
    weight[1] = 2.0 / 3.0 - part * part * (2.0 - part) / 2.0
    weight[2] = 2.0 / 3.0 - rest * rest * (2.0 - rest) / 2.0
    weight[3] = part * part * part / 6.0


@numba.njit(cache=True, parallel=True)
def cubic_patterns(
    coefficients: NDArray[np.float32],
    q: NDArray[np.float64],
    transform: NDArray[np.float64],
    origin: float,
    pattern: NDArray[np.float32],
) -> None:
    """Evaluate the spline at every pixel of every view; what falls below zero between samples becomes zero.

    Per pixel and view: 9 multiply-adds for the coordinate, 12 weights of 4 operations, 64 gathered float32 in 16 rows
    of 4, 84 multiply-adds in float64, one float32 written. Each sample is computed on its own, so nothing depends on
    the number of threads.

    Parameters
    ----------
    coefficients : ndarray of float32, `(n, n, n)`
        Spline coefficients, as from ``scipy.ndimage.spline_filter`` of order 3.
    q : ndarray of float64, `(n_pixels, 3)`
        Scattering vectors; all samples must lie inside the grid with two voxels to spare.
    transform : ndarray of float64, `(n_views, 3, 3)`
        From q to voxels.
    origin : float
        Voxel index of q = 0.
    pattern : ndarray of float32, `(n_views, n_pixels)`
        Filled.
    """
    for view in prange(transform.shape[0]):
        m = transform[view]
        along_x, along_y, along_z = np.empty(4), np.empty(4), np.empty(4)
        for p in range(q.shape[0]):
            x = m[0, 0] * q[p, 0] + m[0, 1] * q[p, 1] + m[0, 2] * q[p, 2] + origin
            y = m[1, 0] * q[p, 0] + m[1, 1] * q[p, 1] + m[1, 2] * q[p, 2] + origin
            z = m[2, 0] * q[p, 0] + m[2, 1] * q[p, 1] + m[2, 2] * q[p, 2] + origin
            i, j, k = int(x), int(y), int(z)
            _weights(x - i, along_x)
            _weights(y - j, along_y)
            _weights(z - k, along_z)
            total = 0.0
            for a in range(4):
                plane = 0.0
                for b in range(4):
                    row = coefficients[i - 1 + a, j - 1 + b]
                    line = 0.0
                    for c in range(4):
                        line += along_z[c] * row[k - 1 + c]
                    plane += along_y[b] * line
                total += along_x[a] * plane
            pattern[view, p] = max(total, 0.0)
