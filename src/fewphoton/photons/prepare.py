"""Calibration of a run, whichever way the configuration asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.frames import CountPhotonsConfig
from fewphoton.data import Detector, FrameTable
from fewphoton.errors import ConfigError
from fewphoton.kernels.photon_counting import decode_gain_stages
from fewphoton.photons.bad_pixels import BadPixels, hot_pixels, noise_outliers, total_limit
from fewphoton.photons.calibration import Calibration
from fewphoton.photons.counting import PhotonCounter, subtract_common_mode
from fewphoton.photons.fit_peaks import fit_calibration, zero_peak

Frames = NDArray[np.generic]


@dataclass(frozen=True, eq=False)
class CalibrationSource:
    """What was given beside the frames themselves.

    Parameters
    ----------
    pixel : list of three ndarray of float32 `(n_pixels,)`, or None
        offset_adu, adu_per_photon, read_noise_adu of a calibration file.
    dark : ndarray, `(n_frames, n_pixels)`, or None
        Dark frames.
    stages : list of two ndarray of float32 `(3, n_pixels)`, or None
        Pedestals and gains of three gain stages.
    """

    pixel: list[NDArray[np.float32]] | None = None
    dark: Frames | None = None
    stages: list[NDArray[np.float32]] | None = field(default=None)


@dataclass(frozen=True, eq=False)
class PreparedCounter:
    """A counter with everything that was learnt from sampled frames.

    Parameters
    ----------
    counter : PhotonCounter
        Ready to count.
    correct : callable
        What is done to a raw chunk `(n_frames, n_pixels)` before it is counted.
    bad : BadPixels
        Pixels left out, by reason.
    limit : float
        Photon total above which a frame is rejected.
    occupancy : float
        Mean photons per usable pixel in the sampled frames.
    """

    counter: PhotonCounter
    correct: Callable[[Frames], Frames]
    bad: BadPixels
    limit: float
    occupancy: float


def invalid_reads(frames: Frames, minimum_valid_adu: float | None) -> NDArray[np.bool_]:
    """Return where values are NaN, infinite or below the smallest valid one, bool like ``frames``."""
    invalid = ~np.isfinite(frames) if frames.dtype.kind == "f" else np.zeros(frames.shape, dtype=bool)
    if minimum_valid_adu is not None:
        invalid |= frames < minimum_valid_adu
    return invalid


def prepare_counter(
    config: CountPhotonsConfig, detector: Detector, sample: Frames, source: CalibrationSource
) -> PreparedCounter:
    """Calibrate, find bad pixels, and set the limit for absurd frames.

    Parameters
    ----------
    config : CountPhotonsConfig
        Which calibration, thresholds, limits.
    detector : Detector
        Panels and mask.
    sample : ndarray, `(n_frames, n_pixels)`
        Raw frames spread over the run.
    source : CalibrationSource
        Given calibration.

    Raises
    ------
    ConfigError
        If the configuration lacks what its calibration needs.
    DataError
        If no usable pixel or no gain is found.
    """
    correct: Callable[[Frames], Frames] = np.asarray
    panel = detector.panel_numbers()
    if config.calibration == "jungfrau":
        correct = _gain_stage_decoder(config, source)
        sample = correct(sample)
    calibration = _calibrate(config, detector, sample, source)
    if config.common_mode:
        decode, before = correct, calibration

        def correct(frames: Frames) -> Frames:
            return subtract_common_mode(decode(frames), before, panel)

        sample = subtract_common_mode(sample, before, panel)
        calibration = _calibrate(config, detector, sample, source)
    few_frames = config.calibration in ("fit", "jungfrau") and len(sample) < 20
    noisy = dead = np.zeros(detector.n_pixels, dtype=bool)
    if not few_frames and not (config.calibration == "fit" and config.fit_per == "panel"):
        noisy, dead = noise_outliers(calibration, panel, config.max_noise_ratio)
        noisy, dead = noisy & ~detector.masked, dead & ~detector.masked
    counter = PhotonCounter(calibration.with_unusable(noisy | dead), config.threshold_photons, config.minimum_valid_adu)
    photons = counter.count(sample, FrameTable.unknown(len(sample)))
    hot = np.zeros(detector.n_pixels, dtype=bool)
    if len(sample) >= 20:
        limit = total_limit(photons.totals(), config.max_total_sigma)
        usual = photons.take(photons.totals() <= limit)
        hot = hot_pixels(usual, detector.frame_shape, counter.calibration.unusable, config.max_hot_ratio)
        counter = PhotonCounter(
            counter.calibration.with_unusable(hot), config.threshold_photons, config.minimum_valid_adu
        )
        photons = counter.count(sample, FrameTable.unknown(len(sample)))
    totals = photons.totals()
    usable = int((~counter.calibration.unusable).sum())
    limit = total_limit(totals, config.max_total_sigma) if len(sample) >= 20 else np.inf
    return PreparedCounter(counter, correct, BadPixels(noisy, dead, hot), limit, float(np.median(totals)) / usable)


def _gain_stage_decoder(config: CountPhotonsConfig, source: CalibrationSource) -> Callable[[Frames], Frames]:
    if source.stages is None or config.photon_energy_kev is None:
        raise ConfigError("calibration 'jungfrau' needs a calibration file and photon_energy_kev")
    pedestal, gain = source.stages

    def decode(frames: Frames) -> Frames:
        if frames.dtype != np.uint16:
            raise ConfigError(f"calibration 'jungfrau' needs raw uint16 words, the frames hold {frames.dtype}")
        energy = np.empty(frames.shape, dtype=np.float32)
        decode_gain_stages(np.ascontiguousarray(frames), pedestal, gain, energy)
        return energy

    return decode


def _calibrate(
    config: CountPhotonsConfig, detector: Detector, sample: Frames, source: CalibrationSource
) -> Calibration:
    masked = detector.masked
    whole = np.ones(detector.n_pixels)
    if config.calibration == "given":
        if source.pixel is not None:
            return Calibration(*source.pixel, masked)
        if config.offset_adu is None or config.adu_per_photon is None or config.read_noise_adu is None:
            raise ConfigError(
                "calibration 'given' needs a calibration file, or offset_adu, adu_per_photon and read_noise_adu"
            )
        return Calibration(
            config.offset_adu * whole, config.adu_per_photon * whole, config.read_noise_adu * whole, masked
        )
    if config.calibration == "dark":
        if source.dark is None or config.adu_per_photon is None:
            raise ConfigError("calibration 'dark' needs dark frames and adu_per_photon")
        offset, noise = zero_peak(source.dark, invalid_reads(source.dark, config.minimum_valid_adu))
        return Calibration(offset, config.adu_per_photon * whole, noise, masked | ~np.isfinite(offset))
    invalid = invalid_reads(sample, config.minimum_valid_adu)
    if config.calibration == "jungfrau":
        _, noise = zero_peak(sample, invalid)
        assert config.photon_energy_kev is not None  # checked by the decoder
        return Calibration(0.0 * whole, config.photon_energy_kev * whole, noise, masked | ~np.isfinite(noise))
    return fit_calibration(
        sample,
        invalid,
        detector.panel_numbers(),
        masked,
        per_pixel=config.fit_per == "pixel",
        nominal_adu=config.adu_per_photon,
    )
