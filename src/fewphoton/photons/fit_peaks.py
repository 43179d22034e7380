"""Offset, noise and gain from the data's own zero- and one-photon peaks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fewphoton.errors import DataError
from fewphoton.photons.calibration import Calibration
from fewphoton.photons.gain_peak import panel_gains
from fewphoton.photons.raw_sample import RawSample
from fewphoton.photons.zero_peak import (
    CLIP_SIGMA,
    PanelHistograms,
    ZeroPeak,
    panel_histograms,
    panel_zero_peak,
    pixel_zero_peak,
    refined_zero_peak,
)


def fit_calibration(
    sample: RawSample,
    panel: NDArray[np.int32],
    masked: NDArray[np.bool_],
    *,
    per_pixel: bool,
    nominal_adu: float | None,
) -> tuple[Calibration, int]:
    """Fit offset and noise per pixel (or panel) and the gain per panel.

    Per pixel, the frames are read four times: a few for the start, twice for the moments of the zero-photon peak, once
    for the panels' histograms; and three times more where half a photon is nearer than 3.5 noise widths, for moments
    that leave the photons out, and the histograms about the better offsets.

    Parameters
    ----------
    sample : RawSample
        Raw frames spread over the run.
    panel : ndarray of int32, `(n_pixels,)`
        Panel of each pixel, -1 in gaps.
    masked : ndarray of bool, `(n_pixels,)`
        Pixels not to use.
    per_pixel : bool
        Offsets per pixel, or per panel.
    nominal_adu : float or None
        Expected gain; panels where no one-photon peak stands out take the median of the others, or this.

    Returns
    -------
    calibration : Calibration
        Fitted values.
    n_without_peak : int
        Panels with usable pixels whose gain was taken from the others.

    Raises
    ------
    DataError
        If no pixel is usable, there are too few frames, or no panel shows a one-photon peak and no nominal gain is
        given.
    """
    if masked.all():
        raise DataError("every pixel of the detector is masked, so there is nothing to calibrate")
    if per_pixel:
        peak, histograms = _per_pixel(sample, panel, ~masked, nominal_adu)
    else:
        peak, histograms = panel_zero_peak(sample, panel, ~masked, nominal_adu)
    usable = ~masked & np.isfinite(peak.offset) & np.isfinite(peak.noise)
    noise = panel_noise(peak.noise, panel, usable)
    gain, found = _gains(histograms, noise, panel, nominal_adu)
    if per_pixel:
        near = usable & (0.5 * gain < CLIP_SIGMA * peak.noise)
        if near.any():
            half_width = np.where(near, 0.5 * gain, CLIP_SIGMA * np.maximum(peak.noise, 1e-6))
            # Twice, as the first window stands about a centre that photons have pulled.
            refined = refined_zero_peak(sample, refined_zero_peak(sample, peak, half_width), half_width)
            peak = ZeroPeak(np.where(near, refined.offset, peak.offset), np.where(near, refined.noise, peak.noise))
            usable &= np.isfinite(peak.offset) & np.isfinite(peak.noise)
            histograms = panel_histograms(sample, peak.offset, panel, usable, histograms.bin_width)
            gain, found = _gains(histograms, panel_noise(peak.noise, panel, usable), panel, nominal_adu)
    return Calibration.of(peak.offset, gain, peak.noise, ~usable), int((np.isfinite(noise) & ~found).sum())


def panel_noise(noise: NDArray[np.float64], panel: NDArray[np.int32], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Median noise of the usable pixels of each panel, float64 `(n_panels,)`; NaN where a panel has none."""
    medians = np.full(int(panel.max()) + 1, np.nan)
    for number in range(len(medians)):
        mine = noise[usable & (panel == number)]
        if len(mine):
            medians[number] = np.median(mine)
    return medians


def _gains(
    histograms: PanelHistograms, noise: NDArray[np.float64], panel: NDArray[np.int32], nominal_adu: float | None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the gain of each pixel, NaN in gaps, and which panels showed their peak."""
    gain, found = panel_gains(histograms, noise, nominal_adu)
    if not np.isfinite(gain).any():
        raise DataError(
            "no panel shows a one-photon peak in the sampled frames (too few photons, or photons not parted from the "
            "noise); give adu_per_photon, or raise fit_frames"
        )
    return np.where(panel >= 0, gain[panel], np.nan), found


def _per_pixel(
    sample: RawSample, panel: NDArray[np.int32], usable: NDArray[np.bool_], nominal_adu: float | None
) -> tuple[ZeroPeak, PanelHistograms]:
    peak = pixel_zero_peak(sample)
    usable = usable & np.isfinite(peak.noise)
    if not usable.any():
        raise DataError("no usable pixel has two valid reads in the sampled frames")
    usual = float(np.median(peak.noise[usable]))
    # Bins of a quarter of the noise; whole units at least, as integers on finer bins make a comb.
    integers = next(sample.thinned(1).chunks()).dtype.kind in "iu"
    width = max(usual / 4, (nominal_adu or 0.0) / 800, 1.0 if integers else 1e-6)
    quiet = usable & (peak.noise < 4 * usual) & (peak.noise > 0)
    return peak, panel_histograms(sample, peak.offset, panel, quiet, width)
