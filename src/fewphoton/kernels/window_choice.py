"""Which blocks of neighbouring orientations of a frame hold its probability.

Blocks of a frame are those of :mod:`fewphoton.kernels.windowed_views`. What may be left out is shared among the columns
alike: a block of ``c`` columns goes when it holds no more than ``c`` times ``per_column``, so that a frame loses no
more than ``per_column`` times the number of its orientations, whatever the ranks that share them.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import prange
from numpy.typing import NDArray

from fewphoton.kernels.block_vectors import BLOCK


@numba.njit(cache=True)
def _mass(row: NDArray[np.float32]) -> float:
    mass = 0.0
    for r in range(len(row)):
        mass += np.float64(row[r])
    return mass


@numba.njit(cache=True)
def _width(block: int, n_local: int) -> int:
    """Return how many of ``n_local`` columns a block holds."""
    return min(BLOCK, n_local - block * BLOCK)


@numba.njit(cache=True, parallel=True)
def mark_blocks(
    probability: NDArray[np.float32],
    first_orientation: int,
    n_local: int,
    per_column: float,
    marks: NDArray[np.uint8],
) -> None:
    """Mark the blocks that hold probability, in the count of all ranks' orientations; 4 bytes an element.

    Parameters
    ----------
    probability : ndarray of float32, `(n_frames, n_columns)`
        Probabilities of this rank's orientations.
    first_orientation, n_local : int
        The first of them among all, and how many there are.
    per_column : float
        Probability that may be left out for each column.
    marks : ndarray of uint8, `(n_frames, n_blocks)`
        Set to 1 where the rank's part of a block holds more.
    """
    for d in prange(len(probability)):
        column = 0
        while column < n_local:
            b = (first_orientation + column) // BLOCK
            end = min((b + 1) * BLOCK - first_orientation, n_local)
            if _mass(probability[d, column:end]) > per_column * (end - column):
                marks[d, b] = 1
            column = end


@numba.njit(cache=True, parallel=True)
def widen_marks(
    marks: NDArray[np.uint8], margin: int, cyclic: bool, fill_above: int, widened: NDArray[np.uint8]
) -> None:
    """Mark ``margin`` neighbours on both sides, and all blocks of a frame where more than ``fill_above`` are marked.

    Parameters
    ----------
    marks, widened : ndarray of uint8, `(n_frames, n_blocks)`
        Marks, and where to write them; frames without a mark stay so.
    margin : int
        Neighbours on each side.
    cyclic : bool
        Whether the last block neighbours the first.
    fill_above : int
        See above.
    """
    n_blocks = marks.shape[1]
    for d in prange(len(marks)):
        out = widened[d]
        out[:] = 0
        n_marked = 0
        for b in range(n_blocks):
            if marks[d, b]:
                for near in range(b - margin, b + margin + 1):
                    if cyclic:
                        out[near % n_blocks] = 1
                    elif 0 <= near < n_blocks:
                        out[near] = 1
        for b in range(n_blocks):
            n_marked += 1 if out[b] else 0
        if n_marked > fill_above:
            out[:] = 1


@numba.njit(cache=True, parallel=True)
def weigh_blocks(
    block_indptr: NDArray[np.int64],
    block: NDArray[np.int32],
    place: NDArray[np.int64],
    values: NDArray[np.float32],
    n_local: int,
    per_column: float,
    whole_above: int,
    n_kept: NDArray[np.int64],
    total: NDArray[np.float64],
    dropped: NDArray[np.float64],
) -> None:
    """Count the blocks of each frame that hold probability; 4 bytes an element.

    Parameters
    ----------
    block_indptr, block, place, values
        Blocks of the frames, and probabilities.
    n_local : int
        Orientations.
    per_column : float
        Probability that may be left out for each column.
    whole_above : int
        Frames that would keep more blocks keep all that they have.
    n_kept : ndarray of int64, `(n_frames,)`
        Filled with the number of blocks to keep.
    total, dropped : ndarray of float64, `(n_frames,)`
        Filled with the probability on all blocks given and on those that go.
    """
    for d in prange(len(n_kept)):
        kept, whole, lost = 0, 0.0, 0.0
        for k in range(block_indptr[d], block_indptr[d + 1]):
            mass = _mass(values[place[k]])
            whole += mass
            if mass > per_column * _width(block[k], n_local):
                kept += 1
            else:
                lost += mass
        if kept > whole_above:
            kept, lost = block_indptr[d + 1] - block_indptr[d], 0.0
        n_kept[d] = kept
        total[d] = whole
        dropped[d] = lost


@numba.njit(cache=True, parallel=True)
def keep_blocks(
    block_indptr: NDArray[np.int64],
    block: NDArray[np.int32],
    place: NDArray[np.int64],
    values: NDArray[np.float32],
    n_local: int,
    per_column: float,
    kept_indptr: NDArray[np.int64],
    kept_block: NDArray[np.int32],
    kept_place: NDArray[np.int64],
) -> None:
    """Write the blocks that :func:`weigh_blocks` counted; its counts are the steps of ``kept_indptr``."""
    for d in prange(len(kept_indptr) - 1):
        whole = kept_indptr[d + 1] - kept_indptr[d] == block_indptr[d + 1] - block_indptr[d]
        at = kept_indptr[d]
        for k in range(block_indptr[d], block_indptr[d + 1]):
            if whole or _mass(values[place[k]]) > per_column * _width(block[k], n_local):
                kept_block[at] = block[k]
                kept_place[at] = place[k]
                at += 1
