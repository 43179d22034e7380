"""Detectors that switch their gain (Jungfrau): raw words to keV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.data.arrays import frozen_array
from fewphoton.errors import DataError
from fewphoton.kernels.gain_stages import decode_gain_stages


@dataclass(frozen=True, eq=False)
class GainStages:
    """Pedestals and gains of the three stages in the order high, medium, low.

    Parameters
    ----------
    pedestal_adu, gain_adu_per_kev : ndarray of float32, `(3, n_pixels)`
        The gain of a stage may be negative, never 0.
    minimum_valid : float or None
        Raw words below are bad reads.
    """

    pedestal_adu: NDArray[np.float32]
    gain_adu_per_kev: NDArray[np.float32]
    minimum_valid: float | None = None

    def __post_init__(self) -> None:
        n_pixels = np.shape(self.pedestal_adu)[-1]
        for name in ("pedestal_adu", "gain_adu_per_kev"):
            object.__setattr__(self, name, frozen_array(name, getattr(self, name), np.float32, (3, n_pixels)))

    @property
    def unusable(self) -> NDArray[np.bool_]:
        """Pixels of which a stage has no finite pedestal or no gain, bool `(n_pixels,)`."""
        fit = np.isfinite(self.pedestal_adu) & np.isfinite(self.gain_adu_per_kev) & (self.gain_adu_per_kev != 0)
        return np.asarray(~fit.all(axis=0))

    def __call__(self, frames: NDArray[Any]) -> NDArray[np.float32]:
        """Return energies in keV, float32 `(n_frames, n_pixels)`; NaN where a read is bad.

        Raises
        ------
        DataError
            If the frames hold no raw 16-bit words, or another number of pixels.
        """
        if frames.dtype != np.uint16 or frames.shape[1:] != self.pedestal_adu.shape[1:]:
            raise DataError(
                f"calibration 'jungfrau' needs raw words (uint16) of {self.pedestal_adu.shape[1]} pixels, the frames "
                f"hold {frames.dtype} of {frames.shape[1:]}"
            )
        energy = np.empty(frames.shape, dtype=np.float32)
        smallest = 0 if self.minimum_valid is None else int(np.ceil(self.minimum_valid))
        decode_gain_stages(frames, self.pedestal_adu, self.gain_adu_per_kev, smallest, energy)
        return energy
