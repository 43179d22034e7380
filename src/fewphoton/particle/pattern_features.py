"""Numbers that tell patterns of one particle from those of several, of droplets and of nothing.

A single particle of some symmetry scatters into smooth rings; several particles in one pulse make fringes across them,
whose distance is the inverse of that between the particles, and a droplet makes rings that are narrower or wider. All
features are invariant under rotation of the pattern about the beam, but for what the mask and the pixels cut off.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import PhotonFrames
from fewphoton.errors import DataError
from fewphoton.particle.pattern_plane import PatternPlane

FEATURES = (
    "log10_photons",
    "half_photon_radius_pixel",
    "outer_photon_radius_pixel",
    "profile_slope",
    "ring_contrast",
    "speckle_contrast",
    "speckle_width_pixel",
    "speckle_elongation",
    "twofold_share",
    "fourfold_share",
    "friedel_asymmetry",
    "fringe_strength",
)
"""Names of the features, in the order of the columns."""

_FEWEST_IN_RING = 12
_FEWEST_MEAN = 0.02
_OUTER_SHARE = 0.9
_LAGS = 12
_SPECKLE_FLOOR = 0.3
_FRINGE_NEAR = 3


def pattern_features(frames: PhotonFrames, plane: PatternPlane) -> NDArray[np.float64]:
    """Return the features of each frame, float64 `(n_frames, n_features)`; those of an empty frame are NaN.

    The columns are those of `FEATURES`:

    - ``log10_photons``: decadic logarithm of the photons on usable pixels.
    - ``half_photon_radius_pixel``, ``outer_photon_radius_pixel``: radius within which half and 90 % of them lie.
    - ``profile_slope``: slope of log(mean count) against log(radius), weighted by the rings' photons.
    - ``ring_contrast``: how strongly the radial profile oscillates about its smoothed self (rms of the logarithm).
    - ``speckle_contrast``: variance over squared mean within rings, less the photon noise's 1/mean (see Hruszkewycz
      et al. 2012, doi:10.1103/PhysRevLett.109.185502, for the correction), averaged over rings by their photons.
    - ``speckle_width_pixel``, ``speckle_elongation``: root mean square half axes of the centre of the autocorrelation
      of (count / ring mean - 1): their geometric mean, and the ratio of the longer to the shorter.
    - ``twofold_share``, ``fourfold_share``: amplitudes of the second and the fourth angular harmonic over the photons,
      averaged over rings by their photons, less what photon noise gives.
    - ``friedel_asymmetry``: mean of (a - b)² / (a + b) over Friedel pairs that hold photons; 1 is photon noise alone.
    - ``fringe_strength``: highest peak of the power spectrum of (count / ring mean - 1), outside its centre, over the
      spectrum's mean: decadic logarithm.

    Parameters
    ----------
    frames : PhotonFrames
        Patterns on the plane's frame.
    plane : PatternPlane
        Rings and mates.

    Raises
    ------
    DataError
        If frames and plane differ in pixels.
    """
    if frames.n_pixels != len(plane.usable):
        raise DataError(f"frames of {frames.n_pixels} pixels for a plane of {len(plane.usable)}")
    found = np.full((frames.n_frames, len(FEATURES)), np.nan)
    for number in range(frames.n_frames):
        # Dense frames one at a time: a stack of them need not fit into memory.
        dense = frames.take(slice(number, number + 1)).to_dense()[0].astype(np.float64)
        if dense[plane.usable].sum() > 0:
            found[number] = _features_of(dense, plane)
    return found


def _features_of(dense: NDArray[np.float64], plane: PatternPlane) -> NDArray[np.float64]:
    used = plane.usable
    ring, counts, radius = plane.ring[used], dense[used], plane.radius[used]
    n_pixels = np.bincount(ring, minlength=plane.n_rings)
    photons = np.bincount(ring, counts, plane.n_rings).astype(np.float64)
    mean = np.divide(photons, n_pixels, out=np.zeros(plane.n_rings), where=n_pixels > 0)
    good = (n_pixels >= _FEWEST_IN_RING) & (mean >= _FEWEST_MEAN)
    weight = np.where(good, photons, 0.0)
    total = counts.sum()
    order = np.argsort(radius, kind="stable")
    share = np.cumsum(counts[order]) / total
    half, outer = (float(radius[order][np.searchsorted(share, part)]) for part in (0.5, _OUTER_SHARE))
    flat = np.zeros(len(dense))
    flat[used] = np.where(good[ring], counts / np.where(mean > 0, mean, 1.0)[ring] - 1, 0.0)
    weights = np.zeros(len(dense))
    # A ring's relative photon noise is 1/mean, so that dim rings would drown the others.
    weights[used] = np.where(good[ring], mean[ring] / (1 + mean[ring]), 0.0)
    slope, contrast = _profile(mean, good, photons)
    width, elongation, fringe = _speckle_shape(flat * weights, weights, plane.frame_shape)
    return np.array(
        [
            np.log10(total),
            half,
            outer,
            slope,
            contrast,
            _speckle_contrast(ring, counts, mean, n_pixels, weight),
            width,
            elongation,
            _harmonic(2, ring, counts, mean, plane.azimuth[used], weight),
            _harmonic(4, ring, counts, mean, plane.azimuth[used], weight),
            _friedel_asymmetry(dense, plane),
            fringe,
        ]
    )


def _average(values: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    total = weight.sum()
    return float((values * weight).sum() / total) if total > 0 else 0.0


def _profile(mean: NDArray[np.float64], good: NDArray[np.bool_], photons: NDArray[np.float64]) -> tuple[float, float]:
    """Return the slope of the double-logarithmic radial profile, and the rms of its logarithm about a parabola."""
    rings = np.flatnonzero(good)
    if len(rings) < 4:
        return 0.0, 0.0
    log_radius, log_mean = np.log(rings + 0.5), np.log(mean[rings])
    heavy = np.sqrt(photons[rings])
    slope = np.polynomial.polynomial.polyfit(log_radius, log_mean, 1, w=heavy)[1]
    smooth = np.polynomial.polynomial.polyfit(log_radius, log_mean, 2, w=heavy)
    away = log_mean - np.polynomial.polynomial.polyval(log_radius, smooth)
    return float(slope), float(np.sqrt(_average(away**2, photons[rings])))


def _speckle_contrast(
    ring: NDArray[np.int64],
    counts: NDArray[np.float64],
    mean: NDArray[np.float64],
    n_pixels: NDArray[np.int64],
    weight: NDArray[np.float64],
) -> float:
    squared = np.bincount(ring, (counts - mean[ring]) ** 2, len(mean))
    lit = weight > 0
    variance = squared[lit] / (n_pixels[lit] - 1)
    return _average((variance - mean[lit]) / mean[lit] ** 2, weight[lit])


def _harmonic(
    order: int,
    ring: NDArray[np.int64],
    counts: NDArray[np.float64],
    mean: NDArray[np.float64],
    azimuth: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> float:
    """Return the amplitude of an angular harmonic over the photons, of what rings hold beyond their mean.

    The mean is taken off first, so that masked parts of a uniform ring make no harmonic.
    """
    away = counts - mean[ring]
    real = np.bincount(ring, away * np.cos(order * azimuth), len(mean))
    imaginary = np.bincount(ring, away * np.sin(order * azimuth), len(mean))
    lit = weight > 0
    photons = weight[lit]
    # N photons at random azimuths give a squared amplitude of N in the mean.
    squared = (real[lit] ** 2 + imaginary[lit] ** 2 - photons) / photons**2
    return float(np.sqrt(max(_average(squared, photons), 0.0)))


def _friedel_asymmetry(dense: NDArray[np.float64], plane: PatternPlane) -> float:
    one, other = dense[plane.mates[:, 0]], dense[plane.mates[:, 1]]
    both = one + other
    lit = both > 0
    return float(np.mean((one - other)[lit] ** 2 / both[lit])) if lit.any() else 1.0


def _speckle_shape(
    values: NDArray[np.float64], weights: NDArray[np.float64], frame_shape: tuple[int, int]
) -> tuple[float, float, float]:
    """Return width and elongation of the autocorrelation's centre, and the logarithm of the strongest fringe.

    The sums over pairs of pixels are divided by those of the weights, so that masked pixels do not enter.
    """
    padded = (2 * frame_shape[0], 2 * frame_shape[1])
    power = np.abs(np.fft.fft2(values.reshape(frame_shape), padded)) ** 2
    support = np.abs(np.fft.fft2(weights.reshape(frame_shape), padded)) ** 2
    pairs = np.fft.ifft2(support).real
    correlation = np.fft.ifft2(power).real
    lag = np.r_[-_LAGS : _LAGS + 1]
    place = np.ix_(lag, lag)
    near = np.divide(correlation[place], pairs[place], out=np.zeros(pairs[place].shape), where=pairs[place] > 1e-9)
    slow, fast = np.meshgrid(lag, lag, indexing="ij")
    # Photon noise is in lag 0 only; its neighbours stand for it.
    near[_LAGS, _LAGS] = np.mean([near[_LAGS + 1, _LAGS], near[_LAGS, _LAGS + 1]])
    centre = np.where(np.hypot(slow, fast) <= _LAGS, np.maximum(near - _SPECKLE_FLOOR * near[_LAGS, _LAGS], 0.0), 0.0)
    mass = centre.sum()
    if not mass > 0:
        return 0.0, 1.0, 0.0
    cross = float((centre * slow * fast).sum())
    tensor = np.array([[float((centre * slow**2).sum()), cross], [cross, float((centre * fast**2).sum())]]) / mass
    short, long = np.sqrt(np.maximum(np.linalg.eigvalsh(tensor), 1e-3))
    rows, columns = np.ogrid[: power.shape[0], : power.shape[1]]
    frequency = np.hypot(np.minimum(rows, padded[0] - rows), np.minimum(columns, padded[1] - columns))
    spread = power[frequency > _FRINGE_NEAR]
    return float(np.sqrt(short * long)), float(long / short), float(np.log10(spread.max() / spread.mean()))
