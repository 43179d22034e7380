"""Pixel calibration: offset, gain, noise, and the raw value above which a pixel holds a photon.

Thresholding follows Ayyer et al. 2015, IUCrJ 2, 29-34, doi:10.1107/S2052252514022313, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from fewphoton.data.arrays import frozen_array
from fewphoton.errors import DataError


@dataclass(frozen=True, eq=False)
class Calibration:
    """How a pixel's raw value depends on its photons: offset + gain · photons + noise.

    Parameters
    ----------
    offset_adu, adu_per_photon, read_noise_adu : ndarray of float32, `(n_pixels,)`
        Finite on usable pixels; the gain is positive there. Noise 0 tells of a pixel that never changes.
    unusable : ndarray of bool, `(n_pixels,)`
        Pixels that are masked, bad, dead or noisy; pixels without finite values and positive gain are added.

    Raises
    ------
    DataError
        If no usable pixel is left.
    """

    offset_adu: NDArray[np.float32]
    adu_per_photon: NDArray[np.float32]
    read_noise_adu: NDArray[np.float32]
    unusable: NDArray[np.bool_]

    def __post_init__(self) -> None:
        n_pixels = len(self.unusable)
        unusable = np.array(self.unusable, dtype=bool)
        for name in ("offset_adu", "adu_per_photon", "read_noise_adu"):
            values = frozen_array(f"calibration: {name}", getattr(self, name), np.float32, (n_pixels,))
            unusable |= ~np.isfinite(values)
            object.__setattr__(self, name, values)
        unusable |= ~(self.adu_per_photon > 0) | ~(self.read_noise_adu >= 0)
        if unusable.all():
            raise DataError(
                "no usable pixel is left after calibration: every pixel is masked, bad, dead or without a gain"
            )
        object.__setattr__(self, "unusable", frozen_array("calibration mask", unusable, np.bool_, (n_pixels,)))

    @classmethod
    def of(
        cls, offset_adu: ArrayLike, adu_per_photon: ArrayLike, read_noise_adu: ArrayLike, unusable: NDArray[np.bool_]
    ) -> Calibration:
        """Build from one number for all pixels or an array `(n_pixels,)` each."""
        offset, gain, noise = (
            np.broadcast_to(np.asarray(values, dtype=np.float32), unusable.shape)
            for values in (offset_adu, adu_per_photon, read_noise_adu)
        )
        return cls(offset, gain, noise, unusable)

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Pixels whose photons are counted, bool `(n_pixels,)`."""
        return ~self.unusable

    def with_unusable(self, more: NDArray[np.bool_]) -> Calibration:
        """Return this calibration with more pixels marked unusable."""
        return Calibration(self.offset_adu, self.adu_per_photon, self.read_noise_adu, self.unusable | more)

    def raw_threshold(self, dtype: np.dtype[Any], threshold_photons: float) -> NDArray[Any]:
        """Largest raw value that is no photon yet, in the frames' own type, `(n_pixels,)`.

        A raw value is a photon exactly when it is larger, so that frames are compared without conversion. Unusable
        pixels get infinity, or the largest integer of the type, which nothing exceeds. The smallest integer of the
        type (an underflow) is never a photon.
        """
        level = self.offset_adu.astype(np.float64) + threshold_photons * self.adu_per_photon.astype(np.float64)
        level[self.unusable] = np.inf
        if dtype.kind == "f":
            rounded = level.astype(dtype)
            below = np.nextafter(rounded, dtype.type(-np.inf))
            return np.where(rounded.astype(np.float64) > level, below, rounded)
        limits = np.iinfo(dtype)
        fits = (level >= limits.min) & (level < float(limits.max))
        threshold = np.where(level < limits.min, limits.min, limits.max).astype(dtype)
        threshold[fits] = np.floor(level[fits]).astype(dtype)
        return threshold


def threshold_errors(calibration: Calibration, threshold_photons: float) -> tuple[float, float]:
    """Return expected false photons a frame, and the fraction of single photons that is missed.

    Gaussian read noise: a dark pixel passes with probability Q(t g / s), a photon fails with Q((1 - t) g / s), for
    threshold t, gain g and noise s (charge sharing is not counted).
    """
    good = calibration.usable & (calibration.read_noise_adu > 0)
    if not good.any():
        return 0.0, 0.0
    ratio = calibration.adu_per_photon[good].astype(np.float64) / calibration.read_noise_adu[good]
    false_photons = special.ndtr(-threshold_photons * ratio).sum()
    missed = special.ndtr(-(1 - threshold_photons) * ratio).sum() / calibration.usable.sum()
    return float(false_photons), float(missed)


def best_threshold(calibration: Calibration, occupancy: float) -> float:
    """Return the threshold that makes false photons and missed photons together fewest at a mean photons per pixel.

    Where the two weighted Gaussians cross: t = 1/2 + (s/g)² ln((1 - p) / p), kept within 0.2 to 0.9.
    """
    good = calibration.usable
    relative_noise = float(np.median(calibration.read_noise_adu[good] / calibration.adu_per_photon[good]))
    share = min(max(occupancy, 1e-9), 0.5)
    return float(np.clip(0.5 + relative_noise**2 * np.log((1 - share) / share), 0.2, 0.9))
