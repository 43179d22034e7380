"""Offset, noise and gain from the data's own zero- and one-photon peaks, or from dark frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from fewphoton.errors import DataError
from fewphoton.photons.calibration import Calibration

_CLIP_SIGMA = 3.5
_SIGMA_PER_MAD = 1.4826
_MIN_PHOTONS = 50


def zero_peak(sample: NDArray[np.generic], invalid: NDArray[np.bool_]) -> tuple[NDArray, NDArray]:
    """Return centre and width of each pixel's zero-photon peak.

    The median and the median absolute deviation start; one clipped mean and standard deviation (values within 3.5
    widths) refine them, which removes the pull of photons at few photons per pixel.

    Parameters
    ----------
    sample : ndarray, `(n_frames, n_pixels)`
        Raw values of sampled frames.
    invalid : ndarray of bool, `(n_frames, n_pixels)`
        Bad reads.

    Returns
    -------
    offset_adu, noise_adu : ndarray of float64, `(n_pixels,)`
        NaN for pixels without two valid reads.
    """
    values = sample.astype(np.float32)
    values[invalid] = np.nan
    n_valid = (~invalid).sum(axis=0)
    offset = np.full(values.shape[1], np.nan)
    noise = np.full(values.shape[1], np.nan)
    full = n_valid >= 2
    median = np.nanmedian(values[:, full], axis=0)
    width = _SIGMA_PER_MAD * np.nanmedian(np.abs(values[:, full] - median), axis=0)
    # Integer ADU with less than one unit of noise have a deviation of 0; half a unit keeps their own peak inside.
    near = np.abs(values[:, full] - median) <= _CLIP_SIGMA * np.maximum(width, 0.5)
    kept = np.where(near, values[:, full], np.nan).astype(np.float64)
    offset[full] = np.nanmean(kept, axis=0)
    noise[full] = np.nanstd(kept, axis=0, ddof=0) * np.sqrt(near.sum(axis=0) / np.maximum(near.sum(axis=0) - 1, 1))
    return offset, noise


def panel_zero_peak(
    sample: NDArray[np.generic], invalid: NDArray[np.bool_], panel: NDArray[np.int32]
) -> tuple[NDArray, NDArray]:
    """Return centre and width of the zero-photon peak of each panel (ASIC), for every pixel of it.

    For runs of a few frames: all pixels of a panel are pooled. The width comes from the lower half of the peak,
    which photons do not reach.
    """
    offset = np.full(sample.shape[1], np.nan)
    noise = np.full(sample.shape[1], np.nan)
    for number in range(int(panel.max()) + 1):
        mine = panel == number
        values = sample[:, mine].astype(np.float64)[~invalid[:, mine]]
        if len(values) < 100:
            continue
        centre = _histogram_mode(values)
        below = values[values <= centre]
        spread = _SIGMA_PER_MAD * float(np.median(centre - below)) if len(below) else np.nan
        offset[mine] = centre
        noise[mine] = max(spread, 0.3)
    return offset, noise


def _histogram_mode(values: NDArray[np.float64]) -> float:
    low, high = np.percentile(values, [1, 75])
    edges = np.arange(np.floor(low) - 2.5, np.ceil(high) + 3.5)
    counts = np.histogram(values, edges)[0].astype(float)
    smooth = ndimage.gaussian_filter1d(counts, 1.0)
    top = int(smooth.argmax())
    window = slice(max(top - 2, 0), top + 3)
    centres = 0.5 * (edges[1:] + edges[:-1])
    return float((counts[window] * centres[window]).sum() / counts[window].sum())


def panel_gain(
    above_offset: NDArray[np.float64], noise_adu: float, nominal_adu: float | None, name: str
) -> float | None:
    """Find the one-photon peak of a panel.

    Parameters
    ----------
    above_offset : ndarray of float64, `(n_values,)`
        Raw values less their pixel's offset.
    noise_adu : float
        Width of the zero-photon peak.
    nominal_adu : float or None
        Where to look: within 40 % of it; None: anywhere beyond four widths.
    name : str
        Panel, for the caller's messages.

    Returns
    -------
    float or None
        ADU per photon; None where no peak stands out (too few photons).
    """
    start = max(4.0 * noise_adu, 0.6 * nominal_adu if nominal_adu else 0.0)
    stop = 1.4 * nominal_adu if nominal_adu else start + 60.0 * noise_adu
    photons = above_offset[(above_offset > start) & (above_offset < stop)]
    if len(photons) < _MIN_PHOTONS:
        return None
    width = max(noise_adu / 3, 0.25)
    edges = np.arange(start, stop + width, width)
    counts = np.histogram(photons, edges)[0].astype(float)
    centres = 0.5 * (edges[1:] + edges[:-1])
    smooth = ndimage.gaussian_filter1d(counts, 2.5)
    peaks, properties = signal.find_peaks(smooth, prominence=0.15 * smooth.max())
    if len(peaks) == 0:
        return None
    # Two photons make a smaller peak at twice the distance: the first prominent peak is the one-photon one.
    first = peaks[0] if nominal_adu is None else peaks[int(properties["prominences"].argmax())]
    near = np.abs(above_offset - centres[first]) < 1.5 * noise_adu
    return float(above_offset[near].mean())


def fit_calibration(
    sample: NDArray[np.generic],
    invalid: NDArray[np.bool_],
    panel: NDArray[np.int32],
    masked: NDArray[np.bool_],
    *,
    per_pixel: bool,
    nominal_adu: float | None,
) -> Calibration:
    """Fit offset and noise per pixel (or panel) and the gain per panel.

    Parameters
    ----------
    sample : ndarray, `(n_frames, n_pixels)`
        Raw values of frames spread over the run.
    invalid : ndarray of bool, `(n_frames, n_pixels)`
        Bad reads.
    panel : ndarray of int32, `(n_pixels,)`
        Panel of each pixel, -1 in gaps.
    masked : ndarray of bool, `(n_pixels,)`
        Pixels not to use.
    per_pixel : bool
        Offsets per pixel, or per panel.
    nominal_adu : float or None
        Expected gain; panels where no one-photon peak stands out take the median of the others, or this.

    Raises
    ------
    DataError
        If no panel shows a one-photon peak and no nominal gain is given.
    """
    offset, noise = zero_peak(sample, invalid) if per_pixel else panel_zero_peak(sample, invalid, panel)
    gain = np.full(sample.shape[1], np.nan)
    found: dict[int, float] = {}
    for number in range(int(panel.max()) + 1):
        mine = np.flatnonzero((panel == number) & ~masked & np.isfinite(offset) & (noise > 0))
        if len(mine) == 0:
            continue
        values = (sample[:, mine] - offset[mine])[~invalid[:, mine]]
        value = panel_gain(values, float(np.median(noise[mine])), nominal_adu, str(number))
        if value is not None:
            found[number] = value
    if not found and nominal_adu is None:
        raise DataError(
            "no panel shows a one-photon peak in the sampled frames; give adu_per_photon, or raise fit_frames"
        )
    usual = float(np.median(list(found.values()))) if found else float(nominal_adu or np.nan)
    for number in range(int(panel.max()) + 1):
        gain[panel == number] = found.get(number, usual)
    return Calibration(offset, gain, noise, masked | ~np.isfinite(offset))
