"""From photons to raw words: gain, offset, read noise, hot and dead pixels, frames with a wrong offset.

An integrating detector with one gain, and one that switches between three gains (Jungfrau).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.simulate import SimulatedReadout
from fewphoton.data import PhotonFrames
from fewphoton.errors import ConfigError

_BAD_FRAME_SHIFT_PHOTONS = 1.0
_HOT_PHOTONS = 30.0
_ADC_MAX = 0x3FFF


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
        Numbers of the pixels that read random high values, and of those that always read their offset; rising.
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
    """Render raw frames, uint16 `(n_frames, n_pixels)`, rounded and clipped to 16 bits.

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
    raw = np.empty((frames.n_frames, frames.n_pixels), dtype=np.uint16)
    usual_gain = float(np.median(readout.adu_per_photon))
    # Truncation of positive values after adding a half rounds them.
    level = readout.offset_adu + np.float32(0.5)
    noise = np.float32(readout.read_noise_adu)
    adu = np.empty(frames.n_pixels, dtype=np.float32)
    for d in range(frames.n_frames):
        # One frame at a time stays in the cache from the draw to the rounding.
        rng.standard_normal(dtype=np.float32, out=adu)
        adu *= noise
        adu += level
        hits = slice(int(frames.indptr[d]), int(frames.indptr[d + 1]))
        pixel = frames.pixel[hits]
        adu[pixel] += frames.count[hits] * readout.adu_per_photon[pixel]
        if bad_frames[d]:
            adu += np.float32(_BAD_FRAME_SHIFT_PHOTONS * usual_gain)
        if len(readout.hot):
            adu[readout.hot] = level[readout.hot] + _HOT_PHOTONS * usual_gain * rng.random(len(readout.hot))
        adu[readout.dead] = level[readout.dead]
        np.clip(adu, 0, 65535, out=adu)
        raw[d] = adu
    return raw


@dataclass(frozen=True, eq=False)
class GainStageReadout:
    """True properties of a detector that switches its gain by itself (Jungfrau).

    Parameters
    ----------
    pedestal_adu, gain_adu_per_kev : ndarray of float32, `(3, n_pixels)`
        Stages in the order high, medium, low gain; medium and low gains are negative.
    read_noise_adu : float
        Standard deviation in every stage.
    """

    pedestal_adu: NDArray[np.float32]
    gain_adu_per_kev: NDArray[np.float32]
    read_noise_adu: float


def make_gain_stage_readout(n_pixels: int, read_noise_adu: float, rng: np.random.Generator) -> GainStageReadout:
    """Draw a detector like a Jungfrau: high gain 41 ADU/keV above 2500 ADU, medium -1.44 and low -0.1 below 15000.

    The numbers are those usual for this detector; pixels scatter by 60 ADU in the pedestal and 2 % in the gain.
    """
    pedestal = np.array([2500.0, 15000.0, 14800.0])[:, None] + 60.0 * rng.standard_normal((3, n_pixels))
    gain = np.array([41.0, -1.44, -0.1])[:, None] * (1 + 0.02 * rng.standard_normal((3, n_pixels)))
    return GainStageReadout(pedestal.astype(np.float32), gain.astype(np.float32), read_noise_adu)


def render_gain_stages(
    frames: PhotonFrames, readout: GainStageReadout, photon_energy_kev: float, rng: np.random.Generator
) -> NDArray[np.uint16]:
    """Render raw words, uint16 `(n_frames, n_pixels)`: stage in bits 14 and 15 (0, 1, 3), ADC value in the others.

    A pixel stays in the first stage whose ADC value fits into 14 bits.
    """
    raw = np.empty((frames.n_frames, frames.n_pixels), dtype=np.uint16)
    for d in range(frames.n_frames):
        energy = np.zeros(frames.n_pixels)
        hits = slice(int(frames.indptr[d]), int(frames.indptr[d + 1]))
        energy[frames.pixel[hits]] = frames.count[hits] * photon_energy_kev
        noise = readout.read_noise_adu * rng.standard_normal(frames.n_pixels)
        adc = np.rint(readout.pedestal_adu + readout.gain_adu_per_kev * energy + noise)
        stage = np.where(adc[0] <= _ADC_MAX, 0, np.where(adc[1] >= 0, 1, 2))
        chosen = np.clip(np.take_along_axis(adc, stage[None], axis=0)[0], 0, _ADC_MAX).astype(np.uint16)
        raw[d] = chosen | (np.array([0, 1, 3], dtype=np.uint16)[stage] << np.uint16(14))
    return raw
