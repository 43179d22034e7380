"""The conventions of the README, with numbers worked out by hand."""

import numpy as np
import pytest

from fewphoton.data import Beam, Crystal, Detector, IntensityVolume, Orientations, Panel
from fewphoton.data.detector import polarization_factors, q_vectors
from fewphoton.data.orientations import rotation_about_axis


def test_a_pixel_is_numbered_flat_and_lies_at_its_centre():
    """3 x 4 pixels of 1 mm at 100 mm; slow runs down, fast to -x, the corner at (2, 1.5) mm."""
    panel = Panel("p", 0, 0, 3, 4, np.array([2e-3, 1.5e-3, 0.1]), np.array([0, -1e-3, 0]), np.array([-1e-3, 0, 0]))
    detector = Detector((3, 4), (panel,))
    centres = detector.pixel_centres_m()
    np.testing.assert_allclose(centres[0], [1.5e-3, 1.0e-3, 0.1])
    np.testing.assert_allclose(centres[1 * 4 + 2], [-0.5e-3, 0.0, 0.1], atol=1e-15)
    np.testing.assert_allclose(centres[11], [-1.5e-3, -1.0e-3, 0.1])


def test_q_at_45_degrees():
    """A pixel at 2 theta = 45 degrees towards +y: q = (s1 - s0) / lambda, |q| = 2 sin(22.5 deg) / lambda."""
    panel = Panel("p", 0, 0, 1, 1, np.array([0.5, 100.5, 100]), np.array([0, -1.0, 0]), np.array([-1.0, 0, 0]))
    (q,) = q_vectors(Detector((1, 1), (panel,)), Beam(0.5))
    root = np.sqrt(0.5)
    np.testing.assert_allclose(q, [0, root / 0.5, (root - 1) / 0.5], atol=1e-12)
    assert np.linalg.norm(q) == pytest.approx(2 * np.sin(np.deg2rad(22.5)) / 0.5)


def test_a_field_along_x_does_not_scatter_along_x():
    panels = [
        Panel(name, row, 0, 1, 1, np.array(corner), np.array(slow), np.array(fast))
        for row, (name, corner, slow, fast) in enumerate(
            [("x", [1, 5e-7, -5e-7], [0, -1e-6, 0], [0, 0, 1e-6]), ("y", [5e-7, 1, -5e-7], [0, 0, 1e-6], [-1e-6, 0, 0])]
        )
    ]
    factors = polarization_factors(Detector((2, 1), tuple(panels)), Beam(1.0, polarization_fraction=1.0))
    np.testing.assert_allclose(factors, [0, 1], atol=1e-9)
    half = polarization_factors(Detector((2, 1), tuple(panels)), Beam(1.0, polarization_fraction=0.5))
    np.testing.assert_allclose(half, [0.5, 0.5], atol=1e-9)


def test_rotations_are_active_and_right_handed():
    np.testing.assert_allclose(rotation_about_axis((0, 1, 0), 90) @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(rotation_about_axis((0, 0, 2), 90) @ [1, 0, 0], [0, 1, 0], atol=1e-12)


def test_quaternions_are_scalar_first():
    scan = Orientations.about_axis((0, 1, 0), 4)
    np.testing.assert_allclose(scan.quaternion[1], [np.sqrt(0.5), 0, np.sqrt(0.5), 0])
    np.testing.assert_allclose(scan.angle_deg, [0, 90, 180, 270])
    np.testing.assert_allclose(scan.matrices(), rotation_about_axis((0, 1, 0), scan.angle_deg), atol=1e-12)


def test_b_has_the_reciprocal_axes_as_columns():
    """Monoclinic, beta = 120 degrees: a along x, c in the xz plane, a* is turned by 30 degrees from a."""
    crystal = Crystal((10, 20, 30, 90, 120, 90), "P 1 21 1")
    star = 1 / (10 * np.sin(np.deg2rad(120)))
    np.testing.assert_allclose(np.linalg.norm(crystal.b_matrix[:, 0]), star)
    np.testing.assert_allclose(crystal.b_matrix[:, 0], [0.1, 0, star * np.sin(np.deg2rad(30))], atol=1e-12)
    np.testing.assert_allclose(crystal.b_matrix[:, 1], [0, 0.05, 0], atol=1e-12)
    a_axis = np.array([10.0, 0, 0])
    np.testing.assert_allclose(a_axis @ crystal.b_matrix, [1, 0, 0], atol=1e-12)


def test_q_is_r_u_b_h():
    """a* along x after U = identity; U turns it to y; omega = 90 degrees about z turns y to -x."""
    u_matrix = rotation_about_axis((0, 0, 1), 90)
    crystal = Crystal((10, 10, 10, 90, 90, 90), "P 2 3", u_matrix)
    np.testing.assert_allclose(crystal.ub_matrix @ [2, 0, 0], [0, 0.2, 0], atol=1e-12)
    turn = rotation_about_axis((0, 0, 1), 90)
    np.testing.assert_allclose(turn @ crystal.ub_matrix @ [2, 0, 0], [-0.2, 0, 0], atol=1e-12)


@pytest.mark.parametrize("n", [8, 9])
def test_the_origin_of_the_grid_is_where_fftshift_puts_it(n):
    volume = IntensityVolume(np.zeros((n, n, n)), np.zeros((n, n, n)), 2)
    np.testing.assert_allclose(volume.axis_hkl(), np.fft.fftshift(np.fft.fftfreq(n, 1 / n)) / 2)
    np.testing.assert_allclose(volume.voxel_of([1, 0, -1.5]), [n // 2 + 2, n // 2, n // 2 - 3])
