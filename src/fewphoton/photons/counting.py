"""Counting the photons of raw frames.

Thresholding as in Ayyer et al. 2015, IUCrJ 2, 29-34, doi:10.1107/S2052252514022313, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import FrameTable, PhotonFrames
from fewphoton.errors import DataError
from fewphoton.kernels.photon_counting import BLOCK_PIXELS, find_photons, pack_photons
from fewphoton.photons.calibration import Calibration
from fewphoton.photons.raw_sample import valid_range


@dataclass(frozen=True, eq=False)
class Counted:
    """Photons of a chunk of frames, and what was odd in it.

    Parameters
    ----------
    photons : PhotonFrames
        Photons.
    n_invalid : ndarray of int64, `(n_frames,)`
        Bad reads on usable pixels of each frame.
    n_saturated : ndarray of int64, `(n_frames,)`
        Photons of each frame that are a lower bound: pixels at the largest integer of the type, or with more than
        65535 photons (stored as 65535).
    """

    photons: PhotonFrames
    n_invalid: NDArray[np.int64]
    n_saturated: NDArray[np.int64]


class PhotonCounter:
    """Turns chunks of raw values into photon frames.

    Parameters
    ----------
    calibration : Calibration
        Offset, gain, noise, unusable pixels.
    threshold_photons : float
        A pixel holds n photons when its signal lies in (n - 1 + threshold, n + threshold] photons.
    dtype : dtype
        Type of the frames.
    minimum_valid : float or None
        Values below are bad reads: never photons, and counted, as NaN and infinities are.
    largest_valid : scalar, optional
        Values above are bad reads; the largest finite value of the type by default.
    """

    def __init__(
        self,
        calibration: Calibration,
        threshold_photons: float,
        dtype: np.dtype[Any],
        minimum_valid: float | None = None,
        largest_valid: Any = None,
    ) -> None:
        self.calibration = calibration
        self.threshold_photons = threshold_photons
        self.dtype = np.dtype(dtype)
        self._threshold = calibration.raw_threshold(self.dtype, threshold_photons)
        self._usable = calibration.usable
        self._smallest, largest = valid_range(self.dtype, minimum_valid)
        self._full_scale = self.dtype.type(np.inf) if self.dtype.kind == "f" else largest
        self._largest = largest if largest_valid is None else self.dtype.type(largest_valid)

    @property
    def n_pixels(self) -> int:
        """Pixels of a frame."""
        return len(self._threshold)

    def count(self, frames: NDArray[Any], table: FrameTable) -> Counted:
        """Count the photons of raw frames `(n_frames, n_pixels)`.

        Raises
        ------
        DataError
            If the number of pixels or the type differs from what the counter was made for.
        """
        if frames.ndim != 2 or frames.shape[1] != self.n_pixels or frames.dtype != self.dtype:
            raise DataError(
                f"expected frames of {self.n_pixels} pixels ({self.dtype}), found {frames.shape[1:]} ({frames.dtype})"
            )
        n_frames = len(frames)
        valid = (self._smallest, self._largest)
        lit = np.empty((n_frames, -(-self.n_pixels // BLOCK_PIXELS)), dtype=bool)
        n_over, n_invalid, n_saturated = (np.empty(n_frames, dtype=np.int64) for _ in range(3))
        find_photons(frames, self._threshold, self._usable, *valid, lit, n_over, n_invalid)
        hit_ptr = np.concatenate([[0], np.cumsum(n_over)]).astype(np.int64)
        pixel = np.empty(hit_ptr[-1], dtype=np.uint32)
        count = np.empty(hit_ptr[-1], dtype=np.uint16)
        offset, gain = self.calibration.offset_adu, self.calibration.adu_per_photon
        pack_photons(
            frames,
            self._threshold,
            *valid,
            self._full_scale,
            offset,
            gain,
            self.threshold_photons,
            lit,
            hit_ptr,
            pixel,
            count,
            n_saturated,
        )
        return Counted(PhotonFrames(hit_ptr, pixel, count, self.n_pixels, table), n_invalid, n_saturated)


class CountReader:
    """Packs frames that hold photon counts already.

    Negative values, NaN and the largest value of an unsigned type (how counting detectors mark gaps and overflown
    pixels) are bad reads.

    Parameters
    ----------
    masked : ndarray of bool, `(n_pixels,)`
        Pixels left out.
    dtype : dtype
        Type of the frames.

    Raises
    ------
    DataError
        If all pixels are masked.
    """

    def __init__(self, masked: NDArray[np.bool_], dtype: np.dtype[Any]) -> None:
        zero = np.zeros(len(masked), dtype=np.float32)
        largest = np.iinfo(dtype).max - 1 if dtype.kind == "u" else None
        self._counter = PhotonCounter(Calibration(zero, zero + 1, zero, masked), 0.5, dtype, 0.0, largest)

    def count(self, frames: NDArray[Any], table: FrameTable) -> Counted:
        """Pack frames `(n_frames, n_pixels)`.

        Raises
        ------
        DataError
            If a value above a half is no whole number.
        """
        counted = self._counter.count(frames, table)
        if frames.dtype.kind == "f":
            photons = counted.photons
            values = frames[photons.frame_numbers(), photons.pixel]
            if not np.array_equal(values, np.rint(values)):
                raise DataError("the frames hold fractions, so they are no photon counts; choose another calibration")
        return counted
