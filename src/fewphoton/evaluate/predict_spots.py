"""Where and when reflections of a known lattice meet the detector.

A lattice point g = R(omega) UB h reflects where it lies on the Ewald sphere, |s0 + g| = 1/wavelength. In a rotation
that is a quadratic equation in the angle (two crossings for most points); in a still, points within a given distance
of the sphere are taken. Kabsch's factor zeta = m · (s1 × s0) / |s1 × s0|, the component of the rotation axis m
along the normal of the plane of reflection, tells how fast a point passes (Kabsch 2010, Acta Cryst. D66, 133-144,
doi:10.1107/S0907444909047374).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from fewphoton.data import Beam, Crystal, Detector
from fewphoton.data.arrays import frozen_array
from fewphoton.data.orientations import rotation_about_axis
from fewphoton.errors import GeometryError

_ROUNDS = 20
_CONVERGED_DEG = 1e-7
_BLOCK_DEG = 2.0
_SEARCH_MARGIN_DEG = 2.0
"""A crystal that slips is searched in blocks of this rotation, each from the UB in its middle; crossings this far
outside a block are followed too, as the true UB may bring them in."""


class Geometry(Protocol):
    """Detector with its sensor, and beam."""

    @property
    def detector(self) -> Detector:
        """Panels and mask."""

    @property
    def beam(self) -> Beam:
        """Wavelength and direction."""

    @property
    def sensor_thickness_m(self) -> NDArray[np.float64]:
        """Thickness of each panel's sensor, `(n_panels,)`; 0: photons are taken where they enter."""

    @property
    def attenuation_inv_m(self) -> NDArray[np.float64]:
        """Attenuation coefficient of each panel's sensor, `(n_panels,)`."""


@dataclass(frozen=True, eq=False)
class SurfaceGeometry:
    """Detector that counts photons where they enter, and beam."""

    detector: Detector
    beam: Beam

    @property
    def sensor_thickness_m(self) -> NDArray[np.float64]:
        """Zero for every panel."""
        return np.zeros(len(self.detector.panels))

    @property
    def attenuation_inv_m(self) -> NDArray[np.float64]:
        """Zero for every panel: the sensor plays no part."""
        return np.zeros(len(self.detector.panels))


class RotationScan(Geometry, Protocol):
    """A crystal turned about one axis in front of a detector."""

    @property
    def crystal(self) -> Crystal:
        """Cell and centring."""

    @property
    def ub_inv_angstrom(self) -> NDArray[np.float64]:
        """UB at angle 0, `(1, 3, 3)`, or at each edge of the images, `(n_images + 1, 3, 3)`."""

    @property
    def rotation_axis(self) -> NDArray[np.float64] | None:
        """Unit axis; None for a still."""

    @property
    def n_images(self) -> int:
        """Images of the scan."""

    @property
    def omega_start_deg(self) -> float:
        """Angle where the first image begins."""

    @property
    def omega_step_deg(self) -> float:
        """Rotation in one image."""


@dataclass(frozen=True, eq=False)
class PredictedSpots:
    """One row a crossing of the Ewald sphere that falls on a panel.

    Parameters
    ----------
    hkl : ndarray of int32, `(n, 3)`
        Miller indices.
    image : ndarray of float64, `(n,)`
        Time of the crossing in images from the start of the scan: image k (from 0) lasts from k to k + 1. For stills
        the number of the frame plus one half.
    slow_px, fast_px : ndarray of float64, `(n,)`
        Position in the frame array; the centre of its first pixel is 0.0.
    panel : ndarray of int32, `(n,)`
        Panel that is hit.
    q_inv_angstrom : ndarray of float64, `(n,)`
        Length of the reciprocal vector, 1/d.
    zeta : ndarray of float64, `(n,)`
        Kabsch's factor; 1 for stills.
    lorentz : ndarray of float64, `(n,)`
        Lorentz factor 1 / (|zeta| sin 2theta); 1 for stills.
    polarization : ndarray of float64, `(n,)`
        Polarization factor.
    absorbed : ndarray of float64, `(n,)`
        Share of the photons that the sensor absorbs along the ray, 1 - exp(-mu L); 1 where no sensor is known. It
        rises with the obliqueness: by a fifth between 2theta of 0 and 45 deg for 0.3 mm of silicon at 18 keV.
    excitation_error_inv_angstrom : ndarray of float64, `(n,)`
        Signed distance from the sphere, |s0 + g| - 1/wavelength; 0 for rotations.
    """

    hkl: NDArray[np.int32]
    image: NDArray[np.float64]
    slow_px: NDArray[np.float64]
    fast_px: NDArray[np.float64]
    panel: NDArray[np.int32]
    q_inv_angstrom: NDArray[np.float64]
    zeta: NDArray[np.float64]
    lorentz: NDArray[np.float64]
    polarization: NDArray[np.float64]
    absorbed: NDArray[np.float64]
    excitation_error_inv_angstrom: NDArray[np.float64]

    def __post_init__(self) -> None:
        n_rows = len(self.hkl)
        for column in fields(self):
            dtype = np.int32 if column.name in ("hkl", "panel") else np.float64
            shape = (n_rows, 3) if column.name == "hkl" else (n_rows,)
            values = frozen_array(f"predicted spots: {column.name}", getattr(self, column.name), dtype, shape)
            object.__setattr__(self, column.name, values)

    def __len__(self) -> int:
        return len(self.hkl)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> PredictedSpots:
        """Return the rows that an index or boolean array selects."""
        return PredictedSpots(*(getattr(self, column.name)[rows] for column in fields(self)))

    @classmethod
    def concatenate(cls, parts: list[PredictedSpots]) -> PredictedSpots:
        """Join lists, at least one."""
        return cls(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(cls)))


def rays_to_pixels(
    geometry: Geometry, rays: NDArray[np.float64]
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]]:
    """Find panel and position where rays from the sample are counted.

    A photon is absorbed inside the sensor on average at the path length
    1/mu - (L + 1/mu) exp(-mu L) behind the surface, L being the way through the sensor; along the pixels that
    displaces the spot outwards. This mean is not divided by the absorbed share, as in DIALS, whose refined
    geometries contain it.

    Parameters
    ----------
    geometry : Geometry
        Panels, sensor.
    rays : ndarray of float64, `(n, 3)`
        Directions, of any length.

    Returns
    -------
    panel : ndarray of int32, `(n,)`
        -1 where no panel is hit.
    slow_px, fast_px : ndarray of float64, `(n,)`
        Position in the frame array; NaN where no panel is hit.
    """
    directions = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    panel_hit = np.full(len(rays), -1, dtype=np.int32)
    slow_px, fast_px = np.full(len(rays), np.nan), np.full(len(rays), np.nan)
    for number, panel in enumerate(geometry.detector.panels):
        steps = np.column_stack([panel.slow_step_m, panel.fast_step_m, panel.corner_m])
        along = directions @ np.linalg.inv(steps).T
        with np.errstate(divide="ignore", invalid="ignore"):
            place = along[:, :2] / along[:, 2:]
            cosine = np.abs(directions @ panel.normal)
            place = place + _parallax(directions, panel.slow_step_m, panel.fast_step_m, cosine, geometry, number)
        # A ray that leaves backwards meets the plane at a negative depth.
        inside = (along[:, 2] > 0) & (place >= 0).all(axis=1) & (place < [panel.n_slow, panel.n_fast]).all(axis=1)
        panel_hit[inside] = number
        slow_px[inside] = place[inside, 0] - 0.5 + panel.slow_start
        fast_px[inside] = place[inside, 1] - 0.5 + panel.fast_start
    return panel_hit, slow_px, fast_px


def _parallax(
    directions: NDArray[np.float64],
    slow_step_m: NDArray[np.float64],
    fast_step_m: NDArray[np.float64],
    cosine: NDArray[np.float64],
    geometry: Geometry,
    number: int,
) -> NDArray[np.float64]:
    thickness, attenuation = geometry.sensor_thickness_m[number], geometry.attenuation_inv_m[number]
    if thickness <= 0 or attenuation <= 0:
        return np.zeros((len(directions), 2))
    way = thickness / cosine
    depth = 1 / attenuation - (way + 1 / attenuation) * np.exp(-attenuation * way)
    shifts = [depth * (directions @ step) / (step @ step) for step in (slow_step_m, fast_step_m)]
    return np.column_stack(shifts)


def _absorbed(geometry: Geometry, panel: NDArray[np.int32], outgoing: NDArray[np.float64]) -> NDArray[np.float64]:
    share = np.ones(len(panel))
    for number, surface in enumerate(geometry.detector.panels):
        thickness, attenuation = geometry.sensor_thickness_m[number], geometry.attenuation_inv_m[number]
        mine = panel == number
        if thickness > 0 and attenuation > 0:
            share[mine] = -np.expm1(-attenuation * thickness / np.abs(outgoing[mine] @ surface.normal))
    return share


def predict_rotation(
    scan: RotationScan, d_min_angstrom: float, first_image: int = 0, n_images: int | None = None
) -> PredictedSpots:
    """Predict all crossings of the Ewald sphere within some images of a scan, in the order of time.

    Parameters
    ----------
    scan : RotationScan
        Geometry, crystal, axis. A UB that varies is interpolated linearly within an image.
    d_min_angstrom : float
        Resolution limit.
    first_image : int
        First image wanted, counted from 0 at the start of the scan.
    n_images : int or None
        Images wanted; None: all the rest.

    Returns
    -------
    PredictedSpots
        Lattice points that centring and glides of ``scan.crystal`` allow. Spots off the panels are left out; masked
        pixels are not considered.

    Raises
    ------
    GeometryError
        If the scan has no rotation, or the images lie outside it.
    """
    stop = scan.n_images if n_images is None else first_image + n_images
    if scan.rotation_axis is None or scan.omega_step_deg == 0:
        raise GeometryError("the scan does not rotate; predict its frames as stills")
    if not 0 <= first_image < stop <= scan.n_images:
        raise GeometryError(
            f"images {first_image} to {stop - 1} are asked for, but the scan holds images 0 to {scan.n_images - 1}"
        )
    candidates = allowed_reflections(scan.crystal, d_min_angstrom)
    slips = len(scan.ub_inv_angstrom) > 1
    margin = _SEARCH_MARGIN_DEG / abs(scan.omega_step_deg) if slips else 0.0
    n_blocks = int(np.ceil((stop - first_image) * abs(scan.omega_step_deg) / _BLOCK_DEG)) if slips else 1
    edges = np.linspace(first_image, stop, n_blocks + 1)
    found_hkl, found_image = [], []
    for low, high in pairwise(edges.tolist()):
        row, image, sign = _crossings(scan, candidates, low - margin, high + margin)
        image, converged = _follow(scan, candidates[row], image, sign)
        kept = converged & (image >= low) & (image < high)
        found_hkl.append(candidates[row[kept]])
        found_image.append(image[kept])
    hkl, image = np.concatenate(found_hkl), np.concatenate(found_image)
    g = np.einsum("nij,nj->ni", _orientation(scan, scan.rotation_axis, image), hkl)
    spots = _spots(scan, hkl, image, g, scan.rotation_axis, np.zeros(len(hkl)))
    return spots.take(np.argsort(spots.image, kind="stable"))


def allowed_reflections(crystal: Crystal, d_min_angstrom: float) -> NDArray[np.int32]:
    """All hkl to a resolution that centring, screws and glides allow, int32 `(n, 3)`, in lexical order."""
    hkl = crystal.lattice_points(1 / d_min_angstrom)
    return hkl[crystal.space_group_allows(hkl)]


def predict_still(
    geometry: Geometry,
    hkl: NDArray[np.int32],
    ub_inv_angstrom: NDArray[np.float64],
    excitation_error_max_inv_angstrom: float,
    frame: int = 0,
) -> PredictedSpots:
    """Predict the lattice points within a distance of the Ewald sphere, in the order of ``hkl``.

    Parameters
    ----------
    geometry : Geometry
        Detector and beam.
    hkl : ndarray of int32, `(n, 3)`
        Reflections to look for, from :func:`allowed_reflections`.
    ub_inv_angstrom : ndarray of float64, `(3, 3)`
        UB of this frame in the laboratory.
    excitation_error_max_inv_angstrom : float
        Largest distance from the sphere.
    frame : int
        Number of the frame.
    """
    g = hkl @ np.asarray(ub_inv_angstrom, dtype=np.float64).T
    wavenumber = 1 / geometry.beam.wavelength_angstrom
    error = np.linalg.norm(g + geometry.beam.direction * wavenumber, axis=1) - wavenumber
    near = np.abs(error) <= excitation_error_max_inv_angstrom
    return _spots(geometry, hkl[near], np.full(int(near.sum()), frame + 0.5), g[near], None, error[near])


def without_overlaps(
    spots: PredictedSpots, half_width_images: NDArray[np.float64], separation_px: float
) -> NDArray[np.bool_]:
    """Tell which spots share no image with another one closer than ``separation_px``, bool `(n,)`.

    Parameters
    ----------
    spots : PredictedSpots
        All spots that may disturb each other.
    half_width_images : ndarray of float64, `(n,)`
        A spot lasts from ``image - half_width`` to ``image + half_width``.
    separation_px : float
        Distance between centres.
    """
    alone = np.ones(len(spots), dtype=bool)
    if len(spots) < 2:
        return alone
    tree = cKDTree(np.column_stack([spots.slow_px, spots.fast_px]))
    first, second = tree.query_pairs(separation_px, output_type="ndarray").reshape(-1, 2).T
    together = np.abs(spots.image[first] - spots.image[second]) < half_width_images[first] + half_width_images[second]
    alone[first[together]] = False
    alone[second[together]] = False
    return alone


def _ub_at(scan: RotationScan, image: NDArray[np.float64]) -> NDArray[np.float64]:
    """UB at angle 0 for times within the scan, `(n, 3, 3)`; the edges' values continue outside."""
    matrices = scan.ub_inv_angstrom
    if len(matrices) == 1:
        return np.broadcast_to(matrices[0], (len(image), 3, 3))
    inside = np.clip(image, 0, scan.n_images)
    edge = np.minimum(inside.astype(np.int64), scan.n_images - 1)
    part = (inside - edge)[:, None, None]
    return np.asarray(matrices[edge] * (1 - part) + matrices[edge + 1] * part)


def _orientation(scan: RotationScan, axis: NDArray[np.float64], image: NDArray[np.float64]) -> NDArray[np.float64]:
    turn = rotation_about_axis(axis, scan.omega_start_deg + scan.omega_step_deg * image)
    return np.asarray(turn @ _ub_at(scan, image))


def _sphere_angles(
    scan: RotationScan, hkl: NDArray[np.int32], ub: NDArray[np.float64], sign: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Angles (degrees) of one of the two crossings of each lattice point; NaN where it never crosses.

    With g split into its part along the axis and the rest, 2 s0·g + g² = 0 reads a cos(omega) + b sin(omega) = c.
    """
    axis, s0 = np.asarray(scan.rotation_axis), scan.beam.direction / scan.beam.wavelength_angstrom
    g = np.einsum("nij,nj->ni", ub, hkl)
    parallel = g @ axis
    across = g - parallel[:, None] * axis
    a, b = across @ s0, np.cross(axis, across) @ s0
    c = -0.5 * np.einsum("ni,ni->n", g, g) - parallel * (axis @ s0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.rad2deg(np.arctan2(b, a) + sign * np.arccos(c / np.hypot(a, b))))


def _crossings(
    scan: RotationScan, hkl: NDArray[np.int32], low: float, high: float
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Rows of hkl, times in images and branch of all crossings from ``low`` to ``high``, from UB in the middle."""
    middle = _ub_at(scan, np.array([(low + high) / 2]))
    ub = np.broadcast_to(middle, (len(hkl), 3, 3))
    turn = 360 / abs(scan.omega_step_deg)
    rows, images, signs = [], [], []
    for sign in (-1.0, 1.0):
        angle = _sphere_angles(scan, hkl, ub, np.full(len(hkl), sign))
        image = (angle - scan.omega_start_deg) / scan.omega_step_deg
        image = low + np.mod(image - low, turn)
        while (near := image < high).any():  # once for each full turn of the scan; NaN compares false
            rows.append(np.flatnonzero(near))
            images.append(image[near])
            signs.append(np.full(int(near.sum()), sign))
            image = image + turn
    if not rows:
        return np.empty(0, dtype=np.int64), np.empty(0), np.empty(0)
    return np.concatenate(rows), np.concatenate(images), np.concatenate(signs)


def _follow(
    scan: RotationScan, hkl: NDArray[np.int32], image: NDArray[np.float64], sign: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Repeat the solution with UB taken at the time of the crossing until it stands still."""
    converged = np.ones(len(hkl), dtype=bool)
    if len(scan.ub_inv_angstrom) == 1 or not len(hkl):
        return image, converged
    turn = 360 / abs(scan.omega_step_deg)
    for _ in range(_ROUNDS):
        angle = _sphere_angles(scan, hkl, _ub_at(scan, image), sign)
        new = (angle - scan.omega_start_deg) / scan.omega_step_deg
        new += turn * np.rint((image - new) / turn)
        converged = np.abs(new - image) * abs(scan.omega_step_deg) <= _CONVERGED_DEG
        # A point that no longer crosses keeps its last time and stays unconverged.
        image = np.where(np.isfinite(new), new, image)
        if converged.all():
            break
    return image, converged


def _spots(
    geometry: Geometry,
    hkl: NDArray[np.int32],
    image: NDArray[np.float64],
    g: NDArray[np.float64],
    axis: NDArray[np.float64] | None,
    error: NDArray[np.float64],
) -> PredictedSpots:
    beam = geometry.beam
    outgoing = g + beam.direction / beam.wavelength_angstrom
    panel, slow_px, fast_px = rays_to_pixels(geometry, outgoing)
    outgoing = outgoing / np.linalg.norm(outgoing, axis=1, keepdims=True)
    normal = np.cross(outgoing, beam.direction)
    sine = np.linalg.norm(normal, axis=1)  # of 2 theta, as both are unit vectors
    zeta, lorentz = np.ones(len(hkl)), np.ones(len(hkl))
    if axis is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            zeta = normal @ axis / sine
            lorentz = 1 / (np.abs(zeta) * sine)
    along = beam.polarization_axis - (beam.polarization_axis @ beam.direction) * beam.direction
    along = along / np.linalg.norm(along)
    across = np.cross(beam.direction, along)
    share = beam.polarization_fraction
    polarization = share * (1 - (outgoing @ along) ** 2) + (1 - share) * (1 - (outgoing @ across) ** 2)
    length = np.linalg.norm(g, axis=1)
    spots = PredictedSpots(
        hkl,
        image,
        slow_px,
        fast_px,
        panel,
        length,
        zeta,
        lorentz,
        polarization,
        _absorbed(geometry, panel, outgoing),
        error,
    )
    return spots.take(panel >= 0)
