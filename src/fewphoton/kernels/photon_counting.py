"""From raw values to photons: threshold, count, and pack into compressed sparse rows in one pass.

Frames hold few photons, so nearly every block of pixels holds none: a block is skipped after one vectorised comparison.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

_BLOCK = 64


@numba.njit(cache=True, parallel=True)
def count_over_threshold(
    frames: NDArray[np.generic],
    threshold: NDArray[np.generic],
    n_over: NDArray[np.int64],
) -> None:
    """Count the pixels of each frame that reach their threshold.

    Reads each raw value and threshold once (2 + 2 bytes a pixel for uint16, the thresholds from cache); one comparison
    and one addition a pixel, vectorised.

    Parameters
    ----------
    frames : ndarray of integers or floats, `(n_frames, n_pixels)`
        Raw values; NaN never reaches a threshold.
    threshold : ndarray of the same type, `(n_pixels,)`
        Smallest raw value that is at least one photon; the type's largest value where a pixel is masked.
    n_over : ndarray of int64, `(n_frames,)`
        Filled.
    """
    n_pixels = frames.shape[1]
    for d in numba.prange(frames.shape[0]):
        total = 0
        for p in range(n_pixels):
            total += frames[d, p] >= threshold[p]
        n_over[d] = total


@numba.njit(cache=True, parallel=True)
def pack_photons(
    frames: NDArray[np.generic],
    threshold: NDArray[np.generic],
    offset_adu: NDArray[np.float32],
    adu_per_photon: NDArray[np.float32],
    threshold_photons: float,
    hit_ptr: NDArray[np.int64],
    pixel: NDArray[np.uint32],
    count: NDArray[np.int64],
) -> None:
    """Write pixel and photons of every value that reaches its threshold.

    A second read of the frame (from cache where it fits), with one vectorised maximum a block of 64 pixels; the
    division is done only for pixels that hold photons.

    Parameters
    ----------
    frames, threshold
        As in :func:`count_over_threshold`.
    offset_adu, adu_per_photon : ndarray of float32, `(n_pixels,)`
        Calibration.
    threshold_photons : float
        A pixel holds n photons when its signal lies in [n - 1 + threshold, n + threshold) photons.
    hit_ptr : ndarray of int64, `(n_frames + 1,)`
        Where each frame's hits begin: the running sum of :func:`count_over_threshold`.
    pixel : ndarray of uint32, `(n_hits,)`
        Filled, increasing inside a frame.
    count : ndarray of int64, `(n_hits,)`
        Filled, at least 1.
    """
    n_pixels = frames.shape[1]
    for d in numba.prange(frames.shape[0]):
        hit = hit_ptr[d]
        for start in range(0, n_pixels, _BLOCK):
            stop = min(start + _BLOCK, n_pixels)
            reached = False
            for p in range(start, stop):
                reached |= frames[d, p] >= threshold[p]
            if not reached:
                continue
            for p in range(start, stop):
                if frames[d, p] >= threshold[p]:
                    signal = (np.float64(frames[d, p]) - offset_adu[p]) / adu_per_photon[p]
                    pixel[hit] = p
                    count[hit] = max(1, int(np.floor(signal - threshold_photons)) + 1)
                    hit += 1


@numba.njit(cache=True, parallel=True)
def decode_gain_stages(
    raw: NDArray[np.uint16],
    pedestal_adu: NDArray[np.float32],
    gain_adu_per_kev: NDArray[np.float32],
    energy_kev: NDArray[np.float32],
) -> None:
    """Turn Jungfrau-like raw words into keV.

    The two highest bits name the gain stage (0: high, 1: medium, 3: low; 2 does not occur and reads as NaN), the
    lower fourteen hold the ADC value. 2 bytes read, 4 written, one subtraction and one division a pixel.

    Parameters
    ----------
    raw : ndarray of uint16, `(n_frames, n_pixels)`
        Raw words.
    pedestal_adu, gain_adu_per_kev : ndarray of float32, `(3, n_pixels)`
        Pedestal and gain of the stages in the order high, medium, low.
    energy_kev : ndarray of float32, `(n_frames, n_pixels)`
        Filled.
    """
    for d in numba.prange(raw.shape[0]):
        for p in range(raw.shape[1]):
            word = raw[d, p]
            stage = word >> 14
            if stage == 2:
                energy_kev[d, p] = np.nan
            else:
                row = 2 if stage == 3 else stage
                value = np.float32(word & 0x3FFF)
                energy_kev[d, p] = (value - pedestal_adu[row, p]) / gain_adu_per_kev[row, p]
