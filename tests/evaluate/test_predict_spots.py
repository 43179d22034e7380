import csv
import gzip
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewphoton.data import Beam, Crystal, Detector
from fewphoton.data.detector import q_vectors
from fewphoton.data.orientations import rotation_about_axis
from fewphoton.errors import GeometryError
from fewphoton.evaluate.predict_spots import allowed_reflections, predict_rotation, predict_still, without_overlaps
from fewphoton.evaluate.spot_geometry import PredictedSpots, SurfaceGeometry, rays_to_pixels
from fewphoton.io.dials_experiments import read_dials_experiments
from tests.conftest import flat_detector

CRYSTAL = Crystal((12.0, 15.0, 20.0, 90, 90, 90), "P 2 2 2", rotation_about_axis([1, 2, 3], 40.0))
DETECTOR = flat_detector(300, 280, 5e-4, 0.08)


@dataclass(frozen=True, eq=False)
class Scan:
    detector: Detector = DETECTOR
    beam: Beam = field(default_factory=lambda: Beam(0.9, np.array([0.02, -0.01, 1.0])))
    crystal: Crystal = CRYSTAL
    ub_inv_angstrom: np.ndarray = field(default_factory=lambda: CRYSTAL.ub_matrix[None])
    rotation_axis: np.ndarray | None = field(default_factory=lambda: np.array([0.0, 1.0, 0.0]))
    n_images: int = 100
    omega_start_deg: float = -30.0
    omega_step_deg: float = 0.25
    sensor_thickness_m: np.ndarray = field(default_factory=lambda: np.zeros(1))
    attenuation_inv_m: np.ndarray = field(default_factory=lambda: np.zeros(1))


def reciprocal_vectors(scan, spots):
    angle = scan.omega_start_deg + scan.omega_step_deg * spots.image
    turn = rotation_about_axis(scan.rotation_axis, angle)
    return np.einsum("nij,nj->ni", turn @ scan.ub_inv_angstrom[0], spots.hkl)


@pytest.mark.parametrize("step", [0.25, -0.25])
def test_predicted_pixels_have_the_reciprocal_vectors_of_their_spots(step):
    """The project's own q of the pixel that is hit is R UB h, up to half a pixel."""
    scan = Scan(omega_step_deg=step)
    spots = predict_rotation(scan, 1.2)
    assert len(spots) > 300
    assert (np.diff(spots.image) >= 0).all()
    assert spots.image.min() >= 0
    assert spots.image.max() < scan.n_images
    g = reciprocal_vectors(scan, spots)
    s0 = scan.beam.direction / scan.beam.wavelength_angstrom
    np.testing.assert_allclose(np.linalg.norm(g + s0, axis=1), np.linalg.norm(s0), rtol=1e-10)
    flat = np.rint(spots.slow_px).astype(int) * 280 + np.rint(spots.fast_px).astype(int)
    pixel_angle = 5e-4 / 0.08
    np.testing.assert_allclose(q_vectors(scan.detector, scan.beam)[flat], g, rtol=0, atol=0.75 * pixel_angle / 0.9)


def test_no_crossing_is_missed():
    """Fine steps of the angle: wherever a lattice point changes side of the sphere, a crossing is predicted."""
    scan = Scan(n_images=40, detector=flat_detector(4000, 4000, 1e-3, 0.05))
    hkl = allowed_reflections(CRYSTAL, 2.0)
    angle = scan.omega_start_deg + scan.omega_step_deg * np.linspace(0, 40, 2001)
    g = np.einsum("tij,nj->tni", rotation_about_axis(scan.rotation_axis, angle) @ CRYSTAL.ub_matrix, hkl)
    s0 = scan.beam.direction / scan.beam.wavelength_angstrom
    inside = np.linalg.norm(g + s0, axis=2) < np.linalg.norm(s0)
    time, point = np.nonzero(inside[1:] != inside[:-1])
    spots = predict_rotation(scan, 2.0)
    middle = (time + 0.5) / 50
    forward = (g[time, point] + s0)[:, 2] > 0.05  # rays that meet the wide detector
    expected = {tuple(h): [] for h in hkl.tolist()}
    for row in np.flatnonzero(forward):
        expected[tuple(hkl[point[row]].tolist())].append(middle[row])
    for index, image in zip(spots.hkl.tolist(), spots.image, strict=True):
        near = [t for t in expected[tuple(index)] if abs(t - image) < 0.03]
        assert near, (index, image)
        expected[tuple(index)].remove(near[0])
    assert sum(map(len, expected.values())) <= 0.02 * len(spots)


def test_part_of_a_scan_is_a_part_of_the_whole():
    scan = Scan()
    whole = predict_rotation(scan, 1.5)
    part = predict_rotation(scan, 1.5, 20, 30)
    wanted = whole.take((whole.image >= 20) & (whole.image < 50))
    np.testing.assert_array_equal(part.hkl, wanted.hkl)
    np.testing.assert_allclose(part.image, wanted.image)


def test_more_than_a_turn_repeats():
    scan = Scan(n_images=800, omega_step_deg=0.9)
    spots = predict_rotation(scan, 3.0)
    first, second = spots.take(spots.image < 400), spots.take(spots.image >= 400)
    np.testing.assert_array_equal(first.hkl, second.hkl)
    np.testing.assert_allclose(first.image + 400, second.image)


def test_slipping_crystal_is_followed():
    """A slip about the goniometer axis by 0.002 deg an image is a faster rotation."""
    slip = rotation_about_axis([0, 1, 0], 0.002 * np.arange(101)) @ CRYSTAL.ub_matrix
    slipping = predict_rotation(Scan(ub_inv_angstrom=slip), 1.5)
    faster = predict_rotation(Scan(omega_step_deg=0.252), 1.5)
    np.testing.assert_array_equal(slipping.hkl, faster.hkl)
    np.testing.assert_allclose(slipping.image, faster.image, atol=1e-4)
    np.testing.assert_allclose(slipping.slow_px, faster.slow_px, atol=1e-3)


def test_lorentz_factor_is_the_speed_through_the_sphere():
    scan = Scan()
    spots = predict_rotation(scan, 1.5)
    s0 = scan.beam.direction / 0.9
    g = reciprocal_vectors(scan, spots)
    tiny = rotation_about_axis(scan.rotation_axis, 1e-4)
    speed = (np.linalg.norm(g @ tiny.T + s0, axis=1) - np.linalg.norm(g @ tiny + s0, axis=1)) / (2 * np.deg2rad(1e-4))
    # |d|s0 + g| / d omega| = |zeta| sin(2 theta) / wavelength
    np.testing.assert_allclose(np.abs(speed), 1 / (spots.lorentz * 0.9), rtol=1e-4)


def test_rays_meet_the_centres_of_pixels(detector, beam):
    centres = detector.pixel_centres_m()
    panel, slow, fast = rays_to_pixels(SurfaceGeometry(detector, beam), 3 * centres)
    assert (panel == 0).all()
    np.testing.assert_allclose(slow * 10 + fast, np.arange(120), atol=1e-9)
    backwards, nowhere, _ = rays_to_pixels(SurfaceGeometry(detector, beam), -centres)
    assert (backwards == -1).all()
    assert np.isnan(nowhere).all()


def test_parallax_by_hand():
    """A ray at 45 deg into 1 mm of sensor of mu = 1/mm: mean depth 1 - (√2 + 1) exp(-√2), 1/√2 of it sideways."""
    scan = Scan(
        detector=flat_detector(10, 400, 1e-3, 0.05),
        sensor_thickness_m=np.ones(1) * 1e-3,
        attenuation_inv_m=np.ones(1) * 1e3,
    )
    _, slow, fast = rays_to_pixels(scan, np.array([[-0.05, 0.0, 0.05], [0.0, 0.0, 1.0]]))
    shift = (1 - (np.sqrt(2) + 1) * np.exp(-np.sqrt(2))) / np.sqrt(2)
    np.testing.assert_allclose(fast, [199.5 + 50 + shift, 199.5])
    np.testing.assert_allclose(slow, [4.5, 4.5])


@given(st.integers(0, 2**32 - 1), st.floats(1e-4, 5e-3))
@settings(max_examples=20, deadline=None)
def test_stills_hold_what_lies_near_the_sphere(seed, limit):
    quaternion = np.random.default_rng(seed).normal(size=4)
    angle = np.rad2deg(2 * np.arctan2(np.linalg.norm(quaternion[1:]), quaternion[0]))
    ub = rotation_about_axis(quaternion[1:], angle) @ CRYSTAL.b_matrix
    geometry = SurfaceGeometry(DETECTOR, Beam(0.9))
    hkl = allowed_reflections(CRYSTAL, 1.5)
    spots = predict_still(geometry, hkl, ub, limit, frame=7)
    assert (spots.image == 7.5).all()
    error = np.linalg.norm(spots.hkl @ ub.T + [0, 0, 1 / 0.9], axis=1) - 1 / 0.9
    np.testing.assert_allclose(spots.excitation_error_inv_angstrom, error)
    assert (np.abs(error) <= limit).all()
    wider = predict_still(geometry, hkl, ub, 2 * limit)
    assert {tuple(h) for h in spots.hkl.tolist()} <= {tuple(h) for h in wider.hkl.tolist()}
    # The ray runs along s0 + g whatever the excitation error.
    place = DETECTOR.pixel_centres_m().reshape(300, 280, 3)
    ray = spots.hkl @ ub.T + [0, 0, 1 / 0.9]
    centre = place[np.rint(spots.slow_px).astype(int), np.rint(spots.fast_px).astype(int)]
    away = np.linalg.norm(ray * (0.08 / ray[:, 2:]) - centre, axis=1)
    assert (away <= 5e-4 * np.sqrt(0.5) * 1.001).all()


def test_overlaps():
    spots = predict_rotation(Scan(), 1.6)
    width = np.full(len(spots), 1.5)
    alone = without_overlaps(spots, width, 20.0)
    place = np.column_stack([spots.slow_px, spots.fast_px])
    expected = [
        not any(
            other != one
            and np.linalg.norm(place[one] - place[other]) <= 20
            and abs(spots.image[one] - spots.image[other]) < 3
            for other in range(len(spots))
        )
        for one in range(len(spots))
    ]
    assert alone.tolist() == expected
    assert 0 < alone.sum() < len(spots)
    assert without_overlaps(spots.take(np.zeros(len(spots), dtype=bool)), width[:0], 5.0).shape == (0,)


def test_joined_lists():
    spots = predict_rotation(Scan(), 2.0)
    joined = PredictedSpots.concatenate([spots.take(slice(0, 5)), spots.take(slice(5, None))])
    np.testing.assert_array_equal(joined.hkl, spots.hkl)
    np.testing.assert_array_equal(joined.absorbed, np.ones(len(spots)))


@pytest.mark.parametrize(("first", "n"), [(-1, 5), (0, 101), (100, None), (5, 0)])
def test_images_outside_the_scan_are_refused(first, n):
    with pytest.raises(GeometryError, match="scan holds images 0 to 99"):
        predict_rotation(Scan(), 2.0, first, n)


def test_a_still_is_no_rotation():
    with pytest.raises(GeometryError, match="does not rotate"):
        predict_rotation(Scan(rotation_axis=None), 2.0)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "number", "sweep"),
    [("scaled_20_25.expt.gz", 1, "01"), ("scaled_35.expt.gz", 0, "03"), ("scaled_20_25.expt.gz", 0, "04")],
)
def test_against_dials(data_dir, name, number, sweep):
    """Every observation of DIALS is predicted, at its pixel (written to 0.01) and its image (to 0.001)."""
    folder = data_dir / "l_cysteine_i19"
    scan = read_dials_experiments(folder / name)[number]
    spots = predict_rotation(scan, 0.55)
    place: dict[tuple[int, ...], list[int]] = {}
    for row, index in enumerate(spots.hkl.tolist()):
        place.setdefault(tuple(index), []).append(row)
    with gzip.open(folder / "scaled_observations.csv.gz", "rt") as handle:
        observed = [row for row in csv.DictReader(handle) if row["sweep"] == sweep]
    assert len(observed) > 2000
    for entry in observed:
        rows = place[tuple(int(entry[name]) for name in "hkl")]
        row = min(rows, key=lambda candidate: abs(spots.image[candidate] - float(entry["z_frame"])))
        assert spots.image[row] == pytest.approx(float(entry["z_frame"]), abs=1.5e-3)
        # DIALS counts from the outer edge of the first pixel.
        assert spots.fast_px[row] + 0.5 == pytest.approx(float(entry["x_px"]), abs=7e-3)
        assert spots.slow_px[row] + 0.5 == pytest.approx(float(entry["y_px"]), abs=7e-3)
