"""Pixel calibration: offset, gain, noise, and the raw value above which a pixel holds a photon."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from fewphoton.data.arrays import frozen_array
from fewphoton.errors import DataError


@dataclass(frozen=True, eq=False)
class Calibration:
    """How a pixel's raw value depends on its photons: offset + gain · photons + noise.

    Parameters
    ----------
    offset_adu, adu_per_photon, read_noise_adu : ndarray of float32, `(n_pixels,)`
        Finite on usable pixels; gain and noise positive there.
    unusable : ndarray of bool, `(n_pixels,)`
        Pixels that are masked, bad, dead or noisy.
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
            if name != "offset_adu":
                unusable |= ~(values > 0)
            object.__setattr__(self, name, values)
        if unusable.all():
            raise DataError(
                "no usable pixel is left after calibration: every pixel is masked, bad, dead or without a gain"
            )
        object.__setattr__(self, "unusable", frozen_array("calibration mask", unusable, np.bool_, (n_pixels,)))

    def with_unusable(self, more: NDArray[np.bool_]) -> Calibration:
        """Return this calibration with more pixels marked unusable."""
        return Calibration(self.offset_adu, self.adu_per_photon, self.read_noise_adu, self.unusable | more)

    def raw_threshold(self, dtype: np.dtype[np.generic], threshold_photons: float) -> NDArray[np.generic]:
        """Smallest raw value that counts as a photon, in the frames' own type, `(n_pixels,)`.

        Unusable pixels get infinity, or the type's largest integer, which few frames reach: hits on them still have to
        be dropped.
        """
        level = self.offset_adu.astype(np.float64) + threshold_photons * self.adu_per_photon
        level[self.unusable] = np.inf
        if dtype.kind == "f":
            return level.astype(dtype)
        limits = np.iinfo(dtype)
        return np.clip(np.ceil(level), limits.min, limits.max).astype(dtype)


def threshold_errors(calibration: Calibration, threshold_photons: float) -> tuple[float, float]:
    """Return expected false photons a frame, and the fraction of single photons that is missed.

    Gaussian read noise: a dark pixel passes with probability Q(t g / s), a photon fails with Q((1 - t) g / s), for
    threshold t, gain g and noise s (charge sharing is not counted).
    """
    good = ~calibration.unusable
    ratio = calibration.adu_per_photon[good].astype(np.float64) / calibration.read_noise_adu[good]
    false_photons = special.ndtr(-threshold_photons * ratio).sum()
    missed = special.ndtr(-(1 - threshold_photons) * ratio).mean()
    return float(false_photons), float(missed)


def best_threshold(calibration: Calibration, occupancy: float) -> float:
    """Return the threshold that makes false photons and missed photons together fewest at a mean photons per pixel.

    Where the two weighted Gaussians cross: t = 1/2 + (s/g)² ln((1 - p) / p), kept within 0.2 to 0.9.
    """
    good = ~calibration.unusable
    relative_noise = float(np.median(calibration.read_noise_adu[good] / calibration.adu_per_photon[good]))
    share = min(max(occupancy, 1e-9), 0.5)
    return float(np.clip(0.5 + relative_noise**2 * np.log((1 - share) / share), 0.2, 0.9))
