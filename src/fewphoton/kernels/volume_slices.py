"""Expand and compress: Ewald-surface slices of a volume by trilinear interpolation, and the exact adjoint.

A pixel ``t`` in orientation ``r`` samples the volume at voxel coordinate ``transform[r] @ q[t] + origin``. Both
kernels use the same eight neighbours and weights, so ``<expand(V), W> == <V, compress(W)>`` to rounding
(Ayyer et al. 2015, doi:10.1107/S2052252514022313, section 2: linear interpolation).
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(cache=True, parallel=True)
def expand(
    volume: NDArray[np.float64],
    q: NDArray[np.float64],
    transform: NDArray[np.float64],
    origin: float,
    table: NDArray[np.float32],
) -> None:
    """Sample the volume at every pixel and orientation.

    Per pixel and orientation: 9 multiply-adds for the coordinate, 8 gathered float64 (mostly from two cache
    lines), 7 interpolations, one float32 written.

    Parameters
    ----------
    volume : ndarray of float64, `(n, n, n)`
        Intensity.
    q : ndarray of float64, `(n_pixels, 3)`
        Scattering vectors; all samples must lie inside the grid with one voxel to spare.
    transform : ndarray of float64, `(n_orientations, 3, 3)`
        From q to voxels.
    origin : float
        Voxel index of hkl = 0.
    table : ndarray of float32, `(n_pixels, n_orientations)`
        Filled with the sampled intensity.
    """
    for t in numba.prange(q.shape[0]):
        qx, qy, qz = q[t, 0], q[t, 1], q[t, 2]
        for r in range(transform.shape[0]):
            x = transform[r, 0, 0] * qx + transform[r, 0, 1] * qy + transform[r, 0, 2] * qz + origin
            y = transform[r, 1, 0] * qx + transform[r, 1, 1] * qy + transform[r, 1, 2] * qz + origin
            z = transform[r, 2, 0] * qx + transform[r, 2, 1] * qy + transform[r, 2, 2] * qz + origin
            i, j, k = int(x), int(y), int(z)
            fx, fy, fz = x - i, y - j, z - k
            low = (1 - fy) * ((1 - fz) * volume[i, j, k] + fz * volume[i, j, k + 1]) + fy * (
                (1 - fz) * volume[i, j + 1, k] + fz * volume[i, j + 1, k + 1]
            )
            high = (1 - fy) * ((1 - fz) * volume[i + 1, j, k] + fz * volume[i + 1, j, k + 1]) + fy * (
                (1 - fz) * volume[i + 1, j + 1, k] + fz * volume[i + 1, j + 1, k + 1]
            )
            table[t, r] = (1 - fx) * low + fx * high


@numba.njit(cache=True, parallel=True)
def compress(
    table: NDArray[np.float32],
    exposure: NDArray[np.float64],
    response: NDArray[np.float64],
    q: NDArray[np.float64],
    transform: NDArray[np.float64],
    origin: float,
    n_slabs: int,
    total: NDArray[np.float64],
) -> None:
    """Add views into the volume: photons and exposure side by side.

    Each slab of voxels belongs to one thread, which walks over all samples in the same order and adds only what
    falls into its slab; the sums therefore do not depend on the number of slabs. Per pixel and orientation: the
    coordinate (9 multiply-adds) once a slab, and 8 scattered pairs of float64 in one of them.

    Parameters
    ----------
    table : ndarray of float32, `(n_pixels, n_orientations)`
        Photons of each view.
    exposure : ndarray of float64, `(n_orientations,)`
        Weight of each view; views of weight 0 are left out.
    response : ndarray of float64, `(n_pixels,)`
        Relative photons a pixel counts at unit intensity (solid angle, polarization).
    q, transform, origin
        As in :func:`expand`.
    n_slabs : int
        Number of parts the volume is cut into along axis 0.
    total : ndarray of float64, `(n, n, n, 2)`
        Added to: interpolated photons in ``[..., 0]`` and interpolated exposure times response in ``[..., 1]``.
    """
    n = total.shape[0]
    for slab in numba.prange(n_slabs):
        first = slab * n // n_slabs
        last = (slab + 1) * n // n_slabs
        for t in range(q.shape[0]):
            qx, qy, qz = q[t, 0], q[t, 1], q[t, 2]
            sensitivity = response[t]
            for r in range(transform.shape[0]):
                if exposure[r] == 0.0:
                    continue
                x = transform[r, 0, 0] * qx + transform[r, 0, 1] * qy + transform[r, 0, 2] * qz + origin
                i = int(x)
                if i + 1 < first or i >= last:
                    continue
                y = transform[r, 1, 0] * qx + transform[r, 1, 1] * qy + transform[r, 1, 2] * qz + origin
                z = transform[r, 2, 0] * qx + transform[r, 2, 1] * qy + transform[r, 2, 2] * qz + origin
                j, k = int(y), int(z)
                fx, fy, fz = x - i, y - j, z - k
                photons = np.float64(table[t, r])
                weight = exposure[r] * sensitivity
                for di in range(2):
                    if i + di < first or i + di >= last:
                        continue
                    wx = fx if di else 1 - fx
                    for dj in range(2):
                        wxy = wx * (fy if dj else 1 - fy)
                        near = wxy * (1 - fz)
                        far = wxy * fz
                        total[i + di, j + dj, k, 0] += near * photons
                        total[i + di, j + dj, k, 1] += near * weight
                        total[i + di, j + dj, k + 1, 0] += far * photons
                        total[i + di, j + dj, k + 1, 1] += far * weight
