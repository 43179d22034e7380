"""Summing predicted spots over frames, and their intensities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.errors import DataError
from fewphoton.evaluate.predict_spots import without_overlaps
from fewphoton.evaluate.spot_geometry import PredictedSpots
from fewphoton.kernels import spot_sums
from fewphoton.kernels.spot_sums import add_spot_sums, mark_discs


@dataclass(frozen=True)
class Apertures:
    """Disc in which a spot is summed, and ring about it for its background (radii in pixels)."""

    disc_radius_px: float
    ring_inner_px: float
    ring_outer_px: float

    @property
    def fewest_ring_pixels(self) -> float:
        """Half of the ring's area: with fewer usable pixels a background is not taken."""
        return 0.5 * np.pi * (self.ring_outer_px**2 - self.ring_inner_px**2)


class SpotIntegrator:
    """Sums predicted spots over frames that come in order.

    Which spots are integrated follows from positions and mask alone: those whose images were all taken, whose disc
    touches no masked pixel and no other disc, and whose ring is at least half usable.

    Parameters
    ----------
    spots : PredictedSpots
        All predicted spots, ``image`` counted over the whole series of frames.
    half_width_images : ndarray of float64, `(n,)`
        A spot lasts from ``image - half_width`` to ``image + half_width``.
    complete : ndarray of bool, `(n,)`
        All images of the spot were taken.
    usable : ndarray of bool, `(n_slow, n_fast)`
        False where a pixel is masked.
    apertures : Apertures
        Disc and ring.
    """

    def __init__(
        self,
        spots: PredictedSpots,
        half_width_images: NDArray[np.float64],
        complete: NDArray[np.bool_],
        usable: NDArray[np.bool_],
        apertures: Apertures,
    ) -> None:
        self._all, self._usable, self._apertures = spots, np.ascontiguousarray(usable), apertures
        self._depth = np.zeros(usable.shape, dtype=np.uint16)
        alone = without_overlaps(spots, half_width_images, 2 * apertures.disc_radius_px)
        clear = self._clear_of_mask(spots)
        self.chosen = np.flatnonzero(complete & alone & clear)
        self._first = np.floor(spots.image - half_width_images).astype(np.int64)
        self._last = np.ceil(spots.image + half_width_images).astype(np.int64) - 1
        self._order = np.argsort(self._first, kind="stable")
        self._longest = int((self._last - self._first).max(initial=0)) + 1
        self._row = np.full(len(spots), -1, dtype=np.int64)
        self._row[self.chosen] = np.arange(len(self.chosen))
        self._seen = np.zeros(len(self.chosen), dtype=np.int64)
        self.sums = np.zeros((len(self.chosen), spot_sums.N_SUMS))
        self.n_complete, self.n_overlapping = int(complete.sum()), int((complete & ~alone).sum())
        self.n_on_mask = int((complete & alone & ~clear).sum())

    @property
    def spots(self) -> PredictedSpots:
        """The spots that are integrated, one a row of ``sums``."""
        return self._all.take(self.chosen)

    def _clear_of_mask(self, spots: PredictedSpots) -> NDArray[np.bool_]:
        trial = np.zeros((len(spots), spot_sums.N_SUMS))
        self._add(np.zeros(self._usable.shape, dtype=np.uint8), 0, 255, spots, np.arange(len(spots)), trial)
        enough = trial[:, spot_sums.RING_PIXELS] >= self._apertures.fewest_ring_pixels
        return np.asarray((trial[:, spot_sums.DISC_LOST] == 0) & enough)

    def _add(
        self,
        frame: NDArray[np.generic],
        smallest: float,
        largest: float,
        spots: PredictedSpots,
        rows: NDArray[np.int64],
        sums: NDArray[np.float64],
    ) -> None:
        radii = self._apertures
        add_spot_sums(
            np.ascontiguousarray(frame),
            self._usable,
            frame.dtype.type(smallest),
            frame.dtype.type(largest),
            spots.slow_px,
            spots.fast_px,
            rows,
            radii.disc_radius_px,
            radii.ring_inner_px,
            radii.ring_outer_px,
            self._depth,
            sums,
        )

    def add_frame(self, number: int, frame: NDArray[np.generic], smallest_valid: float, largest_valid: float) -> None:
        """Add frame ``number`` of the series, `(n_slow, n_fast)`; values outside the two limits are no counts.

        Raises
        ------
        DataError
            If the frame's shape differs from the mask's.
        """
        if frame.shape != self._usable.shape:
            raise DataError(f"frame {number}: expected shape {self._usable.shape}, found {frame.shape}")
        starts = self._first[self._order]
        low, high = np.searchsorted(starts, [number - self._longest, number + 1])
        active = self._order[low:high]
        active = active[self._last[active] >= number]
        wanted = active[self._row[active] >= 0]
        if not len(wanted):
            return
        every, chosen = self._all.take(active), self._all.take(wanted)
        radius = self._apertures.disc_radius_px
        mark_discs(every.slow_px, every.fast_px, radius, 1, self._depth)
        self._add(frame, smallest_valid, largest_valid, chosen, self._row[wanted], self.sums)
        mark_discs(every.slow_px, every.fast_px, radius, -1, self._depth)
        self._seen[self._row[wanted]] += 1

    def finish(self, counts_per_photon: float = 1.0) -> SpotIntensities:
        """Turn the sums into intensities.

        Raises
        ------
        DataError
            If frames of some spots were never added.
        """
        expected = (self._last - self._first + 1)[self.chosen]
        if (self._seen != expected).any():
            raise DataError(
                f"{int((self._seen != expected).sum())} of {len(expected)} spots lack frames that were promised; "
                "give all frames of the runs"
            )
        return intensities(self.spots, self.sums, counts_per_photon)


@dataclass(frozen=True, eq=False)
class SpotIntensities:
    """One row an integrated spot.

    Parameters
    ----------
    spots : PredictedSpots
        Where.
    intensity, sigma : ndarray of float64, `(n,)`
        Background-subtracted counts and standard deviation, both divided by Lorentz factor, polarization factor and the
        absorbed share; NaN where a pixel of the disc held no valid value in some frame.
    i_over_sigma : ndarray of float64, `(n,)`
        Their ratio.
    background_per_pixel : ndarray of float64, `(n,)`
        Mean counts of a ring pixel in one frame.
    centroid_px : ndarray of float64, `(n, 2)`
        Centroid of the disc's counts above background less the predicted position, (slow, fast).
    brightest_px : ndarray of float64, `(n, 2)`
        Brightest single pixel less the predicted position, (slow, fast).
    """

    spots: PredictedSpots
    intensity: NDArray[np.float64]
    sigma: NDArray[np.float64]
    i_over_sigma: NDArray[np.float64]
    background_per_pixel: NDArray[np.float64]
    centroid_px: NDArray[np.float64]
    brightest_px: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.spots)


def intensities(spots: PredictedSpots, sums: NDArray[np.float64], counts_per_photon: float = 1.0) -> SpotIntensities:
    """Subtract the background and estimate the error by counting statistics.

    With D counts on n disc pixels and B on m ring pixels, I = D - (n/m) B and, for c counts a photon,
    sigma² = c (max(D, c) + (n/m)² max(B, c)). The floor of one photon keeps empty spots from being known exactly.

    Parameters
    ----------
    spots : PredictedSpots
        One row a spot.
    sums : ndarray of float64, `(n, 12)`
        From :func:`fewphoton.kernels.spot_sums.add_spot_sums`.
    counts_per_photon : float
        c above.
    """
    disc, counts = sums[:, spot_sums.DISC_PIXELS], sums[:, spot_sums.DISC_COUNTS]
    ring, ring_counts = sums[:, spot_sums.RING_PIXELS], sums[:, spot_sums.RING_COUNTS]
    whole = (sums[:, spot_sums.DISC_LOST] == 0) & (ring > 0) & (disc > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio, level = disc / ring, ring_counts / ring
        signal = np.where(whole, counts - ratio * ring_counts, np.nan)
        variance = np.maximum(counts, counts_per_photon) + ratio**2 * np.maximum(ring_counts, counts_per_photon)
        sigma = np.where(whole, np.sqrt(counts_per_photon * variance), np.nan)
        moment = sums[:, [spot_sums.MOMENT_SLOW, spot_sums.MOMENT_FAST]]
        flat = sums[:, [spot_sums.OFFSET_SLOW, spot_sums.OFFSET_FAST]]
        centroid = (moment - level[:, None] * flat) / signal[:, None]
    factor = spots.lorentz * spots.polarization * spots.absorbed
    return SpotIntensities(
        spots,
        signal / factor,
        sigma / factor,
        signal / sigma,
        level,
        centroid,
        sums[:, [spot_sums.BRIGHTEST_SLOW, spot_sums.BRIGHTEST_FAST]],
    )
