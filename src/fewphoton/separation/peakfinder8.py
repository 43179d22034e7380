"""Bragg peaks by peakfinder8: pixels far above their ring, joined to groups, measured against a local background.

Barty et al. 2014, J. Appl. Cryst. 47, 1118-1131, doi:10.1107/S1600576714007626. Rings are one pixel wide. The mean and
standard deviation of each are found in five rounds, each over the values within ``min_snr`` standard deviations of the
mean of the round before. Pixels above mean plus ``min_snr`` deviations, and above the global threshold, that touch by
edge or corner within one panel make a group; groups of fitting size that stand out of their surroundings are peaks.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fewphoton.config.peakfinder8 import Peakfinder8Config
from fewphoton.data import Beam, Detector
from fewphoton.data.arrays import frozen_array
from fewphoton.errors import DataError, GeometryError
from fewphoton.kernels.peakfinder8 import arrange_by_ring, clip_rings, find_hot_pixels, gather_pixels, measure_peaks

CLIPPING_ITERATIONS = 5
FAST_PIXELS_PER_RING = 100


@dataclass(frozen=True, eq=False)
class Peaks:
    """The peaks of one frame, ordered by the (slow, fast) of the first pixel of each that lies inside its panel.

    Parameters
    ----------
    slow_px, fast_px : ndarray of float32, `(n_peaks,)`
        Centroid, weighted with the values as they are, in pixels from the centre of the frame's first pixel.
    intensity : ndarray of float32, `(n_peaks,)`
        Sum of the values less the local background.
    sigma : ndarray of float32, `(n_peaks,)`
        Standard deviation of the local background, of one pixel.
    n_pixels : ndarray of int32, `(n_peaks,)`
        Pixels of the peak.
    maximum : ndarray of float32, `(n_peaks,)`
        Largest value less the local background.
    snr : ndarray of float32, `(n_peaks,)`
        ``intensity / sigma``; infinite where the background does not vary at all.
    """

    slow_px: NDArray[np.float32]
    fast_px: NDArray[np.float32]
    intensity: NDArray[np.float32]
    sigma: NDArray[np.float32]
    n_pixels: NDArray[np.int32]
    maximum: NDArray[np.float32]
    snr: NDArray[np.float32]

    def __post_init__(self) -> None:
        for column in fields(self):
            dtype = np.int32 if column.name == "n_pixels" else np.float32
            values = frozen_array(f"peaks: {column.name}", getattr(self, column.name), dtype, (len(self.slow_px),))
            object.__setattr__(self, column.name, values)

    def __len__(self) -> int:
        return len(self.slow_px)

    @property
    def intensity_sigma(self) -> NDArray[np.float32]:
        """Standard deviation that the background gives to ``intensity``: ``sigma`` times the root of ``n_pixels``."""
        return np.asarray(self.sigma * np.sqrt(self.n_pixels), dtype=np.float32)


class Peakfinder8:
    """A peak finder for frames of one geometry.

    Holds no state of a frame: one finder may serve several threads.

    Parameters
    ----------
    radius_px : ndarray of float32, `(n_pixels,)`
        Distance of each pixel from the beam in pixels, see :func:`radius_from_beam_px`. Pixels without a finite one
        are out of use.
    usable : ndarray of bool, `(n_pixels,)`
        Pixels that may be used.
    panel_numbers : ndarray of int32, `(n_pixels,)`
        Panel of each pixel, -1 in gaps. No peak reaches over a panel's border, and none lies on border pixels alone.
    frame_shape : tuple of int
        `(n_slow, n_fast)`.
    config : Peakfinder8Config
        Thresholds.

    Raises
    ------
    DataError
        If the frame has no pixels, the arrays do not fit to it, or a radius is negative.
    """

    def __init__(
        self,
        radius_px: ArrayLike,
        usable: ArrayLike,
        panel_numbers: ArrayLike,
        frame_shape: tuple[int, int],
        config: Peakfinder8Config,
    ) -> None:
        self.frame_shape = (int(frame_shape[0]), int(frame_shape[1]))
        if min(self.frame_shape) < 1:
            raise DataError(f"peakfinder8: expected frames of at least one pixel, found shape {self.frame_shape}")
        self.config = config
        n_pixels = self.frame_shape[0] * self.frame_shape[1]
        radius = frozen_array("peakfinder8: radius_px", radius_px, np.float32, (n_pixels,))
        self._panel = frozen_array("peakfinder8: panel_numbers", panel_numbers, np.int32, (n_pixels,))
        used = frozen_array("peakfinder8: usable", usable, np.bool_, (n_pixels,)) & (self._panel >= 0)
        used &= np.isfinite(radius)
        if (radius[used] < 0).any():
            raise DataError(f"peakfinder8: radius_px must not be negative, found {radius[used].min()}")
        if config.min_radius_px is not None:
            used &= radius >= config.min_radius_px
        if config.max_radius_px is not None:
            used &= radius <= config.max_radius_px

        _, ring, n_in_ring = np.unique(np.rint(radius[used]), return_inverse=True, return_counts=True)
        n_rings = len(n_in_ring)
        numbers = np.full(n_pixels, n_rings, dtype=np.uint16 if n_rings < 2**16 else np.uint32)
        numbers[used] = ring
        self._ring = numbers
        self._slot: NDArray[np.int32] | None = None
        pixel = np.flatnonzero(used)[np.argsort(ring, kind="stable")].astype(np.int32)
        if config.fast:
            self._sample, n_in_ring = _spread_sample(pixel, n_in_ring, FAST_PIXELS_PER_RING)
        else:
            self._slot = np.full(n_pixels, -1, dtype=np.int32)
            self._slot[pixel] = np.arange(len(pixel), dtype=np.int32)
        self._ring_start = np.concatenate([[0], np.cumsum(n_in_ring)]).astype(np.int64)

    def find(self, frame: ArrayLike) -> Peaks:
        """Return the peaks of ``frame`` `(n_slow, n_fast)`, integers or floats.

        NaN and infinite pixels are out of use in this frame. Every peak is returned, however many there are.

        Raises
        ------
        DataError
            If the frame has another shape or holds no real numbers.
        """
        values = self._flat(frame)
        mean, deviation, upper = self._ring_statistics(values)
        hot = _hot_pixels(values, self._ring, upper)
        limits = self.config
        measured = np.empty((len(hot) // limits.min_pixels, 6), dtype=np.float64)
        n_peaks = measure_peaks(
            values,
            self.frame_shape[1],
            self._ring,
            self._panel,
            mean,
            deviation,
            upper,
            hot,
            limits.min_snr,
            limits.min_pixels,
            limits.max_pixels,
            2 * limits.local_background_radius_px,
            measured,
        )
        slow, fast, intensity, n_pixels, maximum, sigma = measured[:n_peaks].T
        snr = np.divide(intensity, sigma, out=np.full(n_peaks, np.inf), where=sigma > 0)
        return Peaks(slow, fast, intensity, sigma, n_pixels.astype(np.int32), maximum, snr)

    def _flat(self, frame: ArrayLike) -> NDArray[Any]:
        values = np.asarray(frame)
        if values.shape != self.frame_shape:
            raise DataError(f"peakfinder8: expected a frame of shape {self.frame_shape}, found {values.shape}")
        if values.dtype.kind not in "biuf":
            raise DataError(f"peakfinder8: expected a frame of real numbers, found {values.dtype}")
        plain = values.dtype.newbyteorder("=")
        if plain.kind == "b":
            plain = np.dtype(np.uint8)
        elif plain.kind == "f":
            plain = np.dtype(np.float32 if plain.itemsize <= 4 else np.float64)
        return np.ascontiguousarray(values, dtype=plain).ravel()

    def _ring_statistics(
        self, values: NDArray[Any]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        arranged = np.empty(self._ring_start[-1], dtype=values.dtype)
        if self._slot is None:
            gather_pixels(values, self._sample, arranged)
        else:
            arrange_by_ring(values, self._slot, arranged)
        mean, deviation, upper = np.empty((3, len(self._ring_start)))
        clip_rings(
            arranged,
            self._ring_start,
            self.config.threshold,
            self.config.min_snr,
            CLIPPING_ITERATIONS,
            mean,
            deviation,
            upper,
        )
        return mean, deviation, upper


def radius_from_beam_px(detector: Detector, beam: Beam) -> NDArray[np.float32]:
    """Distance of each pixel from the beam on a flat detector across it, float32 `(n_pixels,)`, in pixels.

    That is tan(2θ) times the mean distance of the pixels along the beam, over the mean edge length of a pixel. A panel
    that is tilted, or stands elsewhere, gets rings of equal scattering angle all the same. NaN in gaps and for pixels
    at 90° and beyond, which such a detector would not see.

    Raises
    ------
    GeometryError
        If no pixel scatters forward.
    """
    centres = detector.pixel_centres_m()
    along = centres @ beam.direction
    forward = along > 0
    if not forward.any():
        raise GeometryError("no pixel of the detector scatters forward, so none has a distance from the beam")
    sizes = np.sqrt([panel.pixel_area_m2 for panel in detector.panels])
    pixel_m = np.average(sizes, weights=[panel.n_slow * panel.n_fast for panel in detector.panels])
    across = np.linalg.norm(centres[forward] - along[forward, None] * beam.direction, axis=1)
    radius = np.full(detector.n_pixels, np.nan, dtype=np.float32)
    radius[forward] = across / along[forward] * (along[forward].mean() / pixel_m)
    return radius


def _spread_sample(
    pixel: NDArray[np.int32], n_in_ring: NDArray[np.int64], most: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return at most ``most`` pixels of every ring, evenly spread over its list, and how many each ring gave."""
    n_sampled = np.minimum(n_in_ring, most)
    ring_of_sample = np.repeat(np.arange(len(n_in_ring)), n_sampled)
    first = np.cumsum(n_in_ring) - n_in_ring
    first_sample = np.cumsum(n_sampled) - n_sampled
    step = np.arange(len(ring_of_sample)) - first_sample[ring_of_sample]
    chosen = first[ring_of_sample] + step * n_in_ring[ring_of_sample] // n_sampled[ring_of_sample]
    return pixel[chosen], n_sampled


def _hot_pixels(values: NDArray[Any], ring: NDArray[Any], upper: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return the finite pixels above their ring's threshold, increasing."""
    dtype = values.dtype
    # The largest number of the frame's own type that is not above the threshold serves as well, and faster.
    if dtype.kind == "f":
        largest: Any = np.finfo(dtype).max
        with np.errstate(over="ignore"):
            limit = upper.astype(dtype)
        limit = np.where(limit > upper, np.nextafter(limit, dtype.type(-np.inf)), limit)
    else:
        largest = np.iinfo(dtype).max
        # Thresholds beyond the type's range must not pass through a conversion that cannot hold them.
        beyond = upper >= float(largest)
        limit = np.where(beyond, 0, np.floor(upper)).astype(dtype)
        limit[beyond] = largest
    hot = np.empty(len(values), dtype=np.int32)
    n_hot = find_hot_pixels(values, ring, limit, limit.min(), dtype.type(largest), hot)
    return hot[:n_hot].copy()
