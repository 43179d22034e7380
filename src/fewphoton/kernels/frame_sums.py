"""Summing groups of sparse frames."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

_DE_BRUIJN = 0x077CB531
"""Its 32 shifts differ in their upper five bits, so they tell which bit of a word is set."""
_BIT_PLACE = np.zeros(32, dtype=np.int64)
for _bit in range(32):
    _BIT_PLACE[((_DE_BRUIJN << _bit) & 0xFFFFFFFF) >> 27] = _bit


@numba.njit(cache=True)
def lowest_bit(word: np.int64) -> np.int64:
    """Return the place of the lowest bit that is set in ``word``, an int64 from 1 to 2**32 - 1."""
    place: np.int64 = _BIT_PLACE[(((word & -word) * _DE_BRUIJN) & 0xFFFFFFFF) >> 27]
    return place


@numba.njit(cache=True, parallel=True)
def sum_groups(
    indptr: NDArray[np.int64],
    pixel: NDArray[np.uint32],
    count: NDArray[np.uint32],
    group_ptr: NDArray[np.int64],
    n_pixels: int,
    n_parts: int,
    summed_pixel: NDArray[np.uint32],
    summed_count: NDArray[np.uint32],
    n_summed: NDArray[np.int64],
    largest: NDArray[np.int64],
) -> None:
    """Sum successive frames into one frame a group.

    Each part has a dense frame of sums. A hit adds to its pixel and marks it in a bit map of three levels (a bit a
    pixel, a bit 32 pixels, a bit 1024 pixels); reading the marks gives the touched pixels in increasing order without
    sorting and leaves the dense frame empty for the next group. A hit costs 8 bytes read, one addition and three
    marks; a summed pixel costs about 20 operations and 8 bytes written; a group costs ``n_pixels / 32768`` words read.
    Memory: 8.13 bytes a pixel and part. Sums of integers do not depend on the number of parts.

    Parameters
    ----------
    indptr, pixel, count
        Frames as compressed sparse rows; pixels of a frame may come in any order and may repeat.
    group_ptr : ndarray of int64, `(n_groups + 1,)`
        Group ``g`` holds frames ``group_ptr[g]`` to ``group_ptr[g + 1] - 1``.
    n_pixels : int
        Pixels of a frame; every ``pixel`` is smaller.
    n_parts : int
        Parts that run side by side.
    summed_pixel : ndarray of uint32, `(n_hits,)`
        Filled from the group's first hit on, increasing; the rest of the group's room stays as it was.
    summed_count : ndarray of uint32, `(n_hits,)`
        Filled likewise; wrong where ``largest`` exceeds 2**32 - 1.
    n_summed : ndarray of int64, `(n_groups,)`
        Filled with the number of different pixels of each group.
    largest : ndarray of int64, `(n_groups,)`
        Filled with the largest sum of each group, 0 where it holds no photon.
    """
    n_groups = len(group_ptr) - 1
    n_words = (n_pixels >> 5) + 1
    n_blocks = (n_words >> 5) + 1
    n_fields = (n_blocks >> 5) + 1
    for part in numba.prange(n_parts):
        total = np.zeros(n_pixels, dtype=np.int64)
        marks = np.zeros(n_words, dtype=np.uint32)
        marked_words = np.zeros(n_blocks, dtype=np.uint32)
        marked_blocks = np.zeros(n_fields, dtype=np.uint32)
        for group in range(n_groups * part // n_parts, n_groups * (part + 1) // n_parts):
            start = indptr[group_ptr[group]]
            for hit in range(start, indptr[group_ptr[group + 1]]):
                p = np.int64(pixel[hit])
                total[p] += count[hit]
                marks[p >> 5] |= np.uint32(1) << np.uint32(p & 31)
                marked_words[p >> 10] |= np.uint32(1) << np.uint32((p >> 5) & 31)
                marked_blocks[p >> 15] |= np.uint32(1) << np.uint32((p >> 10) & 31)
            place = start
            most = np.int64(0)
            for field in range(n_fields):
                open_blocks = np.int64(marked_blocks[field])
                marked_blocks[field] = 0
                while open_blocks:
                    block = (field << 5) + lowest_bit(open_blocks)
                    open_blocks &= open_blocks - 1
                    open_words = np.int64(marked_words[block])
                    marked_words[block] = 0
                    while open_words:
                        word = (block << 5) + lowest_bit(open_words)
                        open_words &= open_words - 1
                        open_pixels = np.int64(marks[word])
                        marks[word] = 0
                        while open_pixels:
                            p = (word << 5) + lowest_bit(open_pixels)
                            open_pixels &= open_pixels - 1
                            most = max(most, total[p])
                            summed_pixel[place] = p
                            summed_count[place] = np.uint32(total[p] & 0xFFFFFFFF)
                            total[p] = 0
                            place += 1
            n_summed[group] = place - start
            largest[group] = most


@numba.njit(cache=True, parallel=True)
def pack_rows(
    row_start: NDArray[np.int64],
    indptr: NDArray[np.int64],
    pixel: NDArray[np.uint32],
    count: NDArray[np.uint32],
    packed_pixel: NDArray[np.uint32],
    packed_count: NDArray[np.uint32],
) -> None:
    """Copy rows that have room after them to rows without; 16 bytes moved a hit.

    Parameters
    ----------
    row_start : ndarray of int64, `(n_rows,)`
        Where each row starts in ``pixel`` and ``count``.
    indptr : ndarray of int64, `(n_rows + 1,)`
        Row pointers of the packed rows.
    pixel, count : ndarray of uint32
        Rows with room.
    packed_pixel, packed_count : ndarray of uint32, `(indptr[-1],)`
        Filled.
    """
    for row in numba.prange(len(row_start)):
        shift = row_start[row] - indptr[row]
        for hit in range(indptr[row], indptr[row + 1]):
            packed_pixel[hit] = pixel[hit + shift]
            packed_count[hit] = count[hit + shift]
