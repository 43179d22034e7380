import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from fewphoton.data import IntensityVolume
from fewphoton.data.point_group import positive_quaternions, rotation_angles_deg
from fewphoton.errors import DataError
from fewphoton.evaluate.rotation_matching import match_rotation, rotation_correlation, sphere_points
from tests.emc.snapshots import particle_intensity

SPACING = 1 / 45.0


def directions(band):
    polar, azimuth, weight = sphere_points(band)
    sine = np.sin(polar)
    return np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), np.cos(polar)], axis=1), weight


def test_points_on_the_sphere_integrate_products_exactly():
    point, weight = directions(6)
    assert weight.sum() == pytest.approx(4 * np.pi)
    # The mean of x^2a over the sphere is 1 / (2a + 1).
    for power in (2, 6, 12):
        for axis in range(3):
            assert (weight * point[:, axis] ** power).sum() == pytest.approx(4 * np.pi / (power + 1))


def test_the_series_is_the_sum_over_the_turned_sphere():
    """Against sums over points, for functions of even order that are turned exactly."""
    band, n_angles = 6, 16
    point, weight = directions(band)
    rng = np.random.default_rng(0)
    axes = rng.standard_normal((2, 3, 3))

    def function(which, place):
        # Sums of even powers of linear forms hold even orders up to 6; the mean, order 0, is taken off.
        total = (place @ axes[which][0]) ** 6 + (place @ axes[which][1]) ** 4 * 2.0 - (place @ axes[which][2]) ** 2
        mean = (weight * ((point @ axes[which][0]) ** 6 + (point @ axes[which][1]) ** 4 * 2.0)).sum()
        mean -= (weight * (point @ axes[which][2]) ** 2).sum()
        return total - mean / (4 * np.pi)

    grid = rotation_correlation(function(0, point)[None], function(1, point)[None], band, n_angles)
    for place in [(0, 0, 0), (3, 0, 5), (1, 4, 2), (7, 11, 13)]:
        turn = Rotation.from_euler("ZYZ", 2 * np.pi * np.array(place) / n_angles).as_matrix()
        expected = (weight * function(0, point) * function(1, point @ turn)).sum()
        assert grid[place] == pytest.approx(expected, rel=1e-9)


def found_volume(intensity, turn, n=25, noise=0.0, weight=None):
    axis = (np.arange(n) - n // 2) * SPACING
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    values = intensity(grid @ turn)
    values = values * np.random.default_rng(5).gamma(1 / noise**2, noise**2, values.shape) if noise else values
    return IntensityVolume(values, np.ones((n, n, n)) if weight is None else weight, 1)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_rotation_is_found_from_anywhere(seed):
    intensity = particle_intensity(seed, radius_angstrom=9.0)
    turn = Rotation.random(rng=np.random.default_rng(seed))
    found = found_volume(intensity, turn.as_matrix())
    match = match_rotation(found, SPACING, intensity, 12 * SPACING, 18.0)
    true = positive_quaternions(turn.as_quat(scalar_first=True)[None])[0]
    assert rotation_angles_deg(match.alignment, true) < 0.05
    assert match.correlation > 0.9999


def test_noise_and_missing_voxels_do_not_hide_it():
    intensity = particle_intensity(4, radius_angstrom=9.0)
    turn = Rotation.from_euler("xyz", [130, -40, 75], degrees=True)
    weight = (np.random.default_rng(0).random((25, 25, 25)) > 0.05).astype(float)
    weight[11:14, 11:14, 11:14] = 0
    found = found_volume(intensity, turn.as_matrix(), noise=0.7, weight=weight)
    found = IntensityVolume(np.where(weight > 0, found.values, np.nan), weight, 1)
    match = match_rotation(found, SPACING, intensity, 11 * SPACING, 18.0)
    true = positive_quaternions(turn.as_quat(scalar_first=True)[None])[0]
    assert rotation_angles_deg(match.alignment, true) < 1.5
    assert 0.3 < match.correlation < 0.95


def test_further_candidates_are_tried():
    """A good guess is enough where the harmonics reach nothing."""
    intensity = particle_intensity(1, radius_angstrom=9.0)
    turn = Rotation.from_euler("xyz", [10, 20, 30], degrees=True)
    guess = (Rotation.from_rotvec([0.03, 0, 0.02]) * turn).as_quat(scalar_first=True)
    found = found_volume(intensity, turn.as_matrix())
    match = match_rotation(found, SPACING, intensity, 12 * SPACING, 18.0, also=[guess])
    assert rotation_angles_deg(match.alignment, turn.as_quat(scalar_first=True)) < 0.05


def test_a_volume_without_shells_is_refused():
    weight = np.zeros((25, 25, 25))
    weight[12, 12, 12] = 1
    found = found_volume(particle_intensity(0), np.eye(3), weight=weight)
    with pytest.raises(DataError, match="fewer than two shells"):
        match_rotation(found, SPACING, particle_intensity(0), 0.2, 18.0)
