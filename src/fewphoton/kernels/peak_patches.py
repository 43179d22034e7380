"""From strong pixels to Bragg peaks: maxima of a patch with enough strong neighbours."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from fewphoton.kernels.strong_pixels import between_rings, poisson_upper_tail


@numba.njit(cache=True, nogil=True)
def find_in_patches(
    frame: NDArray[Any],
    n_fast: int,
    strong: NDArray[np.uint32],
    bin_of_pixel: NDArray[np.uint16],
    panel_of_pixel: NDArray[np.int32],
    radius: NDArray[np.float32],
    first_centre: float,
    step: float,
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
    noise: float,
    cutoff: float,
    tail: float,
    half_width: int,
    connected: int,
    slack: float,
    smallest_valid: float,
    largest_valid: float,
    saturation: float,
    slow_px: NDArray[np.float32],
    fast_px: NDArray[np.float32],
    intensity: NDArray[np.float32],
    sigma: NDArray[np.float32],
    n_strong: NDArray[np.int32],
    saturated: NDArray[np.bool_],
) -> int:
    """Turn strong pixels into peaks (Kieffer et al. 2025, section 4).

    A given pixel is a peak where none of its patch stands higher above the background (of equal ones the first
    does), where at least ``connected`` pixels of the patch are strong, and where its eight neighbours exist: next
    to a masked pixel, a bad read or a panel's edge the maximum may be hidden. Sums run over the pixels of the patch
    that lie above the background. A strong pixel costs a step
    or two along its list for each row of the patch, and one that may be a peak about 30 operations a patch pixel.

    Parameters
    ----------
    frame : ndarray, `(n_pixels,)`
        Corrected frame.
    n_fast : int
        Pixels in a row.
    strong : ndarray of uint32, `(n,)`
        Pixels that may be peaks, increasing; all strong ones where ``connected`` exceeds 1.
    bin_of_pixel, radius, first_centre, step, mean, std, noise, smallest_valid, largest_valid
        See :func:`fewphoton.kernels.strong_pixels.keep_strong`.
    cutoff, tail : float
        Which pixels are strong, see there; ``tail`` where it is positive.
    panel_of_pixel : ndarray of int32, `(n_pixels,)`
        Panel of each pixel: neighbours in the array are neighbours in space only in the same one.
    half_width, connected : int
        Patch of ``2 half_width + 1`` pixels an edge, and the strong pixels it must hold.
    slack : float
        Largest difference of the background between pixels that touch: a neighbour that holds more than this beyond
        a pixel's value stands higher whatever the background.
    saturation : float
        Pixels at or above are saturated.
    slow_px, fast_px, intensity, sigma, n_strong, saturated : ndarray, `(n,)`
        Filled: centroid (index of the pixel's centre), summed excess and its standard deviation, strong pixels of
        the patch, and whether one of them is saturated.

    Returns
    -------
    int
        Number of peaks, in the order of ``strong``.
    """
    n_bins = len(mean)
    n_slow = len(frame) // n_fast
    pointers = np.zeros(2 * half_width + 1, dtype=np.int64)
    n_given = len(strong)
    n_peaks = 0
    for seed in strong:
        here = int(seed)
        # Most strong pixels are noise and stand alone. Their list is sorted, so one pointer for each row of the patch
        # counts neighbours without touching the frame (pixels beyond a row's end may be counted; the patch decides).
        if connected > 1:
            found = 0
            for line in range(2 * half_width + 1):
                start = here + (line - half_width) * n_fast - half_width
                entry = pointers[line]
                while entry < n_given and strong[entry] < start:
                    entry += 1
                pointers[line] = entry
                while entry < n_given and strong[entry] <= start + 2 * half_width:
                    found += 1
                    entry += 1
            if found < connected:
                continue
        slow, fast = here // n_fast, here % n_fast
        if slow == 0 or slow == n_slow - 1 or fast == 0 or fast == n_fast - 1:
            continue
        # Most strong pixels of a spot lie beside a higher one: four loads tell.
        highest = np.float64(frame[here]) + slack
        if np.float64(frame[here + 1]) > highest or np.float64(frame[here - 1]) > highest:
            continue
        if np.float64(frame[here + n_fast]) > highest or np.float64(frame[here - n_fast]) > highest:
            continue
        first_row: int = max(0, slow - half_width)
        last_row: int = min(n_slow - 1, slow + half_width)
        first_column: int = max(0, fast - half_width)
        last_column: int = min(n_fast - 1, fast + half_width)
        panel = panel_of_pixel[here]
        left, share = between_rings(radius[here], first_centre, step, n_bins)
        right = min(left + 1, n_bins - 1)
        top = np.float64(frame[here]) - (mean[left] * (1.0 - share) + mean[right] * share)
        accepted = True
        found = 0
        total = 0.0
        variance = 0.0
        slow_moment = 0.0
        fast_moment = 0.0
        clipped = False
        for row in range(first_row, last_row + 1):
            for column in range(first_column, last_column + 1):
                place = row * n_fast + column
                value = np.float64(frame[place])
                if (
                    bin_of_pixel[place] == n_bins
                    or panel_of_pixel[place] != panel
                    or not smallest_valid <= value <= largest_valid
                ):
                    accepted = accepted and (abs(row - slow) > 1 or abs(column - fast) > 1)
                    continue
                left, share = between_rings(radius[place], first_centre, step, n_bins)
                right = min(left + 1, n_bins - 1)
                background = mean[left] * (1.0 - share) + mean[right] * share
                excess = value - background
                if excess > top or (excess == top and place < here):
                    accepted = False
                if excess > 0.0:
                    spread = std[left] * (1.0 - share) + std[right] * share
                    spread2 = spread * spread + noise * noise
                    if tail > 0.0:
                        found += poisson_upper_tail(value, background) <= tail
                    else:
                        found += excess >= cutoff * math.sqrt(spread2)
                    total += excess
                    variance += spread2
                    slow_moment += excess * (row - slow)
                    fast_moment += excess * (column - fast)
                clipped = clipped or bool(value >= saturation)
            if not accepted:
                break
        if accepted and found >= connected:
            slow_px[n_peaks] = slow + slow_moment / total
            fast_px[n_peaks] = fast + fast_moment / total
            intensity[n_peaks] = total
            sigma[n_peaks] = math.sqrt(variance)
            n_strong[n_peaks] = found
            saturated[n_peaks] = clipped
            n_peaks += 1
    return n_peaks
