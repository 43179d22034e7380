"""Pixels and frames that must not be used: noisy, dead and hot pixels, and frames read with a wrong offset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

from fewphoton.data import PhotonFrames
from fewphoton.photons.calibration import Calibration

_CHANCE = 1e-9
_MIN_LIT_FRACTION = 0.02


@dataclass(frozen=True, eq=False)
class BadPixels:
    """Why pixels are left out, each bool `(n_pixels,)`."""

    noisy: NDArray[np.bool_]
    dead: NDArray[np.bool_]
    hot: NDArray[np.bool_]

    @property
    def any(self) -> NDArray[np.bool_]:
        """All of them."""
        return self.noisy | self.dead | self.hot


def noise_outliers(
    calibration: Calibration, panel: NDArray[np.int32], max_noise_ratio: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return noisy and dead pixels: noise above ``max_noise_ratio`` times the panel's median, or below its inverse."""
    noise = calibration.read_noise_adu.astype(np.float64)
    noisy = np.zeros(len(noise), dtype=bool)
    dead = np.zeros(len(noise), dtype=bool)
    for number in range(int(panel.max()) + 1):
        mine = panel == number
        usable = mine & ~calibration.unusable
        if not usable.any():
            continue
        usual = float(np.median(noise[usable]))
        noisy |= mine & (noise > max_noise_ratio * usual)
        dead |= mine & ~(noise > usual / max_noise_ratio)
    return noisy, dead


def hot_pixels(
    frames: PhotonFrames, frame_shape: tuple[int, int], unusable: NDArray[np.bool_], max_hot_ratio: float
) -> NDArray[np.bool_]:
    """Return pixels that light up in far more frames than their surroundings allow.

    A pixel is hot when it is lit in at least 2 % of the frames, in more than ``max_hot_ratio`` times as many as the
    pixels around it (5 x 5, at least the mean of the detector), and in more than chance allows. A Bragg peak lights
    several neighbours and only while the crystal passes, so it is not taken for one.

    Parameters
    ----------
    frames : PhotonFrames
        Frames spread over the run.
    frame_shape : tuple of int
        `(n_slow, n_fast)`.
    unusable : ndarray of bool, `(n_pixels,)`
        Pixels that are out already.
    max_hot_ratio : float
        Limit.

    Returns
    -------
    ndarray of bool, `(n_pixels,)`
        Hot pixels.
    """
    if frames.n_frames == 0 or frames.n_hits == 0:
        return np.zeros(frames.n_pixels, dtype=bool)
    lit = np.bincount(frames.pixel, minlength=frames.n_pixels).astype(np.float64)
    lit[unusable] = 0.0
    weight = (~unusable).astype(np.float64).reshape(frame_shape)
    box = np.ones((5, 5))
    around = ndimage.convolve(lit.reshape(frame_shape), box, mode="constant") - lit.reshape(frame_shape)
    counted = ndimage.convolve(weight, box, mode="constant") - weight
    local = np.divide(around, counted, out=np.zeros_like(around), where=counted > 0).ravel()
    expected = np.maximum(local, lit.sum() / max((~unusable).sum(), 1))
    improbable = stats.poisson.sf(lit - 1, expected) < _CHANCE
    return np.asarray(
        (lit > max_hot_ratio * expected) & (lit >= _MIN_LIT_FRACTION * frames.n_frames) & improbable & ~unusable
    )


def total_limit(totals: NDArray[np.int64], max_total_sigma: float) -> float:
    """Return the photon total above which a frame is absurd: median plus so many robust sigmas, at least Poisson's."""
    median = float(np.median(totals))
    robust = 1.4826 * float(np.median(np.abs(totals - median)))
    return median + max_total_sigma * max(robust, np.sqrt(max(median, 1.0)))
