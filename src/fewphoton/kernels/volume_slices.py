"""Expand and compress: Ewald-surface slices of a volume by trilinear interpolation, and the exact adjoint.

A pixel ``t`` in orientation ``r`` samples the volume at voxel coordinate ``transform[r] @ q[t] + origin``. Both
directions take the same eight neighbours and weights from one function, so ``<expand(V), W> == <V, compress(W)>`` to
rounding (Ayyer et al. 2015, doi:10.1107/S2052252514022313, section 2: linear interpolation).

Samples are handled in tiles of neighbouring pixels and orientations, which keeps the voxels they share in cache and
lets coordinates be computed eight at a time. All pixels see some orientations before the next orientations come:
rows of pixels overlap in voxels, and what one row touched is still in cache for the next.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import prange
from numpy import float32 as f32
from numpy.typing import NDArray

_PIXELS = 32
_VIEWS = 64


@numba.njit(cache=True)
def _load_transforms(transform: NDArray[np.float64], first: int, n_views: int, columns: NDArray[np.float64]) -> None:
    """Turn the matrices of some views into nine rows of elements."""
    for r in range(n_views):
        for a in range(3):
            for b in range(3):
                columns[3 * a + b, r] = transform[first + r, a, b]


@numba.njit(cache=True)
def _locate(
    q: NDArray[np.float64],
    columns: NDArray[np.float64],
    n_views: int,
    origin: float,
    n: int,
    base: NDArray[np.int64],
    part: NDArray[np.float32],
) -> None:
    """Write the flat index of each sample's lowest neighbour, and its place between neighbours along each axis."""
    qx, qy, qz = q[0], q[1], q[2]
    for r in range(n_views):
        x = columns[0, r] * qx + columns[1, r] * qy + columns[2, r] * qz + origin
        y = columns[3, r] * qx + columns[4, r] * qy + columns[5, r] * qz + origin
        z = columns[6, r] * qx + columns[7, r] * qy + columns[8, r] * qz + origin
        i, j, k = np.int32(x), np.int32(y), np.int32(z)
        base[r] = (np.int64(i) * n + j) * n + k
        part[0, r] = f32(x - i)
        part[1, r] = f32(y - j)
        part[2, r] = f32(z - k)


@numba.njit(cache=True, parallel=True)
def expand(
    volume: NDArray[np.float32],
    q: NDArray[np.float64],
    transform: NDArray[np.float64],
    origin: float,
    table: NDArray[np.float32],
) -> None:
    """Sample the volume at every pixel and orientation.

    Per pixel and orientation: 9 multiply-adds in float64 for the coordinate, 8 gathered float32 (mostly from four
    cache lines that the sample before has touched), 7 interpolations, one float32 written. Each sample is computed on
    its own, so nothing depends on the number of threads.

    Parameters
    ----------
    volume : ndarray of float32, `(n, n, n)`
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
    n = volume.shape[0]
    flat = volume.reshape(-1)
    one, row, plane = np.uint64(1), np.uint64(n), np.uint64(n * n)
    n_pixels, n_orientations = table.shape
    n_blocks = (n_pixels + _PIXELS - 1) // _PIXELS
    n_tiles = (n_orientations + _VIEWS - 1) // _VIEWS
    for task in prange(n_tiles * n_blocks):
        first, block = task // n_blocks * _VIEWS, task % n_blocks
        columns = np.empty((9, _VIEWS))
        base = np.empty(_VIEWS, dtype=np.int64)
        part = np.empty((3, _VIEWS), dtype=np.float32)
        n_views = min(_VIEWS, n_orientations - first)
        _load_transforms(transform, first, n_views, columns)
        for t in range(block * _PIXELS, min((block + 1) * _PIXELS, n_pixels)):
            _locate(q[t], columns, n_views, origin, n, base, part)
            out = table[t]
            for r in range(n_views):
                b = np.uint64(base[r])
                x, y, z = part[0, r], part[1, r], part[2, r]
                v000, v001 = flat[b], flat[b + one]
                v010, v011 = flat[b + row], flat[b + row + one]
                v100, v101 = flat[b + plane], flat[b + plane + one]
                v110, v111 = flat[b + plane + row], flat[b + plane + row + one]
                v00, v01 = v000 + z * (v001 - v000), v010 + z * (v011 - v010)
                v10, v11 = v100 + z * (v101 - v100), v110 + z * (v111 - v110)
                v0, v1 = v00 + y * (v01 - v00), v10 + y * (v11 - v10)
                out[first + r] = v0 + x * (v1 - v0)


@numba.njit(cache=True)
def _add_pair(flat: NDArray[np.float64], place: np.uint64, value: float, far: float) -> None:
    """Share ``value`` between two voxels that are neighbours in memory."""
    second = value * far
    flat[place] += value - second
    flat[place + np.uint64(1)] += second


@numba.njit(cache=True)
def _scatter(
    value: NDArray[np.float64],
    base: NDArray[np.int64],
    part: NDArray[np.float32],
    n_views: int,
    n: int,
    flat: NDArray[np.float64],
) -> None:
    """Share each value among its eight neighbours."""
    row, plane = np.uint64(n), np.uint64(n * n)
    for r in range(n_views):
        b = np.uint64(base[r])
        y, z = np.float64(part[1, r]), np.float64(part[2, r])
        high = value[r] * np.float64(part[0, r])
        low = value[r] - high
        high_far, low_far = high * y, low * y
        _add_pair(flat, b, low - low_far, z)
        _add_pair(flat, b + row, low_far, z)
        _add_pair(flat, b + plane, high - high_far, z)
        _add_pair(flat, b + plane + row, high_far, z)


@numba.njit(cache=True)
def _scatter_within(
    value: NDArray[np.float64],
    base: NDArray[np.int64],
    part: NDArray[np.float32],
    n_views: int,
    n: int,
    first: int,
    last: int,
    flat: NDArray[np.float64],
) -> None:
    """Do as :func:`_scatter` for the planes ``first`` to ``last - 1`` alone."""
    row, plane = np.uint64(n), np.uint64(n * n)
    below, begin, end = (first - 1) * n * n, first * n * n, last * n * n
    for r in range(n_views):
        if base[r] < below or base[r] >= end:
            continue
        b = np.uint64(base[r])
        y, z = np.float64(part[1, r]), np.float64(part[2, r])
        high = value[r] * np.float64(part[0, r])
        low = value[r] - high
        if base[r] >= begin:
            low_far = low * y
            _add_pair(flat, b, low - low_far, z)
            _add_pair(flat, b + row, low_far, z)
        if base[r] + n * n < end:
            high_far = high * y
            _add_pair(flat, b + plane, high - high_far, z)
            _add_pair(flat, b + plane + row, high_far, z)


@numba.njit(cache=True, parallel=True)
def _plane_ranges(
    q: NDArray[np.float64],
    transform: NDArray[np.float64],
    origin: float,
    lowest: NDArray[np.int64],
    highest: NDArray[np.int64],
) -> None:
    """Write the lowest and highest plane that each tile adds to, one plane generous on either side."""
    for block in prange(lowest.shape[0]):
        for tile in range(lowest.shape[1]):
            low, high = np.inf, -np.inf
            for r in range(tile * _VIEWS, min((tile + 1) * _VIEWS, transform.shape[0])):
                a, b, c = transform[r, 0, 0], transform[r, 0, 1], transform[r, 0, 2]
                for t in range(block * _PIXELS, min((block + 1) * _PIXELS, q.shape[0])):
                    x = a * q[t, 0] + b * q[t, 1] + c * q[t, 2]
                    low = min(low, x)
                    high = max(high, x)
            lowest[block, tile] = max(int(low + origin) - 1, 0)
            highest[block, tile] = int(high + origin) + 2


def _slab_bounds(lowest: NDArray[np.int64], highest: NDArray[np.int64], n: int, n_slabs: int) -> NDArray[np.int64]:
    """Cut the planes into slabs of about equal work, taking the work of a tile as spread evenly over its planes."""
    per_plane = 1.0 / (highest - lowest + 1)
    slope = np.bincount(lowest.ravel(), per_plane.ravel(), n + 2)[: n + 2]
    slope -= np.bincount(np.minimum(highest + 1, n + 1).ravel(), per_plane.ravel(), n + 2)[: n + 2]
    work = np.concatenate([[0.0], np.cumsum(np.cumsum(slope)[:n])])
    bounds = np.searchsorted(work, work[-1] * np.arange(n_slabs + 1) / n_slabs)
    bounds[0], bounds[-1] = 0, n
    return np.asarray(np.maximum.accumulate(bounds), dtype=np.int64)


@numba.njit(cache=True, parallel=True)
def _compress_slabs(
    table: NDArray[np.float32] | None,
    row_factor: NDArray[np.float64],
    column_factor: NDArray[np.float64],
    q: NDArray[np.float64],
    transform: NDArray[np.float64],
    origin: float,
    lowest: NDArray[np.int64],
    highest: NDArray[np.int64],
    bounds: NDArray[np.int64],
    total: NDArray[np.float64],
) -> None:
    n = total.shape[0]
    flat = total.reshape(-1)
    n_pixels, n_orientations = len(row_factor), len(column_factor)
    for slab in prange(len(bounds) - 1):
        begin, end = bounds[slab], bounds[slab + 1]
        columns = np.empty((9, _VIEWS))
        base = np.empty(_VIEWS, dtype=np.int64)
        part = np.empty((3, _VIEWS), dtype=np.float32)
        value = np.empty(_VIEWS)
        for tile in range(lowest.shape[1]):
            first = tile * _VIEWS
            n_views = min(_VIEWS, n_orientations - first)
            _load_transforms(transform, first, n_views, columns)
            for block in range(lowest.shape[0]):
                if highest[block, tile] < begin or lowest[block, tile] >= end:
                    continue
                whole = lowest[block, tile] >= begin and highest[block, tile] < end
                for t in range(block * _PIXELS, min((block + 1) * _PIXELS, n_pixels)):
                    _locate(q[t], columns, n_views, origin, n, base, part)
                    if table is None:
                        for r in range(n_views):
                            value[r] = row_factor[t] * column_factor[first + r]
                    else:
                        for r in range(n_views):
                            value[r] = table[t, first + r] * row_factor[t] * column_factor[first + r]
                    if whole:
                        _scatter(value, base, part, n_views, n, flat)
                    else:
                        _scatter_within(value, base, part, n_views, n, begin, end, flat)


def compress(
    table: NDArray[np.float32] | None,
    row_factor: NDArray[np.float64],
    column_factor: NDArray[np.float64],
    q: NDArray[np.float64],
    transform: NDArray[np.float64],
    origin: float,
    n_slabs: int,
    total: NDArray[np.float64],
) -> None:
    """Add views, times a factor for each pixel and one for each orientation, into the volume.

    The volume is cut along axis 0 into slabs of about equal work, one to a thread. A thread walks over the tiles of
    samples that reach its slab, in one order, and adds only what falls into its slab; so the sums do not depend on the
    number of slabs, to the last bit. Per pixel and orientation: the coordinate (9 multiply-adds) in each slab that its
    tile reaches, and 8 scattered float64; besides, one pass of 3 multiply-adds that finds which tile reaches where.

    Parameters
    ----------
    table : ndarray of float32, `(n_pixels, n_orientations)`, or None
        Photons of each view; None: 1 everywhere, which gives interpolation weights.
    row_factor : ndarray of float64, `(n_pixels,)`
        Factor of each pixel: 1 for photons, the response for weights.
    column_factor : ndarray of float64, `(n_orientations,)`
        Factor of each view.
    q, transform, origin
        As in :func:`expand`.
    n_slabs : int
        Number of parts, best the number of threads.
    total : ndarray of float64, `(n, n, n)`
        Added to.
    """
    shape = -(-len(row_factor) // _PIXELS), -(-len(column_factor) // _VIEWS)
    lowest, highest = np.empty(shape, dtype=np.int64), np.empty(shape, dtype=np.int64)
    _plane_ranges(q, transform, origin, lowest, highest)
    bounds = _slab_bounds(lowest, highest, len(total), n_slabs)
    _compress_slabs(table, row_factor, column_factor, q, transform, origin, lowest, highest, bounds, total)
