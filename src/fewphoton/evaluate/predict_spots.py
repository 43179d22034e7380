"""Where and when reflections of a known lattice meet the detector.

A lattice point g = R(omega) UB h reflects where it lies on the Ewald sphere, |s0 + g| = 1/wavelength. In a rotation
that is a quadratic equation in the angle (two crossings for most points); in a still, points within a given distance
of the sphere are taken. Kabsch's factor zeta = m · (s1 × s0) / |s1 × s0|, the component of the rotation axis m
along the normal of the plane of reflection, tells how fast a point passes (Kabsch 2010, Acta Cryst. D66, 133-144,
doi:10.1107/S0907444909047374).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from fewphoton.data import Crystal
from fewphoton.data.orientations import rotation_about_axis
from fewphoton.errors import GeometryError
from fewphoton.evaluate.spot_geometry import Geometry, PredictedSpots, RotationScan, absorbed_share, rays_to_pixels

_ROUNDS = 20
_CONVERGED_DEG = 1e-7
_BLOCK_DEG = 2.0
_SEARCH_MARGIN_DEG = 2.0
"""A crystal that slips is searched in blocks of this rotation, each from the UB in its middle; crossings this far
outside a block are followed too, as the true UB may bring them in."""


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
        absorbed_share(geometry, panel, outgoing),
        error,
    )
    return spots.take(panel >= 0)
