"""Counts in a disc about predicted spots, and the local background in a ring about it, frame by frame."""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

DISC_PIXELS, DISC_COUNTS, DISC_LOST, RING_PIXELS, RING_COUNTS = 0, 1, 2, 3, 4
MOMENT_SLOW, MOMENT_FAST, OFFSET_SLOW, OFFSET_FAST = 5, 6, 7, 8
BRIGHTEST, BRIGHTEST_SLOW, BRIGHTEST_FAST = 9, 10, 11
N_SUMS = 12
"""Columns of the sums of a spot. The disc: usable pixels, their counts, unusable pixels; the ring: usable pixels, their
counts; the disc's sums of counts times offset from the predicted position and of the offsets alone; the largest count
of a single pixel within the inner edge of the ring and its offset."""


@numba.njit(cache=True)
def mark_discs(
    slow_px: NDArray[np.float64],
    fast_px: NDArray[np.float64],
    radius_px: float,
    step: int,
    depth: NDArray[np.uint16],
) -> None:
    """Add ``step`` to the pixels in the disc of every spot, so that rings can leave the discs of neighbours out.

    Serial, as discs may overlap; 4 bytes moved a pixel of the disc. Calling it again with -1 takes the marks away.

    Parameters
    ----------
    slow_px, fast_px : ndarray of float64, `(n,)`
        Centres; the first pixel's centre is 0.0.
    radius_px : float
        Pixels whose centre lies within it belong to the disc.
    step : int
        1 to mark, -1 to take away.
    depth : ndarray of uint16, `(n_slow, n_fast)`
        Discs over each pixel; changed.
    """
    n_slow, n_fast = depth.shape
    for spot in range(len(slow_px)):
        for slow in range(max(0, math.ceil(slow_px[spot] - radius_px)), n_slow):
            if slow > slow_px[spot] + radius_px:
                break
            for fast in range(max(0, math.ceil(fast_px[spot] - radius_px)), n_fast):
                if fast > fast_px[spot] + radius_px:
                    break
                if (slow - slow_px[spot]) ** 2 + (fast - fast_px[spot]) ** 2 <= radius_px * radius_px:
                    depth[slow, fast] = np.uint16(np.int64(depth[slow, fast]) + step)


@numba.njit(cache=True, parallel=True)
def add_spot_sums(
    frame: NDArray[np.generic],
    usable: NDArray[np.bool_],
    smallest_valid: np.generic,
    largest_valid: np.generic,
    slow_px: NDArray[np.float64],
    fast_px: NDArray[np.float64],
    spot: NDArray[np.int64],
    disc_radius_px: float,
    ring_inner_px: float,
    ring_outer_px: float,
    depth: NDArray[np.uint16],
    sums: NDArray[np.float64],
) -> None:
    """Add one frame to the sums of the spots that reflect in it.

    Pixels outside the frame, masked ones and those whose value is not valid are unusable: in the disc they are
    counted, in the ring they are left out, as are the discs of other spots. Per spot it reads the square around the
    ring, `(2 r + 1)²` pixels of frame, mask and marks (11 bytes with a frame of 8 bytes a pixel), and does about 15
    operations a pixel; the spots write to separate rows.

    Parameters
    ----------
    frame : ndarray of integers or floats, `(n_slow, n_fast)`
        Counts.
    usable : ndarray of bool, `(n_slow, n_fast)`
        False where a pixel is masked.
    smallest_valid, largest_valid : scalar of the frame's type
        Values outside, and NaN, are not valid.
    slow_px, fast_px : ndarray of float64, `(k,)`
        Predicted positions of the spots in this frame.
    spot : ndarray of int64, `(k,)`
        Row of each of them in ``sums``; no row twice.
    disc_radius_px : float
        Radius of the disc.
    ring_inner_px, ring_outer_px : float
        The ring lies beyond the inner radius and reaches to the outer one.
    depth : ndarray of uint16, `(n_slow, n_fast)`
        From :func:`mark_discs` with all spots of this frame.
    sums : ndarray of float64, `(n, 12)`
        Columns as ``DISC_PIXELS`` and its fellows; added to, the three of the brightest pixel replaced.
    """
    n_slow, n_fast = frame.shape
    disc_square = disc_radius_px * disc_radius_px
    inner_square = ring_inner_px * ring_inner_px
    outer_square = ring_outer_px * ring_outer_px
    for k in numba.prange(len(slow_px)):
        row = spot[k]
        first_slow = math.ceil(slow_px[k] - ring_outer_px)
        last_slow = math.floor(slow_px[k] + ring_outer_px)
        first_fast = math.ceil(fast_px[k] - ring_outer_px)
        last_fast = math.floor(fast_px[k] + ring_outer_px)
        for slow in range(first_slow, last_slow + 1):
            away_slow = slow - slow_px[k]
            for fast in range(first_fast, last_fast + 1):
                away_fast = fast - fast_px[k]
                square = away_slow * away_slow + away_fast * away_fast
                in_disc = square <= disc_square
                valid = False
                count = 0.0
                if 0 <= slow < n_slow and 0 <= fast < n_fast and usable[slow, fast]:
                    value = frame[slow, fast]
                    valid = value >= smallest_valid and value <= largest_valid
                    count = float(value)
                if in_disc:
                    if valid:
                        sums[row, DISC_PIXELS] += 1.0
                        sums[row, DISC_COUNTS] += count
                        sums[row, MOMENT_SLOW] += count * away_slow
                        sums[row, MOMENT_FAST] += count * away_fast
                        sums[row, OFFSET_SLOW] += away_slow
                        sums[row, OFFSET_FAST] += away_fast
                    else:
                        sums[row, DISC_LOST] += 1.0
                elif valid and square > inner_square and square <= outer_square and depth[slow, fast] == 0:
                    sums[row, RING_PIXELS] += 1.0
                    sums[row, RING_COUNTS] += count
                if valid and square <= inner_square and count > sums[row, BRIGHTEST]:
                    sums[row, BRIGHTEST] = count
                    sums[row, BRIGHTEST_SLOW] = away_slow
                    sums[row, BRIGHTEST_FAST] = away_fast
