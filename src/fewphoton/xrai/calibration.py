"""What a sample of the frames tells before training: scale, whitening of pixels, weights of rings, radial mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.data.pattern_source import PatternSource
from fewphoton.errors import DataError

N_RINGS = 16
_PAPER_TOTAL = 20_000.0
_PAPER_PIXELS = 128 * 128
_FLATTEST = 1e-3
_ANSCOMBE = 0.375
_SAME = 1e-6


@dataclass(frozen=True, eq=False)
class Calibration:
    """Statistics over a sample of frames; all of them on usable pixels.

    Parameters
    ----------
    scale : float
        Factor of intensities before anything else, 1 for photon counts. Noise-free frames are scaled as the paper
        says: the faintest of the sample has 20,000 photons on 128 x 128 pixels, or as many for each pixel.
    offset : float
        Added to intensities before the square root: 3/8 for counts, whose variance it evens out (Anscombe 1948,
        doi:10.1093/biomet/35.3-4.246), else 0.
    mean_total : float
        Mean of the scaled frames' totals.
    amplitude_mean, amplitude_deviation : ndarray of float32, `(n_pixels,)`
        Over frames, of the square root of scaled intensity over response.
    ring_weight : ndarray of float32, `(n_pixels,)`
        Inverse standard deviation of the amplitudes in a pixel's ring of q, mean 1.
    radius_inv_angstrom, log_intensity : ndarray of float32, `(n_rings,)`
        Radial course of the logarithm of the mean intensity; rings that hold pixels.
    """

    scale: float
    offset: float
    mean_total: float
    amplitude_mean: NDArray[np.float32]
    amplitude_deviation: NDArray[np.float32]
    ring_weight: NDArray[np.float32]
    radius_inv_angstrom: NDArray[np.float32]
    log_intensity: NDArray[np.float32]

    @classmethod
    def of_frames(cls, source: PatternSource, number: NDArray[np.int64], *, counts: bool) -> Calibration:
        """Measure on the frames of these numbers.

        Raises
        ------
        DataError
            If no frame of the sample holds any photon, or all frames are the same.
        """
        patterns = source.patterns(number).astype(np.float64)
        totals = patterns.sum(axis=1)
        lit = patterns[totals > 0]
        if len(lit) == 0:
            raise DataError(f"none of the {len(number)} frames looked at holds a photon; there is nothing to train on")
        wanted = _PAPER_TOTAL * patterns.shape[1] / _PAPER_PIXELS
        scale = 1.0 if counts else wanted / float(totals[totals > 0].min())
        offset = _ANSCOMBE if counts else 0.0
        intensity = scale * lit / source.response
        amplitude = np.sqrt(intensity + offset)
        deviation = amplitude.std(axis=0)
        # Equal numbers have a deviation of rounding.
        if not deviation.max() > _SAME * amplitude.max():
            raise DataError(f"all {len(lit)} frames looked at are the same; orientations cannot be told from them")
        q = np.linalg.norm(source.q_per_angstrom, axis=1)
        ring = np.minimum((q / q.max() * N_RINGS).astype(np.int64), N_RINGS - 1)
        pixels = np.bincount(ring, minlength=N_RINGS)
        held = pixels > 0
        variance = np.bincount(ring, amplitude.var(axis=0), N_RINGS) / np.maximum(pixels, 1)
        weight = 1 / np.sqrt(np.maximum(variance, _FLATTEST * variance.max()))[ring]
        mean = np.bincount(ring, intensity.mean(axis=0), N_RINGS)[held] / pixels[held]
        radius = np.bincount(ring, q, N_RINGS)[held] / pixels[held]
        return cls(
            scale,
            offset,
            float(scale * totals[totals > 0].mean()),
            amplitude.mean(axis=0).astype(np.float32),
            (deviation + _FLATTEST * deviation.mean()).astype(np.float32),
            (weight / weight.mean()).astype(np.float32),
            radius.astype(np.float32),
            np.log(np.maximum(mean, _FLATTEST * mean.max() * 1e-3)).astype(np.float32),
        )
