"""The inner product of EMC: sparse photon counts times a dense table, eight table rows a pass.

With frames as rows it gives log-likelihoods (index = pixel, table = log intensity); with pixels as rows it gives
updated views (index = frame, table = orientation probabilities): Ayyer et al. 2015,
doi:10.1107/S2052252514022313, equations 1 and 2.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import prange
from numpy import float32 as f32
from numpy.typing import NDArray

_N_PARTS = 256  # of equal photons: many to one thread, so that none waits for a bright pixel's share


@numba.njit(cache=True)
def first_row_of_part(indptr: NDArray[np.int64], part: int, n_parts: int) -> int:
    """Return where part ``part`` begins when the rows are cut into ``n_parts`` of about equally many hits and rows."""
    n_rows = len(indptr) - 1
    if part >= n_parts:
        return n_rows
    work = indptr[n_rows] - indptr[0] + n_rows
    goal = work * part // n_parts
    low, high = 0, n_rows
    while low < high:
        middle = (low + high) // 2
        if indptr[middle] - indptr[0] + middle < goal:
            low = middle + 1
        else:
            high = middle
    return low


@numba.njit(cache=True)
def add_rows(
    first: int,
    stop: int,
    index: NDArray[np.int32],
    count: NDArray[np.float32],
    table: NDArray[Any],
    column: int,
    out: NDArray[np.float32],
) -> None:
    """Add to ``out`` the rows of ``table`` that hits ``first`` to ``stop - 1`` name, times their counts.

    ``out`` holds the columns of the table from ``column`` on, as many as it is long. Eight rows a pass cut its loads
    and stores eightfold; partial sums of eight are short, in fixed order.
    """
    n_columns = len(out)
    end = column + n_columns
    hit = first
    while hit + 8 <= stop:
        a, b = table[index[hit]][column:end], table[index[hit + 1]][column:end]
        c, d = table[index[hit + 2]][column:end], table[index[hit + 3]][column:end]
        e, f = table[index[hit + 4]][column:end], table[index[hit + 5]][column:end]
        g, h = table[index[hit + 6]][column:end], table[index[hit + 7]][column:end]
        ka, kb, kc, kd = count[hit], count[hit + 1], count[hit + 2], count[hit + 3]
        ke, kf, kg, kh = count[hit + 4], count[hit + 5], count[hit + 6], count[hit + 7]
        for r in range(n_columns):
            out[r] += ((ka * f32(a[r]) + kb * f32(b[r])) + (kc * f32(c[r]) + kd * f32(d[r]))) + (
                (ke * f32(e[r]) + kf * f32(f[r])) + (kg * f32(g[r]) + kh * f32(h[r]))
            )
        hit += 8
    while hit < stop:
        a = table[index[hit]][column:end]
        ka = count[hit]
        for r in range(n_columns):
            out[r] += ka * f32(a[r])
        hit += 1


@numba.njit(cache=True, parallel=True)
def add_weighted_rows(
    indptr: NDArray[np.int64],
    index: NDArray[np.int32],
    count: NDArray[np.float32],
    table: NDArray[Any],
    total: NDArray[np.float32],
) -> None:
    """Add to each row of ``total`` the rows of ``table`` that its photons name, times their counts.

    Bound by memory: one table element (4 bytes in float32) read and one multiply-add per photon and column. A thread
    owns whole rows and their sums have a fixed order, so the result does not depend on the number of threads, to the
    last bit.

    Parameters
    ----------
    indptr : ndarray of int64, `(n_rows + 1,)`
        Row pointers into ``index`` and ``count``.
    index : ndarray of int32, `(n_hits,)`
        Row of ``table``.
    count : ndarray of float32, `(n_hits,)`
        Photons.
    table : ndarray of float32, int16 or uint8, `(n_table, n_columns)`
        Log intensities or probabilities.
    total : ndarray of float32, `(n_rows, n_columns)`
        Added to.
    """
    for part in prange(_N_PARTS):
        for row in range(first_row_of_part(indptr, part, _N_PARTS), first_row_of_part(indptr, part + 1, _N_PARTS)):
            add_rows(indptr[row], indptr[row + 1], index, count, table, 0, total[row])
