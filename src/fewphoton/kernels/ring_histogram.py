"""Histograms of counts by azimuthal ring: one pass over a frame of integers, then clipping costs no pixel any more."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(cache=True, nogil=True)
def count_by_ring(
    frame: NDArray[Any],
    bin_of_pixel: NDArray[np.uint16],
    lowest: int,
    histogram: NDArray[np.uint32],
    far: NDArray[np.uint32],
) -> int:
    """Count, ring by ring, how often each value occurs; list the pixels whose values the table does not hold.

    A pixel costs its own bytes, 2 bytes of ring number and one increment in a table that stays in cache. Pixels
    outside the table are rare (Bragg spots, bad reads); what becomes of them is kept out of this loop, so that all it
    needs stays in registers.

    Parameters
    ----------
    frame : ndarray of integers of at most 32 bits, `(n_pixels,)`
        Frame.
    bin_of_pixel : ndarray of uint16, `(n_pixels,)`
        Ring of each pixel; the number of rings for pixels that belong to none.
    lowest : int
        Value that the first column of the table counts.
    histogram : ndarray of uint32, `(n_bins + 1, n_values)`
        Set to zero, then filled; the last row counts pixels without a ring.
    far : ndarray of uint32, `(n_pixels,)`
        Filled with pixels in rings whose values lie outside the table, increasing.

    Returns
    -------
    int
        Number of pixels in ``far``.
    """
    n_bins = np.uint32(histogram.shape[0] - 1)
    n_values = np.uint32(histogram.shape[1])
    first = np.uint32(lowest)
    counts = histogram.reshape(-1)
    counts[:] = 0
    n_far = 0
    for pixel in range(len(frame)):
        # Unsigned, so that one comparison covers both ends and no index can be negative.
        column = np.uint32(np.uint32(frame[pixel]) - first)
        ring = np.uint32(bin_of_pixel[pixel])
        if column < n_values:
            counts[ring * n_values + column] += np.uint32(1)
        elif ring < n_bins:
            far[n_far] = pixel
            n_far += 1
    return n_far


@numba.njit(cache=True, nogil=True)
def part_far_pixels(
    frame: NDArray[Any],
    bin_of_pixel: NDArray[np.uint16],
    far: NDArray[np.uint32],
    smallest_valid: int,
    largest_valid: int,
    outside_bin: NDArray[np.uint16],
    outside_value: NDArray[np.int64],
) -> tuple[int, int]:
    """Part pixels outside the table into valid values, which are copied, and bad reads, which stay listed.

    Parameters
    ----------
    frame, bin_of_pixel
        As for :func:`count_by_ring`.
    far : ndarray of uint32, `(n_far,)`
        What that function listed; its first ``n_invalid`` entries become the pixels of bad reads, increasing.
    smallest_valid, largest_valid : int
        Values outside mark bad reads; the table must lie between them.
    outside_bin, outside_value : ndarray of uint16 and int64, `(capacity,)`
        Filled with the rings and values of the others.

    Returns
    -------
    n_outside, n_invalid : int
        Entries filled; -1 for the first where the capacity was too small.
    """
    n_outside = 0
    n_invalid = 0
    for pixel in far:
        value = np.int64(frame[pixel])
        if value < smallest_valid or value > largest_valid:
            # Never ahead of the entry that is read.
            far[n_invalid] = pixel
            n_invalid += 1
        else:
            if n_outside == len(outside_bin):
                return -1, n_invalid
            outside_bin[n_outside] = bin_of_pixel[pixel]
            outside_value[n_outside] = value
            n_outside += 1
    return n_outside, n_invalid
