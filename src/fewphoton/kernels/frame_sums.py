"""Summing groups of sparse frames."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(cache=True, parallel=True)
def sum_groups(
    indptr: NDArray[np.int64],
    pixel: NDArray[np.uint32],
    count: NDArray[np.uint32],
    group_ptr: NDArray[np.int64],
    summed_pixel: NDArray[np.uint32],
    summed_count: NDArray[np.int64],
    n_summed: NDArray[np.int64],
) -> None:
    """Sum successive frames into one frame a group.

    The hits of a group are sorted by pixel and equal pixels are added: n log n comparisons for n hits, 6 bytes read
    and 12 written a hit; no dense frame is touched, as groups hold a few hundred hits on many thousand pixels.

    Parameters
    ----------
    indptr, pixel, count
        Frames as compressed sparse rows.
    group_ptr : ndarray of int64, `(n_groups + 1,)`
        Group ``g`` holds frames ``group_ptr[g]`` to ``group_ptr[g + 1] - 1``.
    summed_pixel : ndarray of uint32, `(n_hits,)`
        Filled from the group's first hit on, increasing; the rest of the group's room stays as it was.
    summed_count : ndarray of int64, `(n_hits,)`
        Filled likewise.
    n_summed : ndarray of int64, `(n_groups,)`
        Filled with the number of different pixels of each group.
    """
    for group in numba.prange(len(group_ptr) - 1):
        start = indptr[group_ptr[group]]
        stop = indptr[group_ptr[group + 1]]
        if start == stop:
            n_summed[group] = 0
            continue
        order = np.argsort(pixel[start:stop], kind="mergesort")
        place = start - 1
        last = np.int64(-1)
        for n in order:
            value = np.int64(pixel[start + n])
            if value != last:
                place += 1
                summed_pixel[place] = pixel[start + n]
                summed_count[place] = 0
                last = value
            summed_count[place] += count[start + n]
        n_summed[group] = place + 1 - start
