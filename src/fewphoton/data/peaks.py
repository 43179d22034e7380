"""Peaks found in frames: positions, photons, significance."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from fewphoton.data.arrays import frozen_array
from fewphoton.errors import DataError

_DTYPES: dict[str, type] = {"frame": np.int64, "n_pixels": np.int32, "saturated": np.bool_}


@dataclass(frozen=True, eq=False)
class PeakTable:
    """One row a peak, ordered by frame.

    Positions count pixels from the centre of the first pixel of the frame array (its centre is 0.0), slow and fast.

    Parameters
    ----------
    frame : ndarray of int64, `(n_peaks,)`
        Frame number, from 0, never falling.
    slow_px, fast_px : ndarray of float32, `(n_peaks,)`
        Centroid in pixels of the frame array.
    intensity : ndarray of float32, `(n_peaks,)`
        Background-subtracted sum in photons (or the detector's unit).
    sigma : ndarray of float32, `(n_peaks,)`
        Standard deviation of ``intensity``, not negative.
    n_pixels : ndarray of int32, `(n_peaks,)`
        Pixels of the peak that stand out of the background by themselves.
    saturated : ndarray of bool, `(n_peaks,)`
        True where a pixel of the peak reached the detector's saturation.
    """

    frame: NDArray[np.int64]
    slow_px: NDArray[np.float32]
    fast_px: NDArray[np.float32]
    intensity: NDArray[np.float32]
    sigma: NDArray[np.float32]
    n_pixels: NDArray[np.int32]
    saturated: NDArray[np.bool_]

    def __post_init__(self) -> None:
        n_peaks = len(self.frame)
        for column in fields(self):
            dtype = _DTYPES.get(column.name, np.float32)
            values = frozen_array(f"peak table: {column.name}", getattr(self, column.name), dtype, (n_peaks,))
            object.__setattr__(self, column.name, values)
        if n_peaks and (np.diff(self.frame) < 0).any():
            raise DataError("peak table: frame numbers must not fall")
        if n_peaks and self.frame[0] < 0:
            raise DataError(f"peak table: frame numbers must not be negative, found {self.frame[0]}")
        if n_peaks and not (self.sigma >= 0).all():
            raise DataError("peak table: sigma must not be negative or NaN")

    def __len__(self) -> int:
        return len(self.frame)

    def counts(self, n_frames: int) -> NDArray[np.int64]:
        """Peaks in each of ``n_frames`` frames, int64 `(n_frames,)`; DataError where a peak lies in a later frame."""
        if len(self) and self.frame[-1] >= n_frames:
            raise DataError(f"peak table: frame {self.frame[-1]} is outside the {n_frames} frames")
        return np.bincount(self.frame, minlength=n_frames)
