"""Histograms of counts by azimuthal ring: one pass over a frame of integers, then clipping costs no pixel any more."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(cache=True, nogil=True)
def ring_histograms(
    frame: NDArray[Any],
    bin_of_pixel: NDArray[np.uint16],
    lowest: int,
    smallest_valid: int,
    largest_valid: int,
    histogram: NDArray[np.uint32],
    outside_bin: NDArray[np.uint16],
    outside_value: NDArray[np.int64],
    invalid: NDArray[np.uint32],
) -> tuple[int, int]:
    """Count, ring by ring, how often each value occurs.

    A pixel costs its own bytes, 2 bytes of ring number and one increment in a table that stays in cache. Values
    outside the table are rare (Bragg spots) and are listed one by one.

    Parameters
    ----------
    frame : ndarray of integers of at most 32 bits, `(n_pixels,)`
        Frame.
    bin_of_pixel : ndarray of uint16, `(n_pixels,)`
        Ring of each pixel; the number of rings for pixels that belong to none.
    lowest : int
        Value that the first column of the table counts.
    smallest_valid, largest_valid : int
        Values outside mark bad reads; the table must lie between them.
    histogram : ndarray of uint32, `(n_bins + 1, n_values)`
        Set to zero, then filled; the last row counts pixels without a ring.
    outside_bin, outside_value : ndarray of uint16 and int64, `(capacity,)`
        Filled with valid values outside the table and their rings.
    invalid : ndarray of uint32, `(capacity,)`
        Filled with the pixels in rings that hold bad reads.

    Returns
    -------
    n_outside, n_invalid : int
        Entries filled; -1 for the first where a capacity was too small.
    """
    n_bins = histogram.shape[0] - 1
    n_values = np.uint32(histogram.shape[1])
    first = np.uint32(lowest)
    counts = histogram.reshape(-1)
    counts[:] = 0
    n_outside = 0
    n_invalid = 0
    for pixel in range(len(frame)):
        # Unsigned, so that one comparison covers both ends and no index can be negative.
        column = np.uint32(np.uint32(frame[pixel]) - first)
        ring = np.uint32(bin_of_pixel[pixel])
        if column < n_values:
            counts[ring * n_values + column] += np.uint32(1)
        elif ring < n_bins:
            value = np.int64(frame[pixel])
            if value < smallest_valid or value > largest_valid:
                if n_invalid == len(invalid):
                    return -1, n_invalid
                invalid[n_invalid] = pixel
                n_invalid += 1
            else:
                if n_outside == len(outside_bin):
                    return -1, n_invalid
                outside_bin[n_outside] = ring
                outside_value[n_outside] = value
                n_outside += 1
    return n_outside, n_invalid
