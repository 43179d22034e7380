"""Log intensities as small integers: fewer bytes for the likelihood, which memory bounds.

A row's offset cancels between orientations, so a row keeps its distance below its own largest value; one step for all
rows keeps the sums of different pixels comparable. A rounded value is at most half a step off, and the errors of ``k``
photons add up like a random walk: about ``step * sqrt(k / 12)`` nat in a frame's log-likelihood.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import prange
from numpy import float32 as f32
from numpy.typing import NDArray


@numba.njit(cache=True, parallel=True)
def row_extremes(table: NDArray[np.float32], highest: NDArray[np.float64], lowest: NDArray[np.float64]) -> None:
    """Write the largest and smallest value of each row of ``table`` `(n_rows, n_columns)`; 4 bytes an element."""
    for t in prange(table.shape[0]):
        row = table[t]
        high = low = row[0]
        for r in range(len(row)):
            value = row[r]
            high = value if value > high else high
            low = value if value < low else low
        highest[t] = high
        lowest[t] = low


@numba.njit(cache=True, parallel=True)
def quantize_rows(
    table: NDArray[np.float32],
    highest: NDArray[np.float64],
    step: float,
    top: int,
    bottom: int,
    quantized: NDArray[np.int16] | NDArray[np.uint8],
) -> None:
    """Write ``top - round((highest - value) / step)``, ``bottom`` where that is smaller.

    4 bytes read, 1 or 2 written, 4 operations an element.

    Parameters
    ----------
    table : ndarray of float32, `(n_rows, n_columns)`
        Log intensities, none above its row's ``highest``.
    highest : ndarray of float64, `(n_rows,)`
        What the largest code stands for, row by row.
    step : float
        Nats a code.
    top, bottom : int
        Largest and smallest code.
    quantized : ndarray of int16 or uint8, `(n_rows, n_columns)`
        Filled.
    """
    inverse = f32(1.0 / step)
    last = f32(top - bottom)
    half = f32(0.5)
    for t in prange(table.shape[0]):
        row, out = table[t], quantized[t]
        high = f32(highest[t])
        for r in range(len(row)):
            below = (high - row[r]) * inverse
            below = last if below > last else below
            out[r] = np.int32(top) - np.int32(below + half)
