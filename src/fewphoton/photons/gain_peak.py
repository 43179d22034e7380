"""Gain of each panel from the distance between its zero-photon and its one-photon peak."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize, signal

from fewphoton.photons.zero_peak import PanelHistograms

_MIN_PHOTONS = 50
_MIN_SIGNIFICANCE = 4.0
_NOMINAL_RANGE = 0.4
_PANEL_RANGE = 0.3
_MIRROR_ERROR = 0.1


def one_photon_peak(
    counts: NDArray[np.int64],
    centres: NDArray[np.float64],
    noise_adu: float,
    nominal_adu: float | None,
    share: float = _NOMINAL_RANGE,
) -> float | None:
    """Find the one-photon peak of a histogram.

    The zero-photon peak is symmetric and photons lie on its upper side only, so the mirrored lower side is subtracted
    first: what remains are photons. It is smoothed by 0.4 noise widths. Of its local maxima beyond 2 widths those count
    that rise above both sides by four times their error (statistics, and a tenth of what was subtracted); the first
    that rises at least 0.3 times as far as the highest is the one-photon peak (two photons make another at twice the
    distance). Its centre comes from a least-squares fit of a Gaussian on a sloping ground.

    Parameters
    ----------
    counts : ndarray of int64, `(n_bins,)`
        Histogram of (raw - offset).
    centres : ndarray of float64, `(n_bins,)`
        Middles of the bins; one of them is 0.
    noise_adu : float
        Width of the zero-photon peak.
    nominal_adu : float or None
        Expected gain.
    share : float
        Relative distance from the expected gain within which the peak is sought.

    Returns
    -------
    float or None
        ADU per photon; None where no peak stands out (fewer than 50 photons, or photons not parted from the noise).
    """
    zero = int(np.argmin(np.abs(centres)))
    place, above, below = centres[zero:], counts[zero:].astype(np.float64), np.zeros(len(counts) - zero)
    mirrored = counts[zero::-1][: len(below)]
    below[: len(mirrored)] = mirrored
    width = float(place[1] - place[0])
    noise_adu = float(np.hypot(noise_adu, 0.5 * width))
    scale = max(0.4 * noise_adu / width, 0.7)
    net, both, mirror = (
        ndimage.gaussian_filter1d(values, scale, mode="constant") for values in (above - below, above + below, below)
    )
    # A sum over a Gaussian of this width has the variance of (smoothed counts) / (2 sqrt(pi) scale).
    error = np.hypot(np.sqrt(np.maximum(both, 1.0) / (2 * np.sqrt(np.pi) * scale)), _MIRROR_ERROR * mirror)
    peaks, properties = signal.find_peaks(net, prominence=0.0)
    rise = properties["prominences"]
    low, high = max(2.0 * noise_adu, 3.0 * width), float(place[-1])
    if nominal_adu is not None:
        low, high = max(low, (1 - share) * nominal_adu), (1 + share) * nominal_adu
    counted = (place[peaks] > low) & (place[peaks] < high) & (rise > _MIN_SIGNIFICANCE * error[peaks])
    if not counted.any():
        return None
    first = int(np.argmax(counted & (rise >= 0.3 * rise[counted].max())))
    start = float(place[peaks[first]])
    reach = max(min(2.0 * noise_adu, 0.5 * start), 3.5 * width)
    near = np.abs(place - start) <= reach
    centre = _fitted_centre((above - below)[near], np.sqrt(both[near] + 1), place[near], start, noise_adu)
    return centre if centre is not None and low < centre < high else None


def _fitted_centre(
    net: NDArray[np.float64],
    error: NDArray[np.float64],
    place: NDArray[np.float64],
    start: float,
    noise_adu: float,
) -> float | None:
    """Fit a Gaussian on a sloping ground (shared charges, tails of the neighbours) about ``start``."""
    if net.sum() < _MIN_PHOTONS:
        return None
    width, reach = float(place[1] - place[0]), float(place[-1] - start)
    height = max(float(net.max()), 1.0)

    def shape(x: NDArray[np.float64], peak: float, shift: float, spread: float, ground: float, slope: float) -> Any:
        return peak * np.exp(-0.5 * ((x - shift) / spread) ** 2) + ground + slope * x

    least = [0.0, -0.5 * reach, 0.6 * noise_adu, -0.1 * height, -height / width]
    most = [3 * height, 0.5 * reach, 2 * noise_adu + width, height, height / width]
    scales = (height, noise_adu, noise_adu, height, height / reach)
    first = (height, 0.0, noise_adu, 0.0, 0.0)
    found = optimize.least_squares(
        lambda values: (shape(place - start, *values) - net) / error, first, bounds=(least, most), x_scale=scales
    )
    return start + float(found.x[1]) if found.success else None


def panel_gains(
    histograms: PanelHistograms, noise_adu: NDArray[np.float64], nominal_adu: float | None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Find the gain of each panel.

    The peak of all panels together tells each panel where to look; panels with too few photons take the median of the
    others, the common gain, or the nominal one.

    Parameters
    ----------
    histograms : PanelHistograms
        Histograms of (raw - offset).
    noise_adu : ndarray of float64, `(n_panels,)`
        Width of each panel's zero-photon peak; NaN for panels without usable pixels.
    nominal_adu : float or None
        Expected gain.

    Returns
    -------
    gain : ndarray of float64, `(n_panels,)`
        ADU per photon; NaN everywhere where no peak was found and no nominal gain is given.
    found : ndarray of bool, `(n_panels,)`
        Panels that showed their own peak.
    """
    centres = histograms.centres()
    known = np.isfinite(noise_adu)
    common = nominal_adu
    if known.any():
        pooled = one_photon_peak(
            histograms.counts[known].sum(axis=0), centres, float(np.median(noise_adu[known])), nominal_adu
        )
        common = nominal_adu if pooled is None else pooled
    gain = np.full(len(noise_adu), np.nan)
    for number in np.flatnonzero(known):
        own = one_photon_peak(histograms.counts[number], centres, float(noise_adu[number]), common, _PANEL_RANGE)
        gain[number] = np.nan if own is None else own
    found = np.isfinite(gain)
    usual = float(np.median(gain[found])) if found.any() else (np.nan if common is None else common)
    gain[~found] = usual
    return gain, found
