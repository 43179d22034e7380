import numpy as np
import pytest

from fewphoton.data import Crystal
from fewphoton.data.orientations import rotation_about_axis
from fewphoton.emc.pixels import PixelRows, axis_distance_pixels
from fewphoton.errors import GeometryError
from tests.conftest import flat_detector

AXIS = np.array([0.0, 1.0, 0.0])
CRYSTAL = Crystal((10, 12, 14, 90, 90, 90), "P 21 21 21", rotation_about_axis((1, 1, 0), 30))
OPTIONS = {"voxels_per_cell": 4, "n_voxels": None, "axis_margin_pixels": 2.0, "q_max_inv_angstrom": None}


def select(detector, beam, **changes):
    return PixelRows.select(detector, beam, CRYSTAL, AXIS, **{**OPTIONS, "corrections": False, **changes})


def test_distance_from_a_vertical_axis_counts_columns(detector, beam):
    distance = axis_distance_pixels(detector, beam, AXIS).reshape(detector.frame_shape)
    np.testing.assert_allclose(distance[0], np.abs(np.arange(10) - 4.5), atol=1e-9)
    np.testing.assert_allclose(distance[:, 0], 4.5, atol=1e-9)


def test_axis_along_the_beam_is_refused(detector, beam):
    with pytest.raises(GeometryError, match="parallel to the beam"):
        axis_distance_pixels(detector, beam, np.array([0, 0, 1.0]))


def test_every_orientation_of_every_row_stays_inside_the_grid(detector, beam):
    rows = select(detector, beam)
    assert rows.n_rows == detector.n_pixels
    turns = rows.transforms(CRYSTAL, rotation_about_axis(AXIS, np.arange(0, 360, 5.0)))
    voxel = np.einsum("rij,tj->rti", turns, rows.q_inv_angstrom) + rows.origin
    assert voxel.min() >= 0
    assert voxel.max() < rows.n_voxels - 1


def test_a_lattice_point_on_the_ewald_sphere_falls_on_its_voxel(detector, beam):
    rows = select(detector, beam)
    hkl = np.array([2.0, -1.0, 3.0])
    turn = rotation_about_axis(AXIS, 37.0)
    q = turn @ CRYSTAL.ub_matrix @ hkl
    np.testing.assert_allclose(rows.transforms(CRYSTAL, turn[None])[0] @ q, 4 * hkl, atol=1e-9)


def test_small_grid_drops_far_pixels_and_margin_only_the_likelihood(detector, beam):
    rows = select(detector, beam, n_voxels=21, axis_margin_pixels=3.0)
    assert 0 < rows.n_rows < detector.n_pixels
    assert (rows.row_of_pixel >= 0).sum() == rows.n_rows
    used = axis_distance_pixels(detector, beam, AXIS)[rows.row_of_pixel >= 0]
    np.testing.assert_array_equal(rows.likelihood, used >= 3.0)


def test_corrections_have_mean_one_and_fall_with_angle(beam):
    rows = select(flat_detector(12, 10, pixel_m=4e-3), beam, corrections=True)
    assert rows.response.mean() == pytest.approx(1.0)
    length = np.linalg.norm(rows.q_inv_angstrom, axis=1)
    assert rows.response[length.argmin()] > rows.response[length.argmax()]


def test_all_masked_and_no_pixel_left_are_errors(detector, beam):
    with pytest.raises(GeometryError, match="masked"):
        select(detector.with_mask(np.ones(detector.n_pixels, bool)), beam)
    with pytest.raises(GeometryError, match="axis_margin_pixels"):
        select(detector, beam, axis_margin_pixels=50.0)
    with pytest.raises(GeometryError, match="within q"):
        select(detector, beam, q_max_inv_angstrom=1e-6)
