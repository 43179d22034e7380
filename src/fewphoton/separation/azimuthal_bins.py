"""Rings about the beam from a detector's geometry, and the normalization of equation 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import AzimuthalBins, Beam, Detector
from fewphoton.data.azimuthal_bins import RadialUnit
from fewphoton.data.detector import polarization_factors, q_vectors
from fewphoton.errors import DataError, GeometryError

_RING_END = 1 + np.finfo(np.float32).eps
"""The last ring reaches a little beyond the outermost pixel, which would otherwise fall out of its half-open range."""


def radius_of_pixels(detector: Detector, beam: Beam, unit: RadialUnit) -> NDArray[np.float64]:
    """Return the radius of every pixel's centre, float64 `(n_pixels,)`; NaN in gaps."""
    if unit == "q_inv_angstrom":
        return np.asarray(np.linalg.norm(q_vectors(detector, beam), axis=1))
    centres = detector.pixel_centres_m()
    across = centres - (centres @ beam.direction)[:, None] * beam.direction
    return np.asarray(np.linalg.norm(across, axis=1))


def normalization(
    detector: Detector,
    beam: Beam,
    *,
    solid_angle: bool = False,
    polarization: bool = False,
    flat: NDArray[np.floating] | None = None,
) -> NDArray[np.float32] | None:
    """Return the denominator of equation 1 without the absorption term, float32 `(n_pixels,)`; None where all are 1.

    Parameters
    ----------
    detector, beam
        Geometry.
    solid_angle : bool
        Divide by the solid angle, relative to that of a pixel of the same panel that the beam meets head-on.
    polarization : bool
        Divide by the polarization factor.
    flat : ndarray, `(n_pixels,)`, optional
        Response of each pixel (or any weight of its own).
    """
    if flat is None and not solid_angle and not polarization:
        return None
    factor = np.ones(detector.n_pixels)
    if flat is not None:
        if flat.shape != (detector.n_pixels,):
            raise DataError(f"flat field: expected shape {(detector.n_pixels,)}, found {flat.shape}")
        factor *= flat
    if solid_angle:
        number = detector.panel_numbers()
        distance = np.array([abs(float(panel.corner_m @ panel.normal)) for panel in detector.panels])
        area = np.array([panel.pixel_area_m2 for panel in detector.panels])
        factor *= detector.solid_angles_sr() * np.where(number >= 0, (distance**2 / area)[number], 1.0)
    if polarization:
        factor *= polarization_factors(detector, beam)
    return factor.astype(np.float32)


def azimuthal_bins(
    detector: Detector,
    beam: Beam,
    n_bins: int,
    unit: RadialUnit = "r_m",
    radial_range: tuple[float, float] | None = None,
    norm: NDArray[np.float32] | None = None,
) -> AzimuthalBins:
    """Divide a detector into rings.

    Parameters
    ----------
    detector, beam
        Geometry; masked pixels lie in no ring.
    n_bins : int
        Number of rings.
    unit : str
        ``r_m`` or ``q_inv_angstrom``.
    radial_range : tuple of float, optional
        Range that the rings divide; pixels outside lie in none. None: that of the unmasked pixels.
    norm : ndarray of float32, `(n_pixels,)`, optional
        From :func:`normalization`; pixels without a positive value lie in no ring.

    Raises
    ------
    GeometryError
        If every pixel is masked or outside the range, or all have the same radius.
    """
    radius = radius_of_pixels(detector, beam, unit)
    usable = ~detector.masked & np.isfinite(radius)
    if norm is not None:
        usable &= np.isfinite(norm) & (norm > 0)
    if not usable.any():
        raise GeometryError("no background can be found: every pixel is masked")
    low, high = radial_range or (float(radius[usable].min()), float(radius[usable].max()))
    if not high > low:
        raise GeometryError(f"rings need a range of radii, found {low} to {high} {unit}")
    edges = np.linspace(low, high * float(_RING_END), n_bins + 1)
    inside = usable & (radius >= edges[0]) & (radius < edges[-1])
    if not inside.any():
        raise GeometryError(
            f"no usable pixel lies between {low:.6g} and {high:.6g} {unit}; the pixels reach from "
            f"{radius[usable].min():.6g} to {radius[usable].max():.6g}"
        )
    with np.errstate(invalid="ignore"):
        ring = np.floor((radius - edges[0]) * (n_bins / (edges[-1] - edges[0])))
    bins = np.where(inside, np.clip(np.where(inside, ring, 0), 0, n_bins - 1), n_bins).astype(np.uint16)
    return AzimuthalBins(
        detector.frame_shape,
        unit,
        edges.astype(np.float64),
        np.where(inside, radius, np.nan).astype(np.float32),
        bins,
        norm,
    )
