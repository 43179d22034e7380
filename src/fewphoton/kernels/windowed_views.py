"""Update of the views from probabilities that are kept on blocks of neighbouring orientations alone.

Blocks of a frame are given by row pointers ``block_indptr`` `(n_frames + 1,)` into ``block``, the numbers of blocks of
32 columns, and ``place``, the row of ``values`` `(n, 32)` that holds each: a packed table of blocks, or a dense table
of probabilities cut into such rows. No result depends on the number of threads, to the last bit: a pixel's row, or one
of a fixed number of parts of a column sum, belongs to one thread.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import prange
from numpy import float32 as f32
from numpy.typing import NDArray

from fewphoton.kernels.block_vectors import BLOCK, add_block, fetch, fetch_block
from fewphoton.kernels.sparse_rows import first_row_of_part

_N_PARTS = 256
_N_SUM_PARTS = 64
_PASS = 8
_AHEAD = 8
"""Hits between asking for a block and adding it; what leads to the block is asked for two and three times as early."""


@numba.njit(cache=True)
def _add_whole_rows(
    begin: NDArray[np.int64], weight: NDArray[np.float32], values: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Add eight rows as long as ``out``; see :func:`fewphoton.kernels.sparse_rows.add_rows`."""
    n = len(out)
    a, b = values[begin[0] : begin[0] + n], values[begin[1] : begin[1] + n]
    c, d = values[begin[2] : begin[2] + n], values[begin[3] : begin[3] + n]
    e, f = values[begin[4] : begin[4] + n], values[begin[5] : begin[5] + n]
    g, h = values[begin[6] : begin[6] + n], values[begin[7] : begin[7] + n]
    ka, kb, kc, kd = weight[0], weight[1], weight[2], weight[3]
    ke, kf, kg, kh = weight[4], weight[5], weight[6], weight[7]
    for r in range(n):
        out[r] += ((ka * f32(a[r]) + kb * f32(b[r])) + (kc * f32(c[r]) + kd * f32(d[r]))) + (
            (ke * f32(e[r]) + kf * f32(f[r])) + (kg * f32(g[r]) + kh * f32(h[r]))
        )


@numba.njit(cache=True, parallel=True)
def add_weighted_blocks(
    indptr: NDArray[np.int64],
    index: NDArray[np.int32],
    count: NDArray[np.float32],
    block_indptr: NDArray[np.int64],
    block: NDArray[np.int32],
    place: NDArray[np.int64],
    values: NDArray[np.float32],
    n_blocks: int,
    total: NDArray[np.float32],
) -> None:
    """Add to each row of ``total`` the probabilities of the frames that its photons name, times their counts.

    Per photon and block 32 multiply-adds and two cache lines of ``values`` from a random place, asked for some photons
    ahead; per photon four more lines lead there, mostly from a near cache. Frames that keep all blocks are taken eight
    a pass, as :func:`fewphoton.kernels.sparse_rows.add_weighted_rows` does:
    :data:`fewphoton.emc.windows.UPDATE_BREAK_EVEN`.

    Parameters
    ----------
    indptr, index, count
        Photons by pixel; ``index`` names frames.
    block_indptr, block, place
        Blocks of the frames; the places of a frame that keeps all of them must follow each other.
    values : ndarray of float32, `(n, 32)`
        Probabilities.
    n_blocks : int
        Number of blocks of a frame that keeps all.
    total : ndarray of float32, `(n_rows, 32 * n_blocks or more)`
        Added to.
    """
    flat = values.reshape(-1)
    last_hit = len(index) - 1
    for part in prange(_N_PARTS):
        held = np.empty(_PASS, dtype=np.int64)
        weight = np.empty(_PASS, dtype=np.float32)
        for row in range(first_row_of_part(indptr, part, _N_PARTS), first_row_of_part(indptr, part + 1, _N_PARTS)):
            out = total[row]
            whole = out[: n_blocks * BLOCK]
            n_held = 0
            for hit in range(indptr[row], indptr[row + 1]):
                fetch(block_indptr, index[min(hit + 3 * _AHEAD, last_hit)])
                later = block_indptr[index[min(hit + 2 * _AHEAD, last_hit)]]
                fetch(block, later)
                fetch(place, later)
                soon = index[min(hit + _AHEAD, last_hit)]
                if block_indptr[soon + 1] - block_indptr[soon] < n_blocks:
                    for k in range(block_indptr[soon], block_indptr[soon + 1]):
                        fetch_block(flat, place[k] * BLOCK)
                first, stop = block_indptr[index[hit]], block_indptr[index[hit] + 1]
                if stop - first < n_blocks:
                    for k in range(first, stop):
                        add_block(out, block[k] * BLOCK, flat, place[k] * BLOCK, count[hit])
                    continue
                held[n_held] = place[first] * BLOCK
                weight[n_held] = count[hit]
                n_held += 1
                if n_held == _PASS:
                    _add_whole_rows(held, weight, flat, whole)
                    n_held = 0
            for h in range(n_held):
                for b in range(n_blocks):
                    add_block(out, b * BLOCK, flat, held[h] + b * BLOCK, weight[h])


@numba.njit(cache=True, parallel=True)
def block_column_sums(
    block_indptr: NDArray[np.int64],
    block: NDArray[np.int32],
    place: NDArray[np.int64],
    values: NDArray[np.float32],
    frame_weight: NDArray[np.float64],
    total: NDArray[np.float64],
) -> None:
    """Add the probabilities of frames, times ``frame_weight`` `(n_frames,)`, to ``total`` `(n_orientations,)`.

    4 bytes and one multiply-add in float64 an element. Columns beyond those of ``total`` are left out.
    """
    n_frames, n_columns = len(block_indptr) - 1, len(total)
    sums = np.zeros((_N_SUM_PARTS, n_columns))
    for part in prange(_N_SUM_PARTS):
        out = sums[part]
        for d in range(part * n_frames // _N_SUM_PARTS, (part + 1) * n_frames // _N_SUM_PARTS):
            for k in range(block_indptr[d], block_indptr[d + 1]):
                column = block[k] * BLOCK
                row = values[place[k]]
                for r in range(len(row)):
                    if column + r >= n_columns:
                        break
                    out[column + r] += frame_weight[d] * np.float64(row[r])
    for part in range(_N_SUM_PARTS):
        for r in range(n_columns):
            total[r] += sums[part, r]


@numba.njit(cache=True, parallel=True)
def block_row_sums(
    block_indptr: NDArray[np.int64],
    block: NDArray[np.int32],
    place: NDArray[np.int64],
    values: NDArray[np.float32],
    column_weight: NDArray[np.float64],
    total: NDArray[np.float64],
) -> None:
    """Write the probabilities of each frame, times ``column_weight`` `(n_orientations,)`, into ``total`` `(n_frames,)`.

    4 bytes and one multiply-add in float64 an element. Columns beyond those of ``column_weight`` are left out.
    """
    n_columns = len(column_weight)
    for d in prange(len(total)):
        mass = 0.0
        for k in range(block_indptr[d], block_indptr[d + 1]):
            column = block[k] * BLOCK
            row = values[place[k]]
            for r in range(len(row)):
                if column + r >= n_columns:
                    break
                mass += column_weight[column + r] * np.float64(row[r])
        total[d] = mass
