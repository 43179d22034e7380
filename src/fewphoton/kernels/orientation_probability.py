"""From log-likelihoods to orientation probabilities.

Ayyer et al. 2015, doi:10.1107/S2052252514022313, equation 1: the product of Poisson terms normalised over the
orientations. One rank does it in one pass (:func:`posterior_rows`). Where orientations are spread over ranks, the sums
run over those a rank owns, and reductions over ranks stand between the steps (:func:`row_maxima`,
:func:`exponentiate`, :func:`normalize_rows`); both ways run the same code on each row.

Exponentials and logarithms are those of :mod:`fewphoton.kernels.vector_math`, in float32. No result depends on the
number of threads, to the last bit: a row, or one of a fixed number of parts of a column sum, belongs to one thread.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import prange
from numpy import float32 as f32
from numpy.typing import NDArray

from fewphoton.kernels.sparse_rows import add_rows, first_row_of_part
from fewphoton.kernels.vector_math import exp_float32, log_float32

_N_PARTS = 256
_N_SUM_PARTS = 64
_CHUNK = 128  # elements summed in float32 before float64 takes over
_SMALLEST = f32(np.finfo(np.float32).tiny)
_SIGN_FREE = np.int32(0x7FFFFFFF)


@numba.njit(cache=True, parallel=True)
def log_expected(table: NDArray[np.float32], floor: float, row_offset: NDArray[np.float64]) -> None:
    """Replace expected counts by their logarithms less a constant a row, in place.

    The constant cancels in the normalisation and keeps float32 sums short. 4 bytes read and written and one logarithm
    (20 operations, error below 2e-7 of 1 or of the result) per element.

    Parameters
    ----------
    table : ndarray of float32, `(n_pixels, n_orientations)`
        Expected counts, not negative; overwritten.
    floor : float
        Smaller values count as this one; at least 1.2e-38, the smallest normal number.
    row_offset : ndarray of float64, `(n_pixels,)`
        Subtracted from each row's logarithms; between -80 and 80.
    """
    lowest = f32(floor)
    for t in prange(table.shape[0]):
        row = table[t]
        # Dividing first makes the logarithms small, and what is small keeps more digits.
        scale = f32(np.exp(-row_offset[t]))
        for r in range(len(row)):
            value = row[r]
            ratio = f32((lowest if value < lowest else value) * scale)
            row[r] = log_float32(_SMALLEST if ratio < _SMALLEST else ratio)


@numba.njit(cache=True)
def row_maximum(row: NDArray[np.float32]) -> np.float32:
    """Return the largest value of a row, compared as integers of the same order, which needs no rule for NaN."""
    largest = np.int32(-0x80000000)
    for r in range(len(row)):
        bits = f32(row[r]).view(np.int32)
        largest = max(largest, np.int32(bits ^ np.int32(np.int32(bits >> np.int32(31)) & _SIGN_FREE)))
    return f32(np.int32(largest ^ np.int32(np.int32(largest >> np.int32(31)) & _SIGN_FREE)).view(np.float32))


@numba.njit(cache=True, fastmath={"reassoc", "contract", "nsz"})
def _weighted_sums(
    e: NDArray[np.float32], gain: NDArray[np.float32], log_prior: NDArray[np.float32]
) -> tuple[np.float32, np.float32, np.float32]:
    mass, mass_gain, mass_prior = f32(0.0), f32(0.0), f32(0.0)
    for r in range(len(e)):
        mass += e[r]
        mass_gain += e[r] * gain[r]
        mass_prior += e[r] * log_prior[r]
    return mass, mass_gain, mass_prior


@numba.njit(cache=True)
def exponentiate_row(
    row: NDArray[np.float32],
    top: np.float32,
    log_prior: NDArray[np.float32],
    beta: np.float32,
    gain: NDArray[np.float32],
    partial: NDArray[np.float64],
) -> None:
    """Do for one row what :func:`exponentiate` does; ``gain`` is room for one row."""
    for r in range(len(row)):
        gain[r] = beta * (row[r] - top)
        row[r] = exp_float32(f32(gain[r] + log_prior[r]))
    total, total_gain, total_prior = 0.0, 0.0, 0.0
    for start in range(0, len(row), _CHUNK):
        stop = min(start + _CHUNK, len(row))
        mass, mass_gain, mass_prior = _weighted_sums(row[start:stop], gain[start:stop], log_prior[start:stop])
        total += np.float64(mass)
        total_gain += np.float64(mass_gain)
        total_prior += np.float64(mass_prior)
    partial[0] = total
    partial[1] = total_gain + total_prior
    partial[2] = total_gain


@numba.njit(cache=True)
def scale_row(row: NDArray[np.float32], mass: float) -> None:
    """Divide a row by ``mass``; without mass, fill it with NaN."""
    inverse = f32(1.0 / mass) if mass > 0 else f32(np.nan)
    for r in range(len(row)):
        row[r] *= inverse


@numba.njit(cache=True, parallel=True)
def posterior_rows(
    indptr: NDArray[np.int64],
    index: NDArray[np.int32],
    count: NDArray[np.float32],
    table: NDArray[Any],
    start: NDArray[np.float32],
    fluence: NDArray[np.float32],
    log_prior: NDArray[np.float64],
    beta: float,
    probability: NDArray[np.float32],
    maximum: NDArray[np.float64],
    partial: NDArray[np.float64],
) -> None:
    """Write normalised orientation probabilities of frames: likelihood and normalisation in one pass.

    Per photon and orientation one table element read and one multiply-add: bound by memory. Per frame and orientation
    one exponential (15 operations) and 4 bytes written; the rest of a frame's row stays in the nearest cache.

    Parameters
    ----------
    indptr, index, count
        Photons by frame, as in :func:`fewphoton.kernels.sparse_rows.add_weighted_rows`.
    table : ndarray of float32, int16 or uint8, `(n_pixels, n_columns)`
        Log intensities in units of any step. Columns beyond the orientations only fill up rows; what they hold must
        not lead to a larger log-likelihood than the orientations'.
    start : ndarray of float32, `(n_columns,)`
        Log-likelihood of a frame without photons in the same unit: minus the expected photons of each view.
    fluence : ndarray of float32, `(n_frames,)`
        Factor of ``start`` for each frame.
    log_prior : ndarray of float64, `(n_orientations,)`
        Logarithm of the orientation weights.
    beta : float
        Exponent of the likelihood times the unit of ``table``.
    probability : ndarray of float32, `(n_frames, n_columns)`
        Filled; zero in the columns beyond the orientations.
    maximum : ndarray of float64, `(n_frames,)`
        Filled with the largest log-likelihood of each frame.
    partial : ndarray of float64, `(n_frames, 3)`
        Filled with the sums that :func:`exponentiate` describes.
    """
    n_orientations = len(log_prior)
    prior = log_prior.astype(np.float32)
    power = f32(beta)
    for part in prange(_N_PARTS):
        gain = np.empty(n_orientations, dtype=np.float32)
        for d in range(first_row_of_part(indptr, part, _N_PARTS), first_row_of_part(indptr, part + 1, _N_PARTS)):
            row, times = probability[d], fluence[d]
            for r in range(len(row)):
                row[r] = times * start[r]
            add_rows(indptr[d], indptr[d + 1], index, count, table, 0, row)
            top = row_maximum(row)
            maximum[d] = top
            own = row[:n_orientations]
            exponentiate_row(own, top, prior, power, gain, partial[d])
            scale_row(own, partial[d, 0])
            row[n_orientations:] = f32(0.0)


@numba.njit(cache=True, parallel=True)
def row_maxima(log_likelihood: NDArray[np.float32], maximum: NDArray[np.float64]) -> None:
    """Write the largest value of each row of ``log_likelihood`` `(n_frames, n_orientations)` into ``maximum``."""
    for d in prange(log_likelihood.shape[0]):
        maximum[d] = row_maximum(log_likelihood[d])


@numba.njit(cache=True, parallel=True)
def exponentiate(
    log_likelihood: NDArray[np.float32],
    maximum: NDArray[np.float64],
    log_prior: NDArray[np.float64],
    beta: float,
    partial: NDArray[np.float64],
) -> None:
    """Replace log-likelihoods by unnormalised posteriors and gather their sums.

    One exponential (15 operations, relative error below 2e-7) and 8 bytes of traffic per frame and orientation. Sums
    run in float32 over 128 elements and in float64 beyond.

    Parameters
    ----------
    log_likelihood : ndarray of float32, `(n_frames, n_columns)`
        Overwritten with ``e = prior * exp(beta * (log_likelihood - maximum))``, and with zero in the columns beyond
        the orientations.
    maximum : ndarray of float64, `(n_frames,)`
        Largest log-likelihood of each frame over all ranks.
    log_prior : ndarray of float64, `(n_orientations,)`
        Logarithm of the orientation weights.
    beta : float
        Exponent of the likelihood; 1 is Bayes' theorem.
    partial : ndarray of float64, `(n_frames, 3)`
        Filled with the sums over orientations of ``e``, ``e * log(e)`` and ``e * log(e / prior)``.
    """
    prior = log_prior.astype(np.float32)
    power = f32(beta)
    for d in prange(log_likelihood.shape[0]):
        gain = np.empty(len(prior), dtype=np.float32)
        row = log_likelihood[d]
        exponentiate_row(row[: len(prior)], f32(maximum[d]), prior, power, gain, partial[d])
        row[len(prior) :] = f32(0.0)


@numba.njit(cache=True, parallel=True)
def normalize_rows(values: NDArray[np.float32], mass: NDArray[np.float64]) -> None:
    """Divide each row of ``values`` `(n_frames, n_orientations)` by ``mass`` `(n_frames,)`, in place."""
    for d in prange(values.shape[0]):
        scale_row(values[d], mass[d])


@numba.njit(cache=True, parallel=True)
def weighted_column_sums(
    table: NDArray[np.float32], row_weight: NDArray[np.float64], total: NDArray[np.float64]
) -> None:
    """Add the weighted column sums of a table to ``total``: expected photons of a view, or frames a view received.

    4 bytes and one multiply-add in float64 per element; rows of weight 0 are not read.

    Parameters
    ----------
    table : ndarray of float32, `(n_rows, n_columns or more)`
        Expected intensity, or probabilities; columns beyond those of ``total`` are left out.
    row_weight : ndarray of float64, `(n_rows,)`
        Response of each pixel, 0 where it does not enter the likelihood.
    total : ndarray of float64, `(n_columns,)`
        Added to.
    """
    n_rows, n_columns = len(table), len(total)
    sums = np.zeros((_N_SUM_PARTS, n_columns))
    for part in prange(_N_SUM_PARTS):
        out = sums[part]
        for t in range(part * n_rows // _N_SUM_PARTS, (part + 1) * n_rows // _N_SUM_PARTS):
            weight = row_weight[t]
            if weight != 0.0:
                row = table[t]
                for r in range(n_columns):
                    out[r] += weight * np.float64(row[r])
    for part in range(_N_SUM_PARTS):
        for r in range(n_columns):
            total[r] += sums[part, r]
