"""The level that all pixels of a panel share in one frame."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

_PROBE = 256
_BRACKET = 20
_GROUP_FRAMES = 8


@numba.njit(cache=True)
def exact_median(values: NDArray[np.float32], held: NDArray[np.float32]) -> float:
    """Median of ``values``, found among those between two close quantiles of a probe (Floyd and Rivest's idea).

    Cost: one read and two comparisons a value, and a selection among the sixth that lies between; where the quantiles
    miss the median, a selection over all values.

    Parameters
    ----------
    values : ndarray of float32, `(n,)`
        Finite, at least one.
    held : ndarray of float32, `(n,)` or longer
        Overwritten.
    """
    n = len(values)
    if n >= 4 * _PROBE:
        step = n // _PROBE
        probe = np.sort(values[: _PROBE * step : step])
        low, high = probe[_PROBE // 2 - _BRACKET], probe[_PROBE // 2 + _BRACKET]
        n_below = 0
        n_held = 0
        for i in range(n):
            n_below += values[i] < low
            held[n_held] = values[i]
            n_held += (values[i] >= low) & (values[i] <= high)
        upper = n // 2 - n_below
        lower = (n - 1) // 2 - n_below
        if lower >= 0 and upper < n_held:
            parted = np.partition(held[:n_held], lower)
            second = parted[lower] if upper == lower else parted[lower + 1 :].min()
            return 0.5 * (np.float64(parted[lower]) + np.float64(second))
    return np.float64(np.median(values))


@numba.njit(cache=True, parallel=True)
def subtract_panel_medians(
    frames: NDArray[np.generic],
    offset_adu: NDArray[np.float32],
    panel: NDArray[np.int32],
    members: NDArray[np.int64],
    member_ptr: NDArray[np.int64],
    smallest_valid: np.generic,
    largest_valid: np.generic,
    corrected: NDArray[np.float32],
) -> None:
    """Subtract from each panel of each frame the median of (raw - offset) over its usable pixels.

    Cost: one read and one 4-byte write a pixel, and the median of each panel (:func:`exact_median`).

    Parameters
    ----------
    frames : ndarray of integers or floats, `(n_frames, n_pixels)`
        Raw values.
    offset_adu : ndarray of float32, `(n_pixels,)`
        Offsets.
    panel : ndarray of int32, `(n_pixels,)`
        Panel of each pixel, -1 in gaps.
    members : ndarray of int64, `(n_members,)`
        Usable pixels, panel by panel.
    member_ptr : ndarray of int64, `(n_panels + 1,)`
        Where each panel's pixels begin in ``members``.
    smallest_valid, largest_valid : scalar of the frames' type
        Values outside, and NaN, are bad reads: they do not enter the median and become NaN.
    corrected : ndarray of float32, `(n_frames, n_pixels)`
        Filled: raw value less its panel's level. A panel without a valid read keeps its values.
    """
    n_frames, n_pixels = frames.shape
    n_panels = len(member_ptr) - 1
    largest_panel = 0
    for number in range(n_panels):
        largest_panel = max(largest_panel, member_ptr[number + 1] - member_ptr[number])
    for group in numba.prange((n_frames + _GROUP_FRAMES - 1) // _GROUP_FRAMES):
        # Work space once for several frames: fresh memory costs more than the medians.
        level = np.empty(n_panels, dtype=np.float32)
        signal = np.empty(largest_panel, dtype=np.float32)
        held = np.empty(largest_panel, dtype=np.float32)
        for d in range(group * _GROUP_FRAMES, min((group + 1) * _GROUP_FRAMES, n_frames)):
            for number in range(n_panels):
                n_valid = 0
                for m in range(member_ptr[number], member_ptr[number + 1]):
                    value = frames[d, members[m]]
                    signal[n_valid] = np.float32(value) - offset_adu[members[m]]
                    n_valid += (value >= smallest_valid) & (value <= largest_valid)
                level[number] = exact_median(signal[:n_valid], held) if n_valid > 0 else 0.0
            for p in range(n_pixels):
                value = frames[d, p]
                shift = level[panel[p]] if panel[p] >= 0 else np.float32(0.0)
                valid = (value >= smallest_valid) & (value <= largest_valid)
                corrected[d, p] = np.float32(value) - shift if valid else np.float32(np.nan)
