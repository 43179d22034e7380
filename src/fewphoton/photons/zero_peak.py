"""Centre and width of the zero-photon peak, per pixel over frames or per panel over its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal, special

from fewphoton.errors import DataError
from fewphoton.kernels.pixel_statistics import add_moments_inside, add_panel_histograms, median_and_spread
from fewphoton.photons.raw_sample import RawSample, valid_range

CLIP_SIGMA = 3.5
_SIGMA_PER_MAD = 1.4826
_START_FRAMES = 31
_START_BYTES = 256 * 1024**2
_MIN_FRAMES = 10
_N_BINS = 2048
_N_BELOW = 512
_MIN_PANEL_VALUES = 100


@dataclass(frozen=True, eq=False)
class ZeroPeak:
    """Where raw values lie without photons.

    Parameters
    ----------
    offset, noise : ndarray of float64, `(n_pixels,)`
        Centre and standard deviation; NaN where there are too few valid reads.
    """

    offset: NDArray[np.float64]
    noise: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PanelHistograms:
    """Raw values less a centre, one histogram a panel.

    Parameters
    ----------
    counts : ndarray of int64, `(n_panels, n_bins)`
        Values in each bin.
    low, bin_width : float
        Lower edge of the first bin, width of a bin.
    """

    counts: NDArray[np.int64]
    low: float
    bin_width: float

    def centres(self) -> NDArray[np.float64]:
        """Middle of each bin, float64 `(n_bins,)`."""
        return np.asarray(self.low + (np.arange(self.counts.shape[1]) + 0.5) * self.bin_width)


def truncated_sigma(measured: NDArray[np.float64], half_width: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the standard deviation of a Gaussian from that of its values within a half width of its centre.

    Solves s_measured² = s² (1 - 2 a φ(a) / (2 Φ(a) - 1)), a = half width / s, by iteration; a window narrower than 1.2
    measured widths says little and leaves the value at three times the measured one.
    """
    sigma = np.array(measured, dtype=np.float64)
    positive = (sigma > 0) & np.isfinite(half_width)
    start, window = sigma[positive], half_width[positive]
    current = start
    for _ in range(60):
        a = window / current
        density = np.exp(-0.5 * a * a) / np.sqrt(2 * np.pi)
        share = 1 - 2 * a * density / np.maximum(special.erf(a / np.sqrt(2)), 1e-12)
        before, current = current, np.minimum(start / np.sqrt(np.maximum(share, 0.05)), 3 * start)
        if np.allclose(before, current, rtol=1e-6, atol=0):
            break
    sigma[positive] = current
    return sigma


def pixel_zero_peak(sample: RawSample) -> ZeroPeak:
    """Fit the zero-photon peak of each pixel over the sampled frames.

    The median and the median absolute deviation of a few frames start; two rounds of moments within 3.5 widths, over
    all sampled frames and corrected for the cut tails, refine them. Photons lie outside unless they are rare and near,
    so pixels must be empty in most frames.

    Raises
    ------
    DataError
        If there are fewer than 10 frames.
    """
    if len(sample) < _MIN_FRAMES:
        raise DataError(
            f"{len(sample)} frames are too few to fit offset and noise of every pixel (at least {_MIN_FRAMES}); set "
            "fit_per to panel, or give a calibration"
        )
    first = next(sample.thinned(1).chunks())
    n_start = int(np.clip(_START_BYTES // first.nbytes, 3, _START_FRAMES))
    stack = np.concatenate(list(sample.thinned(n_start).chunks()))
    offset, spread = np.empty(stack.shape[1]), np.empty(stack.shape[1])
    median_and_spread(stack, *valid_range(stack.dtype, sample.minimum_valid), offset, spread)
    del stack
    # The deviation of a few frames scatters by a quarter, and is 0 for integers with less than a unit of noise.
    floor = 0.5 if first.dtype.kind in "iu" else 0.0
    peak = ZeroPeak(offset, np.maximum(1.25 * _SIGMA_PER_MAD * spread, floor))
    for _ in range(2):
        peak = refined_zero_peak(sample, peak, CLIP_SIGMA * np.maximum(peak.noise, floor))
    return peak


def refined_zero_peak(sample: RawSample, peak: ZeroPeak, half_width: NDArray[np.float64]) -> ZeroPeak:
    """Return mean and width of the values within ``half_width`` `(n_pixels,)` of the peak, corrected for the cut."""
    n_pixels = len(peak.offset)
    number, total, squared = np.zeros(n_pixels, dtype=np.int64), np.zeros(n_pixels), np.zeros(n_pixels)
    for frames in sample.chunks():
        valid = valid_range(frames.dtype, sample.minimum_valid)
        add_moments_inside(frames, *valid, peak.offset, half_width, number, total, squared)
    enough = number >= 2
    many = np.where(enough, number, np.nan)
    mean = total / many
    width = np.sqrt(np.maximum(squared / many - mean**2, 0) * many / (many - 1))
    return ZeroPeak(peak.offset + mean, truncated_sigma(width, half_width))


def panel_histograms(
    sample: RawSample,
    centre: NDArray[np.float64],
    panel: NDArray[np.int32],
    usable: NDArray[np.bool_],
    bin_width: float,
) -> PanelHistograms:
    """Gather (raw - centre) of the usable pixels of each panel, 512 bins below and 1536 above the centre."""
    counts = np.zeros((int(panel.max()) + 1, _N_BINS), dtype=np.int64)
    low = -(_N_BELOW + 0.5) * bin_width
    held = usable & np.isfinite(centre) & (panel >= 0)
    for frames in sample.chunks():
        add_panel_histograms(
            frames, centre, panel, held, *valid_range(frames.dtype, sample.minimum_valid), low, bin_width, counts
        )
    return PanelHistograms(counts, low, bin_width)


def panel_zero_peak(
    sample: RawSample, panel: NDArray[np.int32], usable: NDArray[np.bool_], nominal_adu: float | None
) -> tuple[ZeroPeak, PanelHistograms]:
    """Fit the zero-photon peak of each panel (ASIC) over all its pixels; for runs of a few frames.

    The peak is the lowest one that stands out of the panel's histogram, so that bright panels, where most pixels hold
    photons, are read correctly. Its width comes from its lower half, which photons do not reach, and holds the scatter
    of the pixels' offsets too.

    Returns
    -------
    peak : ZeroPeak
        The panel's values for every pixel of it; NaN for panels with fewer than 100 valid reads.
    histograms : PanelHistograms
        What was fitted, about the offsets.
    """
    first = next(sample.thinned(1).chunks())[0]
    smallest, largest = valid_range(first.dtype, sample.minimum_valid)
    valid = usable & (first >= smallest) & (first <= largest)
    n_panels = int(panel.max()) + 1
    centre = np.full(len(panel), np.nan)
    spreads = []
    for number in range(n_panels):
        values = first[valid & (panel == number)].astype(np.float64)
        if len(values):
            centre[panel == number] = np.rint(np.median(values)) if first.dtype.kind in "iu" else np.median(values)
            spreads.append(_SIGMA_PER_MAD * float(np.median(np.abs(values - np.median(values)))))
    if not spreads:
        raise DataError("the first sampled frame holds no valid read on any usable pixel")
    width = max(float(np.median(spreads)) / 16, 1.5 * (nominal_adu or 0.0) / (_N_BINS - _N_BELOW))
    width = max(1.0, np.rint(width)) if first.dtype.kind in "iu" else max(width, 1e-6)
    histograms = panel_histograms(sample, centre, panel, usable, width)
    noise = np.full(len(panel), np.nan)
    for number in range(n_panels):
        found = _lowest_peak(histograms.counts[number], histograms.centres())
        mine = panel == number
        if found is None:
            centre[mine] = np.nan
            continue
        centre[mine] += found[0]
        noise[mine] = found[1]
    return ZeroPeak(centre, noise), panel_histograms(sample, centre, panel, usable, width)


def _lowest_peak(counts: NDArray[np.int64], centres: NDArray[np.float64]) -> tuple[float, float] | None:
    if counts.sum() < _MIN_PANEL_VALUES:
        return None
    smooth = ndimage.gaussian_filter1d(counts.astype(np.float64), 1.0, mode="constant")
    highest = smooth.max()
    peaks, _ = signal.find_peaks(smooth, height=0.3 * highest, prominence=max(0.1 * highest, 5 * np.sqrt(highest)))
    width = float(centres[1] - centres[0])
    centre = float(centres[int(peaks[0]) if len(peaks) else int(smooth.argmax())])
    noise = width
    for _ in range(4):
        # The mean within one width moves to the centre of the peak; photons lie three widths away or more.
        inside = np.clip((max(noise, 2 * width) + width / 2 - np.abs(centres - centre)) / width, 0, 1) * counts
        centre = float((inside * centres).sum() / max(inside.sum(), 1.0))
        noise = _lower_half_width(counts, centres, centre)
    return centre, noise


def _lower_half_width(counts: NDArray[np.int64], centres: NDArray[np.float64], centre: float) -> float:
    """Return the standard deviation from the values below the centre: half of them lie within 0.6745 of it."""
    width = float(centres[1] - centres[0])
    # Each bin is spread evenly over its width; the one that holds the centre enters with its part below it.
    share = np.clip((centre - (centres - width / 2)) / width, 0, 1) * counts
    away = centre - (centres - width / 2)
    order = np.argsort(away)
    running = np.concatenate([[0.0], np.cumsum(share[order])])
    edges = np.concatenate([[0.0], np.maximum(away[order], 0.0)])
    return _SIGMA_PER_MAD * float(np.interp(running[-1] / 2, running, edges))
