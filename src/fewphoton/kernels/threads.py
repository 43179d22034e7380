"""How many threads the parallel kernels use."""

from __future__ import annotations

import numba


def use_threads(n_threads: int) -> int:
    """Let parallel kernels use at most ``n_threads`` threads; return the number in force.

    The thread pool is as large as the machine (or ``NUMBA_NUM_THREADS``) allows; a larger wish is cut to that.
    """
    n_used = max(1, min(n_threads, int(numba.config.NUMBA_NUM_THREADS)))
    numba.set_num_threads(n_used)
    return n_used


def threads_in_use() -> int:
    """Return the number of threads that parallel kernels use now."""
    return int(numba.get_num_threads())


def threading_layer() -> str:
    """Return the name of the threading layer of parallel kernels, after one has run: tbb, omp or workqueue."""
    _sum_of_numbers(1000)
    return str(numba.threading_layer())


@numba.njit(parallel=True, cache=True)
def _sum_of_numbers(n: int) -> int:
    """Sum of 0 to n - 1; n additions, no memory. It exists to make Numba choose its threading layer."""
    total = 0
    for number in numba.prange(n):
        total += number
    return total
