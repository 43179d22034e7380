"""The plane of a flat detector about the beam: radius, azimuth and Friedel mate of each pixel, in pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Beam, Detector
from fewphoton.errors import GeometryError

_SQUARE = 1e-3
_ACROSS = 0.999
_SAME_RADIUS = 1e-6


@dataclass(frozen=True, eq=False)
class PatternPlane:
    """Where the pixels of a frame lie about the beam.

    At the small angles of single particles the Ewald sphere is nearly flat, so that a pattern is nearly symmetric
    about the beam.

    Parameters
    ----------
    frame_shape : tuple of int
        `(n_slow, n_fast)`.
    centre : tuple of float
        Where the beam meets the frame: pixel indices along slow and fast.
    usable : ndarray of bool, `(n_pixels,)`
        Pixels that are not masked.
    radius, azimuth : ndarray of float64, `(n_pixels,)`
        Distance from the centre in pixels, and angle from the slow towards the fast axis in radians.
    ring : ndarray of int64, `(n_pixels,)`
        Number of the ring of the given width that holds the pixel; -1 where it is not usable.
    mates : ndarray of int64, `(n_pairs, 2)`
        Usable pixels and the usable pixels nearest to their images through the centre, each pair once.
    """

    frame_shape: tuple[int, int]
    centre: tuple[float, float]
    usable: NDArray[np.bool_]
    radius: NDArray[np.float64]
    azimuth: NDArray[np.float64]
    ring: NDArray[np.int64]
    mates: NDArray[np.int64]

    @property
    def n_rings(self) -> int:
        """Rings, empty ones among them."""
        return int(self.ring.max()) + 1


def beam_centre(detector: Detector, beam: Beam) -> tuple[float, float]:
    """Return the pixel indices (slow, fast) at which the beam meets the panel; whole numbers are pixel centres.

    Raises
    ------
    GeometryError
        If the detector has several panels, its pixels are not square, or it does not stand across the beam.
    """
    if len(detector.panels) != 1:
        raise GeometryError(
            f"features of patterns need a detector of one panel, found {len(detector.panels)}; assemble frames first"
        )
    panel = detector.panels[0]
    slow, fast = np.linalg.norm(panel.slow_step_m), np.linalg.norm(panel.fast_step_m)
    skew = abs(panel.slow_step_m @ panel.fast_step_m) / (slow * fast)
    if abs(slow / fast - 1) > _SQUARE or skew > _SQUARE:
        raise GeometryError(f"features of patterns need square pixels, found {slow:g} by {fast:g} m")
    if abs(panel.normal @ beam.direction) < _ACROSS:
        raise GeometryError("features of patterns need a detector that stands across the beam")
    distance = (panel.corner_m @ panel.normal) / (beam.direction @ panel.normal)
    inside = distance * beam.direction - panel.corner_m
    place = (inside @ panel.slow_step_m / slow**2 - 0.5, inside @ panel.fast_step_m / fast**2 - 0.5)
    return float(place[0] + panel.slow_start), float(place[1] + panel.fast_start)


def pattern_plane(detector: Detector, beam: Beam, ring_width: float = 2.0) -> PatternPlane:
    """Lay rings about the beam and pair the pixels through it.

    Parameters
    ----------
    detector : Detector
        One panel of square pixels across the beam; its masked pixels are not usable.
    beam : Beam
        Direction.
    ring_width : float
        Width of a ring in pixels.

    Raises
    ------
    GeometryError
        If the detector is of another kind, or no pixel is usable.
    """
    centre = beam_centre(detector, beam)
    usable = ~detector.masked
    if not usable.any():
        raise GeometryError("every pixel of the detector is masked")
    n_slow, n_fast = detector.frame_shape
    slow, fast = (axis.ravel() for axis in np.mgrid[:n_slow, :n_fast])
    away_slow, away_fast = slow - centre[0], fast - centre[1]
    radius = np.hypot(away_slow, away_fast)
    # Rounding of the geometry must not part pixels at the same radius.
    ring = np.where(usable, (radius / ring_width + _SAME_RADIUS).astype(np.int64), -1)
    # Halves are rounded up at one of the mates and down at the other, so that each is the other's mate.
    sum_slow, sum_fast = (int(np.floor(2 * value + 0.5)) for value in centre)
    mate_slow, mate_fast = sum_slow - slow, sum_fast - fast
    inside = (mate_slow >= 0) & (mate_slow < n_slow) & (mate_fast >= 0) & (mate_fast < n_fast)
    pixel = np.flatnonzero(inside & usable)
    mate = mate_slow[pixel] * n_fast + mate_fast[pixel]
    once = usable[mate] & (pixel < mate)
    mates = np.stack([pixel[once], mate[once]], axis=1)
    return PatternPlane((n_slow, n_fast), centre, usable, radius, np.arctan2(away_fast, away_slow), ring, mates)
