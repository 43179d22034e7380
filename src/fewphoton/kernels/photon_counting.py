"""From raw values to photons: compare with a threshold, count, and pack into compressed sparse rows.

Frames hold few photons, so nearly every block of pixels holds none: a first pass compares whole blocks at the speed of
memory and remembers the lit ones; a second pass visits only those.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

BLOCK_PIXELS = 128
"""Pixels compared at a time; a block is skipped when none of them holds a photon."""

_TILE_PIXELS = 16384
_GROUP_FRAMES = 8
_STRIP_PIXELS = 32


@numba.njit(cache=True, inline="always")
def _any_odd(
    values: NDArray[np.generic],
    level: NDArray[np.generic],
    smallest_valid: np.generic,
    largest_valid: np.generic,
    length: int,
) -> np.uint8:
    """Tell whether a block holds photons or bad reads; a constant length lets the compiler unroll it into vectors."""
    odd = np.uint8(0)
    for i in range(length):
        # Bitwise, as a short-circuit would branch in the vectorised loop; NaN fails every comparison.
        odd |= np.uint8(
            (values[i] > level[i]) | (not (values[i] >= smallest_valid)) | (not (values[i] <= largest_valid))
        )
    return odd


@numba.njit(cache=True, parallel=True)
def find_photons(
    frames: NDArray[np.generic],
    threshold: NDArray[np.generic],
    usable: NDArray[np.bool_],
    smallest_valid: np.generic,
    largest_valid: np.generic,
    lit: NDArray[np.bool_],
    n_over: NDArray[np.int64],
    n_invalid: NDArray[np.int64],
) -> None:
    """Mark the blocks that hold photons or bad reads, and count both in each frame.

    Cost: 2 bytes read from memory a pixel (uint16) and three vectorised comparisons; thresholds stay in the cache, as
    eight frames share each tile of them. Lit blocks are read a second time, from the cache.

    Parameters
    ----------
    frames : ndarray of integers or floats, `(n_frames, n_pixels)`
        Raw values.
    threshold : ndarray of the same type, `(n_pixels,)`
        A pixel holds photons when its value is larger; the largest value of the type (or infinity) where it is masked.
    usable : ndarray of bool, `(n_pixels,)`
        False where bad reads are not counted.
    smallest_valid, largest_valid : scalar of the same type
        Values outside, and NaN, are bad reads and never photons.
    lit : ndarray of bool, `(n_frames, ceil(n_pixels / BLOCK_PIXELS))`
        Filled: blocks with photons.
    n_over : ndarray of int64, `(n_frames,)`
        Filled: pixels with photons.
    n_invalid : ndarray of int64, `(n_frames,)`
        Filled: bad reads on usable pixels.
    """
    n_frames, n_pixels = frames.shape
    n_groups = (n_frames + _GROUP_FRAMES - 1) // _GROUP_FRAMES
    for group in numba.prange(n_groups):
        first = group * _GROUP_FRAMES
        last = min(first + _GROUP_FRAMES, n_frames)
        n_over[first:last] = 0
        n_invalid[first:last] = 0
        for tile in range(0, n_pixels, _TILE_PIXELS):
            tile_stop = min(tile + _TILE_PIXELS, n_pixels)
            for d in range(first, last):
                for start in range(tile, tile_stop, BLOCK_PIXELS):
                    values = frames[d, start : min(start + BLOCK_PIXELS, tile_stop)]
                    level = threshold[start : min(start + BLOCK_PIXELS, tile_stop)]
                    if len(values) == BLOCK_PIXELS:
                        odd = _any_odd(values, level, smallest_valid, largest_valid, BLOCK_PIXELS)
                    else:
                        odd = _any_odd(values, level, smallest_valid, largest_valid, len(values))
                    # A block holds fewer than 256 pixels, so bytes count it; they keep the vectors short.
                    block_over = np.uint8(0)
                    if odd:
                        good = usable[start : min(start + BLOCK_PIXELS, tile_stop)]
                        block_invalid = np.uint8(0)
                        for i in range(len(values)):
                            valid = (values[i] >= smallest_valid) & (values[i] <= largest_valid)
                            block_over += np.uint8((values[i] > level[i]) & valid)
                            block_invalid += np.uint8(good[i] & (not valid))
                        n_invalid[d] += block_invalid
                    lit[d, start // BLOCK_PIXELS] = block_over > 0
                    n_over[d] += block_over


@numba.njit(cache=True, parallel=True)
def pack_photons(
    frames: NDArray[np.generic],
    threshold: NDArray[np.generic],
    smallest_valid: np.generic,
    largest_valid: np.generic,
    full_scale: np.generic,
    offset_adu: NDArray[np.float32],
    adu_per_photon: NDArray[np.float32],
    threshold_photons: float,
    lit: NDArray[np.bool_],
    hit_ptr: NDArray[np.int64],
    pixel: NDArray[np.uint32],
    count: NDArray[np.uint16],
    n_saturated: NDArray[np.int64],
) -> None:
    """Write pixel and photons of every value above its threshold.

    Cost: one byte a block, and for each lit block 128 vectorised comparisons; 32 comparisons and one division a hit.

    Parameters
    ----------
    frames, threshold, smallest_valid, largest_valid, lit
        As :func:`find_photons` took and filled them.
    full_scale : scalar of the frames' type
        Values from here on are saturated: their photons are a lower bound.
    offset_adu, adu_per_photon : ndarray of float32, `(n_pixels,)`
        Calibration.
    threshold_photons : float
        A pixel holds n photons when its signal lies in (n - 1 + threshold, n + threshold] photons.
    hit_ptr : ndarray of int64, `(n_frames + 1,)`
        Where each frame's hits begin: the running sum of ``n_over``.
    pixel : ndarray of uint32, `(n_hits,)`
        Filled, increasing inside a frame.
    count : ndarray of uint16, `(n_hits,)`
        Filled, at least 1; 65535 stands for more as well.
    n_saturated : ndarray of int64, `(n_frames,)`
        Filled: hits at full scale, or of more than 65535 photons.
    """
    n_frames, n_pixels = frames.shape
    for d in numba.prange(n_frames):
        hit = hit_ptr[d]
        n_saturated[d] = 0
        for block in range(lit.shape[1]):
            if not lit[d, block]:
                continue
            for start in range(block * BLOCK_PIXELS, min((block + 1) * BLOCK_PIXELS, n_pixels), _STRIP_PIXELS):
                stop = min(start + _STRIP_PIXELS, n_pixels)
                values = frames[d, start:stop]
                level = threshold[start:stop]
                if len(values) == _STRIP_PIXELS and not _any_odd(
                    values, level, smallest_valid, largest_valid, _STRIP_PIXELS
                ):
                    continue
                for i in range(len(values)):
                    value = values[i]
                    if value > level[i] and value >= smallest_valid and value <= largest_valid:
                        p = start + i
                        signal = (np.float64(value) - np.float64(offset_adu[p])) / np.float64(adu_per_photon[p])
                        photons = max(1.0, np.ceil(signal - threshold_photons))
                        n_saturated[d] += photons > 65535.0 or value >= full_scale
                        pixel[hit] = p
                        count[hit] = np.uint16(min(photons, 65535.0))
                        hit += 1
