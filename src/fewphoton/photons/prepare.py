"""Everything that is learnt from sampled frames before the photons of a run are counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.frames import CountPhotonsConfig
from fewphoton.data import Detector, FrameTable
from fewphoton.errors import ConfigError, DataError
from fewphoton.photons.bad_frames import LevelProbe, total_limit
from fewphoton.photons.bad_pixels import BadPixels, hot_pixels, noise_outliers
from fewphoton.photons.calibration import Calibration
from fewphoton.photons.common_mode import CommonMode
from fewphoton.photons.counting import PhotonCounter
from fewphoton.photons.fit_peaks import fit_calibration
from fewphoton.photons.gain_stages import GainStages
from fewphoton.photons.raw_sample import Correction, Frames, RawSample, valid_range
from fewphoton.photons.zero_peak import ZeroPeak, panel_zero_peak, pixel_zero_peak

_MIN_STATISTICS_FRAMES = 20


@dataclass(frozen=True, eq=False)
class GivenCalibration:
    """What was given beside the frames themselves.

    Parameters
    ----------
    pixel : list of three ndarray of float32 `(n_pixels,)`, or None
        offset_adu, adu_per_photon, read_noise_adu of a calibration file.
    dark : RawSample or None
        Dark frames.
    stages : list of two ndarray of float32 `(3, n_pixels)`, or None
        Pedestals and gains of three gain stages.
    """

    pixel: list[NDArray[np.float32]] | None = None
    dark: RawSample | None = None
    stages: list[NDArray[np.float32]] | None = None


@dataclass(frozen=True, eq=False)
class Preparation:
    """What counting needs.

    Parameters
    ----------
    calibration : Calibration
        Offset, gain, noise; bad pixels are unusable.
    correction : callable or None
        What is done to a raw piece `(n_frames, n_pixels)` before it is counted.
    minimum_valid : float or None
        Values below are bad reads, where there is no correction that found them.
    bad : BadPixels
        Pixels left out, by reason.
    limit : float
        Photon total above which a frame is rejected.
    occupancy : float
        Mean photons per usable pixel in the sampled frames.
    n_panels_without_peak : int
        Panels whose gain was taken from the others.
    """

    calibration: Calibration
    correction: Correction | None
    minimum_valid: float | None
    bad: BadPixels
    limit: float
    occupancy: float
    n_panels_without_peak: int


def prepare_counting(
    config: CountPhotonsConfig, detector: Detector, sample: RawSample, given: GivenCalibration
) -> Preparation:
    """Calibrate, find bad pixels, and set the limit for absurd frames.

    Parameters
    ----------
    config : CountPhotonsConfig
        Which calibration, thresholds, limits.
    detector : Detector
        Panels and mask.
    sample : RawSample
        Raw frames spread over the run.
    given : GivenCalibration
        Given calibration.

    Raises
    ------
    ConfigError
        If the configuration lacks what its calibration needs.
    DataError
        If no usable pixel or no gain is found.
    """
    panel = detector.panel_numbers()
    correction: Correction | None = None
    stuck = _never_changes(sample)
    if config.calibration == "jungfrau":
        correction, _ = _gain_stages(config, given)
        sample = sample.corrected(correction)
    calibration, without_peak = _calibrate(config, detector, sample, given)
    if config.common_mode:
        correction = _then(correction, CommonMode(calibration, panel, sample.minimum_valid))
        sample = sample.corrected(correction)
        # The corrected frames have less noise, and gaps between the peaks are clearer.
        calibration, without_peak = _calibrate(config, detector, sample, given)
    unread = (_often_invalid(sample) | stuck) & calibration.usable
    bad = BadPixels(np.zeros_like(unread), unread, np.zeros_like(unread))
    if _noise_is_per_pixel(config, given):
        noisy, dead = noise_outliers(calibration, panel, config.max_noise_ratio)
        bad = BadPixels(noisy & ~unread, dead | unread, bad.hot)
    calibration = calibration.with_unusable(bad.any)
    totals, n_lit = _tally(sample, calibration, config)
    limit = np.inf
    if len(sample) >= _MIN_STATISTICS_FRAMES:
        usual = totals <= total_limit(totals, config.max_total_sigma)
        _, n_lit = _tally(sample, calibration, config, usual)
        hot = hot_pixels(n_lit, int(usual.sum()), detector.frame_shape, calibration.usable, config.max_hot_ratio)
        bad = BadPixels(bad.noisy, bad.dead, hot)
        calibration = calibration.with_unusable(hot)
        totals, n_lit = _tally(sample, calibration, config)
        limit = total_limit(totals, config.max_total_sigma)
    occupancy = float(np.median(totals)) / int(calibration.usable.sum())
    return Preparation(calibration, correction, sample.minimum_valid, bad, limit, occupancy, without_peak)


def _then(first: Correction | None, second: Correction) -> Correction:
    if first is None:
        return second
    return lambda frames: second(first(frames))


def _often_invalid(sample: RawSample) -> NDArray[np.bool_]:
    """Return pixels with bad reads in at least half of the sampled frames, bool `(n_pixels,)`."""
    n_invalid: NDArray[np.int64] | None = None
    for frames in sample.chunks():
        if n_invalid is None:
            n_invalid = np.zeros(frames.shape[1], dtype=np.int64)
        if frames.dtype.kind in "iu" and sample.minimum_valid is None:
            break
        smallest, largest = valid_range(frames.dtype, sample.minimum_valid)
        for frame in frames:
            n_invalid += ~((frame >= smallest) & (frame <= largest))
    if n_invalid is None:
        raise DataError("there are no frames to count")
    return n_invalid >= max(1.0, 0.5 * len(sample))


def _never_changes(sample: RawSample) -> NDArray[np.bool_]:
    """Return pixels that read the very same value in all of two or more sampled frames, bool `(n_pixels,)`.

    Only floats are judged: integers of little noise repeat by chance.
    """
    first: Frames | None = None
    same = np.zeros(0, dtype=bool)
    for frames in sample.chunks():
        if first is None:
            first = frames[0].copy()
            same = np.full(len(first), frames.dtype.kind == "f" and len(sample) > 1)
            if not same.any():
                break
        same &= (frames == first).all(axis=0)
    if first is None:
        raise DataError("there are no frames to count")
    return same


def _tally(
    sample: RawSample, calibration: Calibration, config: CountPhotonsConfig, chosen: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return photons of each sampled frame, and in how many of the chosen frames each pixel is lit.

    Frames read with a wrong offset do not enter the second.
    """
    probe = LevelProbe(calibration, config.threshold_photons)
    n_lit = np.zeros(len(calibration.unusable), dtype=np.int64)
    totals: list[NDArray[np.int64]] = []
    done = 0
    for frames in sample.chunks():
        counter = PhotonCounter(calibration, config.threshold_photons, frames.dtype, sample.minimum_valid)
        photons = counter.count(frames, FrameTable.unknown(len(frames))).photons
        totals.append(photons.totals())
        keep = np.abs(probe.shifts(frames)) <= config.max_shift_sigma
        if chosen is not None:
            keep &= chosen[done : done + len(frames)]
        n_lit += np.bincount(photons.pixel[keep[photons.frame_numbers()]], minlength=len(n_lit))
        done += len(frames)
    return np.concatenate(totals), n_lit


def _gain_stages(config: CountPhotonsConfig, given: GivenCalibration) -> tuple[GainStages, float]:
    if given.stages is None or config.photon_energy_kev is None:
        raise ConfigError("calibration 'jungfrau' needs a calibration file and photon_energy_kev")
    return GainStages(given.stages[0], given.stages[1], config.minimum_valid_adu), config.photon_energy_kev


def _noise_is_per_pixel(config: CountPhotonsConfig, given: GivenCalibration) -> bool:
    if config.calibration == "given":
        return given.pixel is not None
    return config.fit_per == "pixel"


def _calibrate(
    config: CountPhotonsConfig, detector: Detector, sample: RawSample, given: GivenCalibration
) -> tuple[Calibration, int]:
    masked = detector.masked
    if config.calibration == "given":
        if given.pixel is not None:
            offset, gain, noise = given.pixel
            return Calibration(offset, gain, noise, masked), 0
        if config.offset_adu is None or config.adu_per_photon is None or config.read_noise_adu is None:
            raise ConfigError(
                "calibration 'given' needs a calibration file, or offset_adu, adu_per_photon and read_noise_adu"
            )
        return Calibration.of(config.offset_adu, config.adu_per_photon, config.read_noise_adu, masked), 0
    if config.calibration == "dark":
        if given.dark is None or config.adu_per_photon is None:
            raise ConfigError("calibration 'dark' needs dark frames and adu_per_photon")
        peak = _zero_peak(config, detector, given.dark, config.adu_per_photon)
        return Calibration.of(peak.offset, config.adu_per_photon, peak.noise, masked), 0
    if config.calibration == "jungfrau":
        stages, energy_kev = _gain_stages(config, given)
        peak = _zero_peak(config, detector, sample, energy_kev)
        return Calibration.of(0.0, energy_kev, peak.noise, masked | stages.unusable), 0
    return fit_calibration(
        sample, detector.panel_numbers(), masked, per_pixel=config.fit_per == "pixel", nominal_adu=config.adu_per_photon
    )


def _zero_peak(config: CountPhotonsConfig, detector: Detector, sample: RawSample, adu_per_photon: float) -> ZeroPeak:
    if config.fit_per == "pixel":
        return pixel_zero_peak(sample)
    return panel_zero_peak(sample, detector.panel_numbers(), ~detector.masked, adu_per_photon)[0]


def corrected(preparation: Preparation, frames: Frames) -> Any:
    """Return frames `(n_frames, n_pixels)` as they are counted."""
    return frames if preparation.correction is None else preparation.correction(frames)
