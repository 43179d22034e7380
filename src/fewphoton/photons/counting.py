"""Counting the photons of raw frames (thresholding as in Ayyer et al. 2015, doi:10.1107/S2052252514022313, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import FrameTable, PhotonFrames
from fewphoton.errors import DataError
from fewphoton.kernels.photon_counting import count_over_threshold, pack_photons
from fewphoton.photons.calibration import Calibration


@dataclass(frozen=True, eq=False)
class PhotonCounter:
    """Turns chunks of raw values into photon frames.

    Parameters
    ----------
    calibration : Calibration
        Offset, gain, noise, unusable pixels.
    threshold_photons : float
        A pixel holds n photons when its signal lies in [n - 1 + threshold, n + threshold).
    minimum_valid_adu : float or None
        Values below are bad reads; they are below any threshold and only counted.
    """

    calibration: Calibration
    threshold_photons: float
    minimum_valid_adu: float | None = None

    def bad_reads(self, frames: NDArray[np.generic]) -> int:
        """Count values on usable pixels that are NaN or below ``minimum_valid_adu``."""
        good = ~self.calibration.unusable
        total = int(np.isnan(frames[:, good]).sum()) if frames.dtype.kind == "f" else 0
        if self.minimum_valid_adu is not None:
            total += int((frames[:, good] < self.minimum_valid_adu).sum())
        return total

    def count(self, frames: NDArray[np.generic], table: FrameTable) -> PhotonFrames:
        """Count the photons of raw frames `(n_frames, n_pixels)`.

        Raises
        ------
        DataError
            If the number of pixels differs from the calibration's, or a pixel holds more than 65535 photons.
        """
        n_pixels = len(self.calibration.unusable)
        if frames.ndim != 2 or frames.shape[1] != n_pixels:
            raise DataError(f"frames of shape {frames.shape} for a calibration of {n_pixels} pixels")
        frames = np.ascontiguousarray(frames)
        threshold = self.calibration.raw_threshold(frames.dtype, self.threshold_photons)
        n_over = np.empty(len(frames), dtype=np.int64)
        count_over_threshold(frames, threshold, n_over)
        hit_ptr = np.concatenate([[0], np.cumsum(n_over)])
        pixel = np.empty(hit_ptr[-1], dtype=np.uint32)
        count = np.empty(hit_ptr[-1], dtype=np.int64)
        pack_photons(
            frames,
            threshold,
            self.calibration.offset_adu,
            self.calibration.adu_per_photon,
            self.threshold_photons,
            hit_ptr,
            pixel,
            count,
        )
        usable = ~self.calibration.unusable[pixel]
        if not usable.all():
            frame = np.repeat(np.arange(len(frames)), n_over)[usable]
            hit_ptr = np.searchsorted(frame, np.arange(len(frames) + 1))
            pixel, count = pixel[usable], count[usable]
        if len(count) and count.max() > np.iinfo(np.uint16).max:
            raise DataError(
                f"a pixel holds {count.max()} photons, more than a photon file can store (65535); is the gain of "
                f"{float(np.median(self.calibration.adu_per_photon)):.3g} ADU per photon right?"
            )
        return PhotonFrames(hit_ptr.astype(np.int64), pixel, count.astype(np.uint16), n_pixels, table)


def integer_photons(frames: NDArray[np.generic], masked: NDArray[np.bool_], table: FrameTable) -> PhotonFrames:
    """Pack frames `(n_frames, n_pixels)` that hold photon counts already; negative values and NaN are bad reads.

    Raises
    ------
    DataError
        If a usable value is no whole number.
    """
    good = np.where(masked, 0, np.nan_to_num(frames, nan=0.0, posinf=0.0, neginf=0.0))
    good = np.maximum(good, 0)
    if frames.dtype.kind == "f" and not np.array_equal(good, np.rint(good)):
        raise DataError("the frames hold fractions, so they are no photon counts; choose another calibration")
    if good.size and good.max() > np.iinfo(np.uint16).max:
        raise DataError(f"a pixel holds {good.max()} photons; mask saturated pixels, or choose another calibration")
    return PhotonFrames.from_dense(good.astype(np.uint16), table)


def subtract_common_mode(
    frames: NDArray[np.generic], calibration: Calibration, panel: NDArray[np.int32]
) -> NDArray[np.float32]:
    """Return frames less the median of (raw - offset) over each panel's usable pixels, frame by frame, float32.

    At few photons the median of a panel is the level of its empty pixels, whatever the photons are.
    """
    corrected = frames.astype(np.float32)
    for number in range(int(panel.max()) + 1):
        mine = panel == number
        usable = np.flatnonzero(mine & ~calibration.unusable)
        if len(usable) == 0:
            continue
        level = np.nanmedian(corrected[:, usable] - calibration.offset_adu[usable], axis=1)
        corrected[:, mine] -= level[:, None]
    return corrected
