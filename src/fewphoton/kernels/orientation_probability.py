"""From log-likelihoods to orientation probabilities, in steps that an MPI reduction can stand between.

Ayyer et al. 2015, doi:10.1107/S2052252514022313, equation 1: the product of Poisson terms normalised over the
orientations. The sums run over the orientations a rank owns; maxima and sums are then reduced over ranks.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(cache=True, parallel=True)
def log_expected(table: NDArray[np.float32], floor: float, row_offset: NDArray[np.float64]) -> None:
    """Replace expected counts by their logarithms less a constant a row, in place.

    The constant cancels in the normalisation and keeps float32 sums short. 4 bytes read and written and one logarithm
    per element.

    Parameters
    ----------
    table : ndarray of float32, `(n_pixels, n_orientations)`
        Expected counts, not negative; overwritten.
    floor : float
        Smaller values count as this one.
    row_offset : ndarray of float64, `(n_pixels,)`
        Subtracted from each row's logarithms.
    """
    for t in numba.prange(table.shape[0]):
        offset = row_offset[t]
        for r in range(table.shape[1]):
            table[t, r] = math.log(max(np.float64(table[t, r]), floor)) - offset


@numba.njit(cache=True, parallel=True)
def row_maxima(log_likelihood: NDArray[np.float32], maximum: NDArray[np.float64]) -> None:
    """Write the largest value of each row of ``log_likelihood`` `(n_frames, n_orientations)` into ``maximum``."""
    for d in numba.prange(log_likelihood.shape[0]):
        largest = -np.inf
        for r in range(log_likelihood.shape[1]):
            largest = max(largest, np.float64(log_likelihood[d, r]))
        maximum[d] = largest


@numba.njit(cache=True, parallel=True)
def exponentiate(
    log_likelihood: NDArray[np.float32],
    maximum: NDArray[np.float64],
    log_prior: NDArray[np.float64],
    beta: float,
    partial: NDArray[np.float64],
) -> None:
    """Replace log-likelihoods by unnormalised posteriors and gather their sums.

    One exponential and 8 bytes of traffic per frame and orientation; sums in float64.

    Parameters
    ----------
    log_likelihood : ndarray of float32, `(n_frames, n_orientations)`
        Overwritten with ``e = prior * exp(beta * (log_likelihood - maximum))``.
    maximum : ndarray of float64, `(n_frames,)`
        Largest log-likelihood of each frame over all ranks.
    log_prior : ndarray of float64, `(n_orientations,)`
        Logarithm of the orientation weights.
    beta : float
        Exponent of the likelihood; 1 is Bayes' theorem.
    partial : ndarray of float64, `(n_frames, 3)`
        Filled with the sums over orientations of ``e``, ``e * log(e)`` and ``e * log(e / prior)``.
    """
    for d in numba.prange(log_likelihood.shape[0]):
        mass = 0.0
        mass_log = 0.0
        mass_gain = 0.0
        top = maximum[d]
        for r in range(log_likelihood.shape[1]):
            gain = beta * (np.float64(log_likelihood[d, r]) - top)
            exponent = gain + log_prior[r]
            e = math.exp(exponent)
            log_likelihood[d, r] = e
            mass += e
            mass_log += e * exponent
            mass_gain += e * gain
        partial[d, 0] = mass
        partial[d, 1] = mass_log
        partial[d, 2] = mass_gain


@numba.njit(cache=True, parallel=True)
def normalize_rows(values: NDArray[np.float32], mass: NDArray[np.float64]) -> None:
    """Divide each row of ``values`` `(n_frames, n_orientations)` by ``mass`` `(n_frames,)`, in place."""
    for d in numba.prange(values.shape[0]):
        inverse = 1.0 / mass[d]
        for r in range(values.shape[1]):
            values[d, r] = values[d, r] * inverse


@numba.njit(cache=True)
def column_sums(values: NDArray[np.float32], total: NDArray[np.float64]) -> None:
    """Add the column sums of ``values`` `(n_frames, n_orientations)` to ``total`` `(n_orientations,)`, in float64."""
    for d in range(values.shape[0]):
        for r in range(values.shape[1]):
            total[r] += values[d, r]


@numba.njit(cache=True, parallel=True)
def weighted_column_sums(
    table: NDArray[np.float32], row_weight: NDArray[np.float64], total: NDArray[np.float64]
) -> None:
    """Write the weighted column sums of a table into ``total``: the expected photons of each view.

    4 bytes and one multiply-add per element; columns are cut into blocks, so the order of each sum is fixed.

    Parameters
    ----------
    table : ndarray of float32, `(n_pixels, n_orientations)`
        Expected intensity.
    row_weight : ndarray of float64, `(n_pixels,)`
        Response of each pixel, 0 where it does not enter the likelihood.
    total : ndarray of float64, `(n_orientations,)`
        Filled.
    """
    n_columns = table.shape[1]
    for block in numba.prange((n_columns + 63) // 64):
        first = block * 64
        last = min(first + 64, n_columns)
        for r in range(first, last):
            total[r] = 0.0
        for t in range(table.shape[0]):
            weight = row_weight[t]
            if weight != 0.0:
                for r in range(first, last):
                    total[r] += weight * table[t, r]
