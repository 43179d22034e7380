"""The floor: how fast this machine reads a table larger than its caches, with as many threads as are in use."""

from __future__ import annotations

import time
from collections.abc import Callable

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(parallel=True)
def _read(words: NDArray[np.uint64], n_parts: int) -> NDArray[np.uint64]:
    """Touch every word: 8 bytes and one operation each."""
    bits = np.zeros(n_parts, dtype=np.uint64)
    for part in numba.prange(n_parts):
        gathered = np.uint64(0)
        for word in words[part * words.size // n_parts : (part + 1) * words.size // n_parts]:
            gathered |= word
        bits[part] = gathered
    return bits


def seconds_to_read(table: NDArray[np.float32], clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the time of one pass over ``table``."""
    words = table.reshape(-1).view(np.uint64)
    begin = clock()
    _read(words, int(numba.get_num_threads()))
    return clock() - begin
