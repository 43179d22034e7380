"""Background frames from curves over the radius: its mean, or random draws of it."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


@numba.njit(cache=True, nogil=True)
def mixed_bits(counter: np.uint64) -> np.uint64:
    """Return 64 random bits of a counter (the SplitMix64 generator), so that no state is carried."""
    bits = (counter ^ (counter >> np.uint64(30))) * _MIX_1
    bits = (bits ^ (bits >> np.uint64(27))) * _MIX_2
    return bits ^ (bits >> np.uint64(31))


@numba.njit(cache=True, nogil=True)
def fill_mean(
    left: NDArray[np.uint16],
    share: NDArray[np.float32],
    mean: NDArray[np.float32],
    normalization: NDArray[np.float32],
    integers: bool,
    fill: Any,
    frame: NDArray[Any],
) -> None:
    """Put the interpolated mean; 6 bytes read and one pixel written a pixel, about six operations.

    Parameters
    ----------
    left : ndarray of uint16, `(n_pixels,)`
        Ring whose centre lies at or below the pixel; ``len(mean)`` for pixels without a ring.
    share : ndarray of float32, `(n_pixels,)`
        Weight of the next ring, 0 to 1.
    mean : ndarray of float32, `(n_bins + 2,)`
        Mean in each ring, two entries appended so that ``left + 1`` always exists.
    normalization : ndarray of float32, `(n_pixels,)` or `(0,)`
        Factor on the curves; empty: 1.
    integers : bool
        Round, halves to the even neighbour.
    fill
        Value of pixels without a ring.
    frame : ndarray, `(n_pixels,)`
        Filled.
    """
    n_bins = len(mean) - 2
    for pixel in range(len(frame)):
        ring = left[pixel]
        if ring == n_bins:
            frame[pixel] = fill
            continue
        value = mean[ring] + share[pixel] * (mean[ring + 1] - mean[ring])
        if len(normalization):
            value *= normalization[pixel]
        # One instruction, exact: adding a half and cutting is off by one where the sum itself is rounded up.
        frame[pixel] = np.rint(value) if integers else value


@numba.njit(cache=True, nogil=True)
def draw_counts(
    left: NDArray[np.uint16],
    share_16bit: NDArray[np.uint16],
    table_ptr: NDArray[np.int64],
    accept: NDArray[np.uint32],
    alias_value: NDArray[np.int32],
    value: NDArray[np.int32],
    seed: np.uint64,
    fill: Any,
    frame: NDArray[Any],
) -> None:
    """Draw a count for every pixel from the distribution of its ring, by the alias method.

    Between two ring centres a pixel takes the distribution of the one or the other at random by its distance, so that
    its mean is the interpolated one. 4 bytes read, one pixel written, one 64-bit random number and two look-ups in
    tables that stay in cache a pixel.

    Parameters
    ----------
    left : ndarray of uint16, `(n_pixels,)`
        As in :func:`fill_mean`.
    share_16bit : ndarray of uint16, `(n_pixels,)`
        Weight of the next ring in units of 1/65536; 0 in the last ring, which has none.
    table_ptr : ndarray of int64, `(n_bins + 2,)`
        Ring ``r`` owns table entries ``table_ptr[r]`` to ``table_ptr[r + 1] - 1``; the end of all is there twice.
    accept : ndarray of uint32
        Probability to take an entry's own value, in units of 2**-32.
    alias_value : ndarray of int32
        Count that is taken otherwise.
    value : ndarray of int32
        Count of each entry.
    seed : uint64
        Start of the frame's random stream.
    fill
        Value of pixels without a ring.
    frame : ndarray, `(n_pixels,)`
        Filled.
    """
    n_bins = len(table_ptr) - 2
    counter = seed
    for pixel in range(len(frame)):
        ring = np.int64(left[pixel])
        if ring == n_bins:
            frame[pixel] = fill
            continue
        counter += _GOLDEN
        bits = mixed_bits(counter)
        ring += np.int64(np.uint16(bits) < share_16bit[pixel])
        start = table_ptr[ring]
        size = np.uint64(table_ptr[ring + 1] - start)
        # Of the product the upper half chooses the entry and the lower half, again uniform, decides on it.
        scaled = (bits >> np.uint64(32)) * size
        entry = start + np.int64(scaled >> np.uint64(32))
        # Both values are loaded, as a branch would be mispredicted every few pixels.
        own, other = value[entry], alias_value[entry]
        frame[pixel] = own if np.uint32(scaled) < accept[entry] else other


@numba.njit(cache=True, nogil=True)
def draw_values(
    left: NDArray[np.uint16],
    share_16bit: NDArray[np.uint16],
    table_ptr: NDArray[np.int64],
    accept: NDArray[np.uint32],
    alias_value: NDArray[np.float32],
    value: NDArray[np.float32],
    width: NDArray[np.float32],
    seed: np.uint64,
    fill: Any,
    frame: NDArray[Any],
) -> None:
    """Draw a real value for every pixel: an entry as :func:`draw_counts` does, then a place inside its interval.

    ``value`` holds the lower ends of intervals of ``width[r]`` in ring ``r``, float32 `(n_bins + 1,)`.
    """
    n_bins = len(table_ptr) - 2
    counter = seed
    for pixel in range(len(frame)):
        ring = np.int64(left[pixel])
        if ring == n_bins:
            frame[pixel] = fill
            continue
        counter += _GOLDEN
        bits = mixed_bits(counter)
        ring += np.int64(np.uint16(bits) < share_16bit[pixel])
        start = table_ptr[ring]
        size = np.uint64(table_ptr[ring + 1] - start)
        scaled = (bits >> np.uint64(32)) * size
        entry = start + np.int64(scaled >> np.uint64(32))
        own, other = value[entry], alias_value[entry]
        low = own if np.uint32(scaled) < accept[entry] else other
        # Bits that chose neither ring nor entry.
        part = np.float32((bits >> np.uint64(16)) & np.uint64(0xFFFF)) * np.float32(2.0**-16)
        frame[pixel] = low + part * width[ring]


@numba.njit(cache=True, nogil=True)
def draw_scaled(
    left: NDArray[np.uint16],
    share: NDArray[np.float32],
    mean: NDArray[np.float32],
    spread: NDArray[np.float32],
    normalization: NDArray[np.float32],
    limit: NDArray[np.float32],
    poisson: bool,
    integers: bool,
    smallest: float,
    seed: np.uint64,
    fill: Any,
    frame: NDArray[Any],
) -> None:
    """Draw every pixel with a normalization of its own, below its limit; for frames that were corrected.

    Poisson counts of means up to 30 come by inversion, about ``mean + 1`` steps; everything else is normal (Box and
    Muller). A draw at or above the limit is repeated.

    Parameters
    ----------
    left, share, mean, normalization
        As in :func:`fill_mean`; the normalization has an entry a pixel.
    spread, limit : ndarray of float32, `(n_bins + 2,)`
        Standard deviation, and value that draws stay below, of corrected values in each ring, two entries appended.
    poisson : bool
        Counts with the variance of their mean.
    integers : bool
        Round.
    smallest : float
        Smallest value.
    seed, fill, frame
        As in :func:`draw_counts`.
    """
    n_bins = len(mean) - 2
    counter = seed
    for pixel in range(len(frame)):
        ring = left[pixel]
        if ring == n_bins:
            frame[pixel] = fill
            continue
        part = share[pixel]
        factor = np.float64(normalization[pixel])
        centre = factor * (mean[ring] * (1.0 - part) + mean[ring + 1] * part)
        top = factor * (limit[ring] * (1.0 - part) + limit[ring + 1] * part)
        width = factor * (spread[ring] * (1.0 - part) + spread[ring + 1] * part)
        if poisson:
            width = np.sqrt(max(centre, 0.0))
        drawn = centre
        for _ in range(64):
            counter += _GOLDEN
            bits = mixed_bits(counter)
            first = (np.float64(bits >> np.uint64(11)) + 0.5) * 2.0**-53
            if poisson and centre <= 30.0:
                drawn = 0.0
                term = np.exp(-centre)
                below = term
                while below < first and term > 0.0:
                    drawn += 1.0
                    term *= centre / drawn
                    below += term
            else:
                second = np.float64(mixed_bits(counter ^ _MIX_1) >> np.uint64(11)) * 2.0**-53
                drawn = centre + width * np.sqrt(-2.0 * np.log(first)) * np.cos(2.0 * np.pi * second)
                if integers:
                    drawn = np.rint(drawn)
            if not drawn >= top:
                break
            drawn = min(drawn, np.ceil(top) - 1.0 if integers else top)
        drawn = max(drawn, smallest)
        frame[pixel] = np.rint(drawn) if integers else drawn
