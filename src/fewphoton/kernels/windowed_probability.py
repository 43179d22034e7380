"""Orientation probabilities of frames on windows: chosen blocks of neighbouring orientations, others for each frame.

The likelihood and the normalisation of :mod:`fewphoton.kernels.orientation_probability`, with the same code on each
run of neighbouring blocks, where all orientations outside count as impossible. Windows are given by row pointers
``block_indptr`` `(n_frames + 1,)` into ``block``, the numbers of blocks of 32 columns, rising within a frame; the
values of the k-th of all these blocks stand in row k of ``values`` `(n_blocks, 32)`. A frame without blocks gets the
maximum -inf and sums of zero. No result depends on the number of threads, to the last bit.

Per photon and orientation of a window the kernels read one table element, as with all orientations, but from a few
cache lines at a random place instead of from a long row, and each run of a frame passes once more over its photons:
:data:`fewphoton.emc.windows.LIKELIHOOD_BREAK_EVEN`.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import prange
from numpy import float32 as f32
from numpy.typing import NDArray

from fewphoton.kernels.block_vectors import BLOCK, add_block
from fewphoton.kernels.orientation_probability import exponentiate_row, row_maximum, scale_row
from fewphoton.kernels.sparse_rows import add_rows, first_row_of_part

_N_PARTS = 256
_SHORT = 4
"""Blocks of a run that are added photon by photon; in longer ones eight photons a pass save more than they cost."""


@numba.njit(cache=True)
def _end_of_run(block: NDArray[np.int32], first: int, stop: int) -> int:
    """Return the end of the neighbouring blocks that begin with the ``first`` of those before ``stop``."""
    end = first + 1
    while end < stop and block[end] == block[end - 1] + 1:
        end += 1
    return end


@numba.njit(cache=True)
def _add_photons(
    d: int,
    indptr: NDArray[np.int64],
    index: NDArray[np.int32],
    count: NDArray[np.float32],
    table: NDArray[Any],
    start: NDArray[np.float32],
    fluence: NDArray[np.float32],
    block_indptr: NDArray[np.int64],
    block: NDArray[np.int32],
    values: NDArray[np.float32],
) -> np.float32:
    """Write the log-likelihoods of frame ``d`` and return the largest."""
    top = f32(-np.inf)
    flat, logarithms, n_columns = values.reshape(-1), table.reshape(-1), table.shape[1]
    times = fluence[d]
    k, stop = block_indptr[d], block_indptr[d + 1]
    while k < stop:
        end = _end_of_run(block, k, stop)
        column = block[k] * BLOCK
        length = min((end - k) * BLOCK, len(start) - column)
        row = flat[k * BLOCK : k * BLOCK + length]
        expected = start[column : column + length]
        for r in range(length):
            row[r] = times * expected[r]
        if end - k > _SHORT:
            add_rows(indptr[d], indptr[d + 1], index, count, table, column, row)
        else:
            for hit in range(indptr[d], indptr[d + 1]):
                begin = index[hit] * n_columns + column
                for b in range(end - k):
                    add_block(flat, (k + b) * BLOCK, logarithms, begin + b * BLOCK, count[hit])
        largest = row_maximum(row)
        # A NaN may be passed over here; it reaches the sums.
        top = largest if largest > top else top
        k = end
    return top


@numba.njit(cache=True)
def _exponentiate(
    d: int,
    top: np.float32,
    prior: NDArray[np.float32],
    power: np.float32,
    block_indptr: NDArray[np.int64],
    block: NDArray[np.int32],
    values: NDArray[np.float32],
    gain: NDArray[np.float32],
    sums: NDArray[np.float64],
    partial: NDArray[np.float64],
) -> None:
    """Replace the log-likelihoods of frame ``d`` by unnormalised posteriors; ``gain`` and ``sums`` are room."""
    partial[:] = 0.0
    flat = values.reshape(-1)
    k, stop = block_indptr[d], block_indptr[d + 1]
    while k < stop:
        end = _end_of_run(block, k, stop)
        column = block[k] * BLOCK
        length = min((end - k) * BLOCK, len(prior) - column)
        row = flat[k * BLOCK : k * BLOCK + length]
        exponentiate_row(row, top, prior[column : column + length], power, gain, sums)
        for term in range(3):
            partial[term] += sums[term]
        flat[k * BLOCK + length : end * BLOCK] = f32(0.0)
        k = end


@numba.njit(cache=True)
def _normalize(d: int, mass: float, block_indptr: NDArray[np.int64], values: NDArray[np.float32]) -> None:
    scale_row(values.reshape(-1)[block_indptr[d] * BLOCK : block_indptr[d + 1] * BLOCK], mass)


@numba.njit(cache=True, parallel=True)
def posterior_windows(
    indptr: NDArray[np.int64],
    index: NDArray[np.int32],
    count: NDArray[np.float32],
    table: NDArray[Any],
    start: NDArray[np.float32],
    fluence: NDArray[np.float32],
    log_prior: NDArray[np.float64],
    beta: float,
    block_indptr: NDArray[np.int64],
    block: NDArray[np.int32],
    values: NDArray[np.float32],
    maximum: NDArray[np.float64],
    partial: NDArray[np.float64],
) -> None:
    """Write normalised orientation probabilities on the windows of each frame, in one pass.

    Parameters
    ----------
    indptr, index, count, table, start, fluence, log_prior, beta, maximum, partial
        As in :func:`fewphoton.kernels.orientation_probability.posterior_rows`; maxima and sums are those of the
        windows.
    block_indptr : ndarray of int64, `(n_frames + 1,)`
        Row pointers into ``block``.
    block : ndarray of int32, `(n_blocks,)`
        Blocks of each frame.
    values : ndarray of float32, `(n_blocks, 32)`
        Filled; zero in columns beyond the orientations.
    """
    prior = log_prior.astype(np.float32)
    power = f32(beta)
    for part in prange(_N_PARTS):
        gain, sums = np.empty(len(prior), dtype=np.float32), np.empty(3)
        for d in range(first_row_of_part(indptr, part, _N_PARTS), first_row_of_part(indptr, part + 1, _N_PARTS)):
            top = _add_photons(d, indptr, index, count, table, start, fluence, block_indptr, block, values)
            maximum[d] = top
            _exponentiate(d, top, prior, power, block_indptr, block, values, gain, sums, partial[d])
            _normalize(d, partial[d, 0], block_indptr, values)


@numba.njit(cache=True, parallel=True)
def log_likelihood_windows(
    indptr: NDArray[np.int64],
    index: NDArray[np.int32],
    count: NDArray[np.float32],
    table: NDArray[Any],
    start: NDArray[np.float32],
    fluence: NDArray[np.float32],
    block_indptr: NDArray[np.int64],
    block: NDArray[np.int32],
    values: NDArray[np.float32],
    maximum: NDArray[np.float64],
) -> None:
    """Write log-likelihoods on the windows of each frame and the largest of them.

    The first step of :func:`posterior_windows`, whose parameters it takes; reductions over ranks stand between the
    steps.
    """
    for part in prange(_N_PARTS):
        for d in range(first_row_of_part(indptr, part, _N_PARTS), first_row_of_part(indptr, part + 1, _N_PARTS)):
            maximum[d] = _add_photons(d, indptr, index, count, table, start, fluence, block_indptr, block, values)


@numba.njit(cache=True, parallel=True)
def exponentiate_windows(
    block_indptr: NDArray[np.int64],
    block: NDArray[np.int32],
    values: NDArray[np.float32],
    maximum: NDArray[np.float64],
    log_prior: NDArray[np.float64],
    beta: float,
    partial: NDArray[np.float64],
) -> None:
    """Replace log-likelihoods on windows by unnormalised posteriors and gather their sums.

    The second step of :func:`posterior_windows`, and
    :func:`fewphoton.kernels.orientation_probability.exponentiate` on windows.
    """
    prior = log_prior.astype(np.float32)
    power = f32(beta)
    n_frames = len(maximum)
    for part in prange(_N_PARTS):
        gain, sums = np.empty(len(prior), dtype=np.float32), np.empty(3)
        for d in range(part * n_frames // _N_PARTS, (part + 1) * n_frames // _N_PARTS):
            _exponentiate(d, f32(maximum[d]), prior, power, block_indptr, block, values, gain, sums, partial[d])


@numba.njit(cache=True, parallel=True)
def normalize_windows(block_indptr: NDArray[np.int64], values: NDArray[np.float32], mass: NDArray[np.float64]) -> None:
    """Divide the values on each frame's windows by ``mass`` `(n_frames,)`, in place."""
    for d in prange(len(mass)):
        _normalize(d, mass[d], block_indptr, values)
