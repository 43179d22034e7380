"""Common mode: the level that a panel's pixels share in one frame."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.kernels.common_mode import subtract_panel_medians
from fewphoton.photons.calibration import Calibration
from fewphoton.photons.raw_sample import valid_range


class CommonMode:
    """Subtracts from each frame the median of (raw - offset) over each panel's usable pixels.

    At few photons the median of a panel is the level of its empty pixels, whatever the photons are; it moves by
    s z(0.5 / (1 - p)) - s z(0.5) for noise s and a share p of lit pixels, 1 % of s at p = 0.8 %.

    Parameters
    ----------
    calibration : Calibration
        Offsets and usable pixels.
    panel : ndarray of int32, `(n_pixels,)`
        Panel of each pixel, -1 in gaps.
    minimum_valid : float or None
        Raw values below are bad reads.
    """

    def __init__(self, calibration: Calibration, panel: NDArray[np.int32], minimum_valid: float | None) -> None:
        self._offset = calibration.offset_adu
        self._panel = panel
        self._minimum_valid = minimum_valid
        usable = np.flatnonzero(calibration.usable & (panel >= 0))
        self._members = usable[np.argsort(panel[usable], kind="stable")]
        counts = np.bincount(panel[usable], minlength=int(panel.max()) + 1)
        self._member_ptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    def __call__(self, frames: NDArray[Any]) -> NDArray[np.float32]:
        """Return corrected frames, float32 `(n_frames, n_pixels)`; NaN where a read is bad."""
        corrected = np.empty(frames.shape, dtype=np.float32)
        valid = valid_range(frames.dtype, self._minimum_valid)
        subtract_panel_medians(frames, self._offset, self._panel, self._members, self._member_ptr, *valid, corrected)
        return corrected
