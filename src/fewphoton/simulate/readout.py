"""From photons to raw ADU: per-pixel gain, offset and read noise, hot and dead pixels, frames with a wrong offset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.simulate import SimulatedReadout
from fewphoton.data import PhotonFrames
from fewphoton.errors import ConfigError

_BAD_FRAME_SHIFT_PHOTONS = 1.0


@dataclass(frozen=True, eq=False)
class Readout:
    """A detector's true properties.

    Parameters
    ----------
    offset_adu, adu_per_photon : ndarray of float32, `(n_pixels,)`
        Calibration.
    read_noise_adu : float
        Standard deviation.
    hot, dead : ndarray of int64
        Numbers of the pixels that read random high values, and of those that always read their offset.
    """

    offset_adu: NDArray[np.float32]
    adu_per_photon: NDArray[np.float32]
    read_noise_adu: float
    hot: NDArray[np.int64]
    dead: NDArray[np.int64]


def make_readout(config: SimulatedReadout, n_pixels: int, rng: np.random.Generator) -> Readout:
    """Draw a detector.

    Raises
    ------
    ConfigError
        If there are fewer pixels than hot and dead ones, or offsets would leave 16 bits.
    """
    if config.hot_pixels + config.dead_pixels > n_pixels:
        raise ConfigError(f"{config.hot_pixels} hot and {config.dead_pixels} dead pixels on {n_pixels} pixels")
    if config.offset_adu + 8 * config.offset_spread_adu + 20 * config.adu_per_photon > 65535:
        raise ConfigError("offset and gain leave less than 20 photons of room in 16 bits; lower them")
    offset = config.offset_adu + config.offset_spread_adu * rng.standard_normal(n_pixels)
    gain = config.adu_per_photon * (1 + config.gain_spread * rng.standard_normal(n_pixels))
    chosen = rng.choice(n_pixels, config.hot_pixels + config.dead_pixels, replace=False)
    return Readout(
        offset.astype(np.float32),
        gain.astype(np.float32),
        config.read_noise_adu,
        np.sort(chosen[: config.hot_pixels]),
        np.sort(chosen[config.hot_pixels :]),
    )


def render_adu(
    frames: PhotonFrames, readout: Readout, rng: np.random.Generator, bad_frames: NDArray[np.bool_]
) -> NDArray[np.uint16]:
    """Render raw frames, uint16 `(n_frames, n_pixels)`, clipped to 16 bits.

    Parameters
    ----------
    frames : PhotonFrames
        True photons.
    readout : Readout
        Detector.
    rng : numpy.random.Generator
        For noise and hot pixels.
    bad_frames : ndarray of bool, `(n_frames,)`
        Frames whose offset is one photon too high, so that their photon total is absurd.
    """
    adu = rng.standard_normal((frames.n_frames, frames.n_pixels), dtype=np.float32)
    adu *= np.float32(readout.read_noise_adu)
    adu += readout.offset_adu
    adu[frames.frame_numbers(), frames.pixel] += frames.count * readout.adu_per_photon[frames.pixel]
    usual_gain = float(np.median(readout.adu_per_photon))
    adu[bad_frames] += np.float32(_BAD_FRAME_SHIFT_PHOTONS * usual_gain)
    if len(readout.hot):
        high = readout.offset_adu[readout.hot] + 30 * usual_gain * rng.random((frames.n_frames, len(readout.hot)))
        adu[:, readout.hot] = high
    adu[:, readout.dead] = readout.offset_adu[readout.dead]
    adu += np.float32(0.5)
    np.clip(adu, 0, 65535, out=adu)
    return adu.astype(np.uint16)
