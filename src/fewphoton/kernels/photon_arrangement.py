"""From frames to the two orders of EMC: by frame for the likelihood, by pixel row for the update (a counting sort)."""

from __future__ import annotations

import numba
import numpy as np
from numba import prange
from numpy import float32 as f32
from numpy.typing import NDArray


@numba.njit(cache=True)
def count_photon_places(
    indptr: NDArray[np.int64],
    pixel: NDArray[np.uint32],
    row_of_pixel: NDArray[np.int32],
    likelihood: NDArray[np.bool_],
    frame_ptr: NDArray[np.int64],
    row_ptr: NDArray[np.int64],
) -> None:
    """Fill the row pointers of both orders; per hit 4 bytes read and two small tables looked up.

    Parameters
    ----------
    indptr : ndarray of int64, `(n_frames + 1,)`
        Row pointers of the frames.
    pixel : ndarray of uint32, `(n_hits,)`
        Pixel of each hit.
    row_of_pixel : ndarray of int32, `(n_pixels,)`
        Pixel row of each pixel, -1 where it takes no part.
    likelihood : ndarray of bool, `(n_rows,)`
        Rows that enter the likelihood, and with it the order by frame.
    frame_ptr : ndarray of int64, `(n_frames + 1,)`
        Filled with row pointers of the order by frame.
    row_ptr : ndarray of int64, `(n_rows + 1,)`
        Filled with row pointers of the order by pixel row.
    """
    row_ptr[:] = 0
    frame_ptr[0] = 0
    for frame in range(len(indptr) - 1):
        informative = 0
        for hit in range(indptr[frame], indptr[frame + 1]):
            row = row_of_pixel[pixel[hit]]
            if row >= 0:
                row_ptr[row + 1] += 1
                informative += likelihood[row]
        frame_ptr[frame + 1] = frame_ptr[frame] + informative
    for row in range(len(row_ptr) - 1):
        row_ptr[row + 1] += row_ptr[row]


@numba.njit(cache=True)
def place_photons(
    indptr: NDArray[np.int64],
    pixel: NDArray[np.uint32],
    count: NDArray[np.uint32],
    row_of_pixel: NDArray[np.int32],
    likelihood: NDArray[np.bool_],
    frame_ptr: NDArray[np.int64],
    row_ptr: NDArray[np.int64],
    row_of_hit: NDArray[np.int32],
    frame_count: NDArray[np.float32],
    frame_of_hit: NDArray[np.int32],
    row_count: NDArray[np.float32],
) -> None:
    """Write the hits in both orders; frames stay in order within a pixel row, rows within a frame.

    Per hit 8 bytes read, 8 written in order and 8 scattered; one pass in one thread, as reading the photon file takes
    longer.

    Parameters
    ----------
    indptr, pixel, count
        Frames as compressed sparse rows.
    row_of_pixel, likelihood, frame_ptr, row_ptr
        As :func:`count_photon_places` takes and fills them.
    row_of_hit : ndarray of int32, `(frame_ptr[-1],)`
        Filled with the pixel rows of each frame.
    frame_count : ndarray of float32, `(frame_ptr[-1],)`
        Filled with the photons there.
    frame_of_hit : ndarray of int32, `(row_ptr[-1],)`
        Filled with the frames of each pixel row.
    row_count : ndarray of float32, `(row_ptr[-1],)`
        Filled with the photons there.
    """
    following = row_ptr[:-1].copy()
    place = 0
    for frame in range(len(indptr) - 1):
        for hit in range(indptr[frame], indptr[frame + 1]):
            row = row_of_pixel[pixel[hit]]
            if row < 0:
                continue
            photons = f32(count[hit])
            frame_of_hit[following[row]] = frame
            row_count[following[row]] = photons
            following[row] += 1
            if likelihood[row]:
                row_of_hit[place] = row
                frame_count[place] = photons
                place += 1


@numba.njit(cache=True, parallel=True)
def sparse_row_sums(indptr: NDArray[np.int64], count: NDArray[np.float32], total: NDArray[np.float64]) -> None:
    """Write the sum of each sparse row, in float64; 4 bytes and one addition a hit.

    Parameters
    ----------
    indptr : ndarray of int64, `(n_rows + 1,)`
        Row pointers.
    count : ndarray of float32, `(n_hits,)`
        Photons.
    total : ndarray of float64, `(n_rows,)`
        Filled.
    """
    for row in prange(len(total)):
        photons = 0.0
        for hit in range(indptr[row], indptr[row + 1]):
            photons += np.float64(count[hit])
        total[row] = photons
