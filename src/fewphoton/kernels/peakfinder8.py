"""Peakfinder8: clipped statistics of rings, pixels above them, and peaks of connected pixels.

Barty et al. 2014, J. Appl. Cryst. 47, 1118-1131, doi:10.1107/S1600576714007626. Frames are flat arrays; a pixel that
may not be used has the ring number ``n_rings``.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

_BLOCK_PIXELS = 64
_HOT = 1
_TAKEN = 2


@numba.njit(cache=True, nogil=True)
def arrange_by_ring(values: NDArray[np.generic], slot: NDArray[np.int32], arranged: NDArray[np.generic]) -> None:
    """Write each pixel's value to its slot, so that the pixels of a ring lie together.

    Along a frame the slots of a ring advance one by one: the written cache lines are as many as the rings and stay in
    the cache until they are full. Cost: a value and 4 bytes read in order, a value written, a pixel.

    Parameters
    ----------
    values : ndarray of integers or floats, `(n_pixels,)`
        The frame.
    slot : ndarray of int32, `(n_pixels,)`
        Place of each pixel in ``arranged``, -1 for pixels out of use.
    arranged : ndarray of the frame's type
        Filled.
    """
    for p in range(len(values)):
        place = slot[p]
        if place >= 0:
            arranged[place] = values[p]


@numba.njit(cache=True, nogil=True)
def gather_pixels(values: NDArray[np.generic], pixel: NDArray[np.int32], arranged: NDArray[np.generic]) -> None:
    """Copy the values of the pixels ``pixel`` to ``arranged``; 4 bytes of pixel number and one scattered read a pixel.

    Parameters
    ----------
    values : ndarray of integers or floats, `(n_pixels,)`
        The frame.
    pixel : ndarray of int32, `(n_sampled,)`
        Pixel numbers, ring after ring.
    arranged : ndarray of the frame's type, `(n_sampled,)`
        Filled.
    """
    for place in range(len(pixel)):
        arranged[place] = values[pixel[place]]


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def clipped_moments(values: NDArray[np.generic], lower: float, upper: float) -> tuple[int, float, float]:
    """Return number, sum and sum of squares of the values between ``lower`` and ``upper``, both left out.

    NaN lies between no limits. Cost: one read and six vectorised operations a value.
    """
    n = 0
    total = 0.0
    total_squared = 0.0
    for place in range(len(values)):
        value = np.float64(values[place])
        inside = (value > lower) & (value < upper)
        n += 1 if inside else 0
        kept = value if inside else 0.0
        total += kept
        total_squared += kept * kept
    return n, total, total_squared


@numba.njit(cache=True, nogil=True)
def clip_rings(
    arranged: NDArray[np.generic],
    ring_start: NDArray[np.int64],
    threshold: float,
    min_snr: float,
    n_iterations: int,
    mean: NDArray[np.float64],
    deviation: NDArray[np.float64],
    upper: NDArray[np.float64],
) -> None:
    """Fill mean, standard deviation and peak threshold of every ring.

    Each iteration takes the moments of the values between the limits of the one before, and sets new limits at the
    mean plus and minus ``min_snr`` deviations, the upper one at ``threshold`` at least. A value left out may come back
    in. Where nothing is left between the limits, as in a ring that does not vary, the iteration before stands. Cost:
    ``n_iterations`` reads a value, the later ones from the cache.

    Parameters
    ----------
    arranged : ndarray of integers or floats, `(ring_start[-1],)`
        Values, ring after ring.
    ring_start : ndarray of int64, `(n_rings + 1,)`
        Where each ring starts.
    threshold, min_snr : float
        Lowest upper limit, and half width of the limits in standard deviations.
    n_iterations : int
        Iterations, 5 in peakfinder8.
    mean, deviation, upper : ndarray of float64, `(n_rings + 1,)`
        Filled; 0, 0 and infinity for rings without a finite value and for the last entry, the pixels out of use.
    """
    n_rings = len(ring_start) - 1
    for ring in range(n_rings + 1):
        mean[ring] = 0.0
        deviation[ring] = 0.0
        upper[ring] = np.inf
    for ring in range(n_rings):
        values = arranged[ring_start[ring] : ring_start[ring + 1]]
        lower = -np.inf
        for _ in range(n_iterations):
            n, total, total_squared = clipped_moments(values, lower, upper[ring])
            if n == 0:
                break
            mean[ring] = total / n
            deviation[ring] = np.sqrt(max(total_squared / n - mean[ring] * mean[ring], 0.0))
            lower = mean[ring] - min_snr * deviation[ring]
            highest = max(mean[ring] + min_snr * deviation[ring], threshold)
            # Sums beyond the range of float64 leave no number: such a ring has no peaks.
            upper[ring] = highest if highest < np.inf else np.inf


@numba.njit(cache=True, nogil=True)
def find_hot_pixels(
    values: NDArray[np.generic],
    ring: NDArray[np.unsignedinteger],
    limit: NDArray[np.generic],
    floor: np.generic,
    largest: np.generic,
    hot: NDArray[np.int32],
) -> int:
    """List the pixels above the limit of their ring, in increasing order, and return their number.

    Blocks of 64 pixels without a value above ``floor`` are skipped after one vectorised comparison a pixel; the others
    cost a ring number, a limit from the cache, two comparisons and a write a pixel.

    Parameters
    ----------
    values : ndarray of integers or floats, `(n_pixels,)`
        The frame.
    ring : ndarray of unsigned integers, `(n_pixels,)`
        Ring of each pixel.
    limit : ndarray of the frame's type, `(n_rings + 1,)`
        Limit of each ring; nothing is above the last one, which stands for pixels out of use.
    floor, largest : scalar of the frame's type
        No limit lies below ``floor``; values above ``largest`` are no numbers and left out.
    hot : ndarray of int32, `(n_pixels,)`
        Filled from the start on; what follows the listed pixels is without meaning.
    """
    n_hot = 0
    n_pixels = len(values)
    for start in range(0, n_pixels, _BLOCK_PIXELS):
        block = values[start : start + _BLOCK_PIXELS]
        above = np.uint8(0)
        for place in range(len(block)):
            above |= np.uint8(block[place] > floor)
        if above == 0:
            continue
        for p in range(start, start + len(block)):
            # Written always and counted where hot: no branch to guess wrongly.
            hot[n_hot] = p
            n_hot += (values[p] > limit[ring[p]]) & (values[p] <= largest)
    return n_hot


@numba.njit(cache=True, nogil=True)
def inside_panel(p: int, n_slow: int, n_fast: int, panel: NDArray[np.int32]) -> bool:
    """Tell whether pixel ``p`` and its eight neighbours lie in one panel; two divisions and eight reads."""
    slow = p // n_fast
    fast = p % n_fast
    if slow == 0 or fast == 0 or slow == n_slow - 1 or fast == n_fast - 1:
        return False
    for row in range(p - n_fast, p + n_fast + 1, n_fast):
        for neighbour in range(row - 1, row + 2):
            if panel[neighbour] != panel[p]:
                return False
    return True


@numba.njit(cache=True, nogil=True)
def fill_group(
    seed: int, n_slow: int, n_fast: int, panel: NDArray[np.int32], state: NDArray[np.uint8], group: NDArray[np.int32]
) -> int:
    """List the hot pixels of one panel that hang together with ``seed`` over edges or corners; return their number.

    The pixels found are marked as taken in ``state`` `(n_pixels,)`; ``group`` is filled from the start on, breadth
    first. Cost: eight reads of state and panel a pixel of the group.
    """
    group[0] = seed
    state[seed] = _TAKEN
    n_group = 1
    done = 0
    while done < n_group:
        slow = group[done] // n_fast
        fast = group[done] % n_fast
        done += 1
        for row in range(max(slow - 1, 0), min(slow + 2, n_slow)):
            for column in range(max(fast - 1, 0), min(fast + 2, n_fast)):
                p = row * n_fast + column
                if state[p] == _HOT and panel[p] == panel[seed]:
                    state[p] = _TAKEN
                    group[n_group] = p
                    n_group += 1
    return n_group


@numba.njit(cache=True, nogil=True)
def local_background(
    values: NDArray[np.generic],
    n_fast: int,
    ring: NDArray[np.unsignedinteger],
    panel: NDArray[np.int32],
    upper: NDArray[np.float64],
    slow: int,
    fast: int,
    on_panel: int,
    radius: int,
) -> tuple[int, float, float, float]:
    """Return number, mean, standard deviation and largest value of the background pixels about one place.

    Background are usable pixels of the panel ``on_panel`` below the threshold of their ring whose whole-pixel offsets
    lie in a disc of ``radius``, the offset ``+radius`` itself left out along both axes as the field's own program
    does. Cost: ``4 radius²`` reads of value, ring and panel.
    """
    n_slow = len(values) // n_fast
    n = 0
    total = 0.0
    total_squared = 0.0
    largest = -np.inf
    for row in range(max(slow - radius, 0), min(slow + radius, n_slow)):
        for column in range(max(fast - radius, 0), min(fast + radius, n_fast)):
            p = row * n_fast + column
            if (row - slow) ** 2 + (column - fast) ** 2 > radius * radius:
                continue
            if panel[p] != on_panel or ring[p] == len(upper) - 1:
                continue
            value = np.float64(values[p])
            if value > -np.inf and value < upper[ring[p]]:
                n += 1
                total += value
                total_squared += value * value
                largest = max(largest, value)
    if n == 0:
        return 0, 0.0, 0.0, largest
    mean = total / n
    return n, mean, np.sqrt(max(total_squared / n - mean * mean, 0.0)), largest


@numba.njit(cache=True, nogil=True)
def measure_peaks(
    values: NDArray[np.generic],
    n_fast: int,
    ring: NDArray[np.unsignedinteger],
    panel: NDArray[np.int32],
    mean: NDArray[np.float64],
    deviation: NDArray[np.float64],
    upper: NDArray[np.float64],
    hot: NDArray[np.int32],
    min_snr: float,
    min_pixels: int,
    max_pixels: int,
    background_radius: int,
    measured: NDArray[np.float64],
) -> int:
    """Join hot pixels to groups, measure each, keep the peaks, and return their number.

    A group counts when it has a pixel inside its panel (no neighbour outside), from ``min_pixels`` to ``max_pixels``
    pixels, no brighter background pixel about it, and an intensity of ``min_snr`` background deviations. Groups come
    in the order of their first pixel that is inside the panel. Cost: one byte of marks a pixel of the frame, touched
    only near hot pixels; about 20 reads a hot pixel and ``4 background_radius²`` a group.

    Parameters
    ----------
    values : ndarray of integers or floats, `(n_pixels,)`
        The frame.
    n_fast : int
        Pixels along the fast axis.
    ring, panel : ndarray of unsigned integers and of int32, `(n_pixels,)`
        Ring and panel of each pixel.
    mean, deviation, upper : ndarray of float64, `(n_rings + 1,)`
        From :func:`clip_rings`.
    hot : ndarray of int32, `(n_hot,)`
        From :func:`find_hot_pixels`.
    min_snr : float
        Least intensity over the background's standard deviation.
    min_pixels, max_pixels : int
        Limits of the group's size.
    background_radius : int
        Radius of the disc from which the local background comes.
    measured : ndarray of float64, `(n_hot // min_pixels, 6)`
        Filled from the start on: slow and fast centroid, intensity, pixels, maximum above the background, standard
        deviation of the background.
    """
    n_slow = len(values) // n_fast
    state = np.zeros(len(values), dtype=np.uint8)
    group = np.empty(len(hot), dtype=np.int32)
    for p in hot:
        state[p] = _HOT
    n_peaks = 0
    for seed in hot:
        if state[seed] != _HOT or not inside_panel(seed, n_slow, n_fast, panel):
            continue
        n_group = fill_group(seed, n_slow, n_fast, panel, state, group)
        if n_group < min_pixels or n_group > max_pixels:
            continue
        total = total_slow = total_fast = 0.0
        excess = excess_slow = excess_fast = 0.0
        brightest = seed
        for p in group[:n_group]:
            value = np.float64(values[p])
            above = value - mean[ring[p]]
            slow = p // n_fast
            fast = p % n_fast
            total += value
            total_slow += value * slow
            total_fast += value * fast
            excess += above
            excess_slow += above * slow
            excess_fast += above * fast
            if values[p] > values[brightest]:
                brightest = p
        slow = int(np.rint(excess_slow / excess))
        fast = int(np.rint(excess_fast / excess))
        n, background, sigma, largest = local_background(
            values, n_fast, ring, panel, upper, slow, fast, panel[seed], background_radius
        )
        if largest > values[brightest]:
            continue
        if n == 0:
            background = mean[ring[brightest]]
        if sigma == 0.0:
            sigma = deviation[ring[brightest]]
        intensity = total - n_group * background
        if intensity < min_snr * sigma:
            continue
        measured[n_peaks, 0] = total_slow / total
        measured[n_peaks, 1] = total_fast / total
        measured[n_peaks, 2] = intensity
        measured[n_peaks, 3] = n_group
        measured[n_peaks, 4] = np.float64(values[brightest]) - background
        measured[n_peaks, 5] = sigma
        n_peaks += 1
    return n_peaks
