"""The floor: no program can separate a frame without reading it, and the map of its rings, once."""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np
from benchmarks.separation.frames import DataSet
from numpy.typing import NDArray

LABEL = "floor: read frame and bin map once"
_N_PARTS = 16


@numba.njit
def _read(words: NDArray[np.uint64]) -> np.uint64:
    """Touch every word: 8 bytes and one operation each."""
    bits = np.uint64(0)
    for word in words:
        bits |= word
    return bits


@numba.njit(parallel=True)
def _read_in_parts(frame: NDArray[np.uint64], rings: NDArray[np.uint64], n_parts: int) -> np.uint64:
    """Touch every word of both arrays, each thread in its own parts."""
    bits = np.zeros(n_parts, dtype=np.uint64)
    for part in numba.prange(n_parts):
        of_frame = frame[part * frame.size // n_parts : (part + 1) * frame.size // n_parts]
        of_rings = rings[part * rings.size // n_parts : (part + 1) * rings.size // n_parts]
        bits[part] = _read(of_frame) | _read(of_rings)
    return _read(bits)


def _as_words(values: NDArray[np.generic]) -> NDArray[np.uint64]:
    """View an array as whole 64-bit words, whatever its type; up to seven bytes at the end are left out."""
    octets = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    return octets[: octets.size // 8 * 8].view(np.uint64)


def floor(data: DataSet) -> list[tuple[str, Callable[[int], int]]]:
    """Return the one step that reads frame and uint16 bin map; it counts the pixels read."""
    rings = _as_words(data.bin_map())
    frames = [_as_words(frame) for frame in data.frames]
    n_threads = int(numba.get_num_threads())

    def read(number: int) -> int:
        if n_threads == 1:
            _read(frames[number]) | _read(rings)
        else:
            _read_in_parts(frames[number], rings, _N_PARTS)
        return int(data.masked.size)

    return [(LABEL, read)]
