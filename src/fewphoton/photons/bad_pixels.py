"""Pixels that must not be used: noisy, dead and hot ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

from fewphoton.photons.calibration import Calibration
from fewphoton.photons.fit_peaks import panel_noise

_CHANCE = 1e-9
_MIN_LIT_FRACTION = 0.02
_NEIGHBOUR_SHARE = 0.1
_SILENT_PHOTONS = 30.0


@dataclass(frozen=True, eq=False)
class BadPixels:
    """Why pixels are left out, each bool `(n_pixels,)`; no pixel has two reasons, and masked pixels have none."""

    noisy: NDArray[np.bool_]
    dead: NDArray[np.bool_]
    hot: NDArray[np.bool_]

    @classmethod
    def none(cls, n_pixels: int) -> BadPixels:
        """No bad pixels."""
        return cls(*(np.zeros(n_pixels, dtype=bool) for _ in range(3)))

    @property
    def any(self) -> NDArray[np.bool_]:
        """All of them."""
        return self.noisy | self.dead | self.hot


def noise_outliers(
    calibration: Calibration, panel: NDArray[np.int32], max_noise_ratio: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return noisy and dead pixels: noise above ``max_noise_ratio`` times the panel's median, or below its inverse."""
    usable = calibration.usable & (panel >= 0)
    noise = calibration.read_noise_adu.astype(np.float64)
    usual = panel_noise(noise, panel, usable & (noise > 0))[panel]
    usual = np.where(np.isfinite(usual), usual, 0.0)
    noisy = usable & (noise > max_noise_ratio * usual) & (usual > 0)
    dead = usable & ((noise < usual / max_noise_ratio) | (noise == 0))
    return noisy, dead


def hot_pixels(
    n_lit: NDArray[np.int64],
    n_frames: int,
    frame_shape: tuple[int, int],
    usable: NDArray[np.bool_],
    max_hot_ratio: float,
) -> NDArray[np.bool_]:
    """Return isolated pixels that light up in far more frames than their surroundings allow.

    A pixel is hot when it is lit in at least 2 % of the frames, in more than ``max_hot_ratio`` times as many as the
    other usable pixels around it (5 x 5, without the brightest) and as the detector's mean, more often than chance
    allows (Poisson, 1e-9), and when not more than one of its eight neighbours is lit a tenth as often. A Bragg peak
    spreads over several pixels and lights them only while the crystal passes, so it is not taken for one; a pair of
    hot pixels is.

    Parameters
    ----------
    n_lit : ndarray of int64, `(n_pixels,)`
        Frames in which each pixel holds photons.
    n_frames : int
        Frames, spread over the run.
    frame_shape : tuple of int
        `(n_slow, n_fast)`.
    usable : ndarray of bool, `(n_pixels,)`
        Pixels that are judged.
    max_hot_ratio : float
        Limit.

    Returns
    -------
    ndarray of bool, `(n_pixels,)`
        Hot pixels.
    """
    lit = np.where(usable, n_lit, 0).astype(np.float64).reshape(frame_shape)
    weight = usable.astype(np.float64).reshape(frame_shape)
    box = np.ones((5, 5))
    # The brightest neighbour is left out of the local mean, so that one hot pixel does not hide another.
    around = ndimage.convolve(lit, box, mode="constant") - lit
    counted = ndimage.convolve(weight, box, mode="constant") - weight
    brightest = ndimage.maximum_filter(lit, footprint=_without_centre(5), mode="constant")
    local = np.divide(around - brightest, counted - 1, out=np.zeros_like(around), where=counted > 1)
    expected = np.maximum(local, _trimmed_mean(lit.ravel()[usable]))
    improbable = stats.poisson.sf(lit - 1, np.maximum(expected, 1e-12)) < _CHANCE
    second = ndimage.rank_filter(lit, rank=-2, footprint=_without_centre(3), mode="constant")
    often = (lit > max_hot_ratio * expected) & (lit >= _MIN_LIT_FRACTION * n_frames) & (lit > 0)
    return np.asarray((often & improbable & (second < _NEIGHBOUR_SHARE * lit)).ravel() & usable)


def silent_pixels(
    n_photons: NDArray[np.int64], frame_shape: tuple[int, int], usable: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return usable pixels without a photon in a whole run although more than half of their neighbours saw 30 or more.

    The median of the 24 pixels around (masked ones count as empty) is not raised by a few bright ones, so a gap
    between Bragg peaks is not taken for dead; the chance of an empty pixel there is exp(-30).
    """
    photons = np.where(usable, n_photons, 0).reshape(frame_shape)
    empty = (photons == 0).ravel() & usable
    if not empty.any() or photons.max() < _SILENT_PHOTONS:
        return np.zeros(len(usable), dtype=bool)
    around = ndimage.median_filter(photons, footprint=_without_centre(5), mode="constant")
    return np.asarray(empty & (around.ravel() >= _SILENT_PHOTONS))


def _without_centre(edge: int) -> NDArray[np.bool_]:
    footprint = np.ones((edge, edge), dtype=bool)
    footprint[edge // 2, edge // 2] = False
    return footprint


def _trimmed_mean(values: NDArray[np.float64]) -> float:
    """Mean without the highest thousandth, which hot pixels would raise."""
    if len(values) == 0:
        return 0.0
    kept = np.sort(values)[: max(1, int(np.ceil(0.999 * len(values))))]
    return float(kept.mean())
