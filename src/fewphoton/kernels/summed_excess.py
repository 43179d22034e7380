"""Pixels whose 3 x 3 surroundings hold more than background can explain."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from fewphoton.kernels.strong_pixels import between_rings, poisson_upper_tail


@numba.njit(cache=True, nogil=True)
def keep_summed_excess(
    frame: NDArray[Any],
    n_fast: int,
    candidates: NDArray[np.uint32],
    bin_of_pixel: NDArray[np.uint16],
    radius: NDArray[np.float32],
    first_centre: float,
    step: float,
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
    ring_sum: NDArray[np.float64],
    slack: float,
    noise: float,
    tail: float,
    deviations: float,
) -> int:
    """Keep, in place, candidates whose 3 x 3 sum background reaches by chance less often than allowed.

    A candidate that a neighbour exceeds costs a few loads, others nine and a comparison with the least sum near their
    ring; the few that pass meet the interpolated background. Bad reads and masked pixels in the square are for the
    peak's own test to refuse.

    Parameters
    ----------
    frame : ndarray, `(n_pixels,)`
        Corrected frame.
    n_fast : int
        Pixels in a row.
    candidates : ndarray of uint32, `(n,)`
        Pixels that reach a ninth of the least sum, increasing.
    bin_of_pixel, radius, first_centre, step, mean, std
        See :func:`fewphoton.kernels.strong_pixels.keep_strong`.
    ring_sum : ndarray of float64, `(n_bins + 1,)`
        Sum that every kept candidate of a ring reaches; infinite for pixels without a ring.
    slack : float
        A neighbour that holds more than this beyond the candidate's value outshines it whatever the background: the
        largest difference of the background between neighbours.
    noise : float
        Read-out noise of a pixel.
    tail : float
        Where positive, the Poisson probability that background alone gives the sum must not exceed it.
    deviations : float
        Otherwise the sum must exceed the background's by this many of its standard deviations.

    Returns
    -------
    int
        Number kept.
    """
    n_bins = len(mean)
    n_slow = len(frame) // n_fast
    n_kept = 0
    for candidate in candidates:
        here = int(candidate)
        slow, fast = here // n_fast, here % n_fast
        if slow == 0 or slow == n_slow - 1 or fast == 0 or fast == n_fast - 1:
            continue
        highest = np.float64(frame[here]) + slack
        if np.float64(frame[here + 1]) > highest or np.float64(frame[here - 1]) > highest:
            continue
        if np.float64(frame[here + n_fast]) > highest or np.float64(frame[here - n_fast]) > highest:
            continue
        total = 0.0
        for row in range(here - n_fast, here + n_fast + 1, n_fast):
            total += np.float64(frame[row - 1]) + np.float64(frame[row]) + np.float64(frame[row + 1])
        if not total >= ring_sum[bin_of_pixel[here]]:
            continue
        background = 0.0
        variance = 0.0
        for row in range(here - n_fast, here + n_fast + 1, n_fast):
            for place in range(row - 1, row + 2):
                left, share = between_rings(radius[place], first_centre, step, n_bins)
                right = min(left + 1, n_bins - 1)
                background += mean[left] * (1.0 - share) + mean[right] * share
                spread = std[left] * (1.0 - share) + std[right] * share
                variance += spread * spread + noise * noise
        if tail > 0.0:
            kept = poisson_upper_tail(total, background) <= tail
        else:
            kept = total - background > deviations * math.sqrt(variance)
        if kept:
            candidates[n_kept] = candidate
            n_kept += 1
    return n_kept
