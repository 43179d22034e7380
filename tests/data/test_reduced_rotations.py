import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from fewphoton.data import Crystal, Orientations
from fewphoton.data.orientations import rotation_about_axis
from fewphoton.data.point_group import PointGroup, quaternion_product
from fewphoton.data.reduced_rotations import _even_sequence, alignment, reduced_covering_radius_deg, reduced_sample
from fewphoton.data.rotation_group import RotationIndex, covering_radius_deg, n_rotations, rotation_group_sample

FITTING = ["C1", "C2", "C3", "C5", "D2", "D3", "D5", "T", "I"]
HALF_FITTING = ["C4", "C6", "D4", "D6", "O"]


def random_quaternions(n, seed=0):
    return Rotation.random(n, np.random.default_rng(seed)).as_quat(scalar_first=True)


def anywhere(symbol):
    return PointGroup.named(symbol).turned(random_quaternions(1, 42)[0])


def worst_moment(quaternion, weight, group, degree):
    """Largest error of the mean character of q^-1 p over the group's images, at 20 orientations p; 0 is right."""
    half = np.arccos(np.clip(np.abs(group.images(quaternion) @ random_quaternions(20, 7).T), 0, 1))
    value = (np.sin((2 * degree + 1) * half) / np.sin(half)).mean(axis=1)
    return np.abs(weight @ value).max()


@pytest.mark.parametrize("symbol", FITTING + HALF_FITTING)
def test_the_alignment_keeps_as_much_of_the_group_as_the_600_cell_has(symbol):
    group = anywhere(symbol)
    moved = group.turned(alignment(group)).quaternion
    shared = (np.abs(moved @ rotation_group_sample(1)[0].T).max(axis=1) > 1 - 1e-9).sum()
    assert shared == (len(group) if symbol in FITTING else len(group) // 2)


@pytest.mark.parametrize("symbol", FITTING)
@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_fitting_group_leaves_one_of_each_class(symbol, level):
    """Exact counts; the images of the reduced sample are the full one, once each; integrals as exact."""
    group = anywhere(symbol)
    quaternion, weight = reduced_sample(level, group)
    assert len(quaternion) * len(group) == n_rotations(level)
    assert weight.sum() == pytest.approx(1, abs=1e-12)
    full = quaternion_product(rotation_group_sample(level)[0], alignment(group))
    number, angle = RotationIndex(full).nearest(group.images(quaternion).reshape(-1, 4))
    assert angle.max() < 1e-6
    np.testing.assert_array_equal(np.sort(number), np.arange(len(full)))
    for degree in (1, 2, 3, 4, 5):
        assert worst_moment(quaternion, weight, group, degree) < 1e-12


@pytest.mark.parametrize("symbol", HALF_FITTING)
def test_other_groups_leave_nearly_their_share(symbol):
    group = anywhere(symbol)
    errors = []
    for level in (3, 6):
        quaternion, weight = reduced_sample(level, group)
        assert len(quaternion) == pytest.approx(n_rotations(level) / len(group), rel=0.1)
        assert weight.sum() == pytest.approx(1, abs=1e-12)
        assert group.in_fundamental_zone(quaternion).all()
        # No two samples stand for one orientation.
        indptr, _ = RotationIndex(quaternion, group).within(quaternion, 1e-3)
        np.testing.assert_array_equal(np.diff(indptr), 1)
        errors.append(max(worst_moment(quaternion, weight, group, degree) for degree in (1, 2, 3, 4)))
    assert errors[0] < 0.02
    assert errors[1] < errors[0] / 3


@pytest.mark.parametrize("symbol", ["D4", "O"])
def test_weights_of_other_groups_are_the_volumes_of_their_cells(symbol):
    group = anywhere(symbol)
    quaternion, weight = reduced_sample(3, group)
    number, _ = RotationIndex(quaternion, group).nearest(random_quaternions(200_000))
    volume = np.bincount(number, minlength=len(quaternion)) / 200_000
    np.testing.assert_allclose(weight, volume, rtol=0.2)
    assert np.std(weight / volume - 1) < 0.06


@pytest.mark.parametrize("symbol", ["C2", "T", "I", "C4", "D6", "O"])
def test_covering_radius_against_random_rotations(symbol):
    group = anywhere(symbol)
    quaternion, _ = reduced_sample(3, group)
    radius = reduced_covering_radius_deg(3, group)
    farthest = RotationIndex(quaternion, group).nearest(random_quaternions(100_000))[1].max()
    assert 0.95 * radius < farthest <= radius + 1e-9
    ratio = radius / covering_radius_deg(3)
    assert ratio == 1 if symbol in FITTING else 1 < ratio < 1.4


@pytest.mark.parametrize("symbol", HALF_FITTING)
def test_gaps_at_the_boundary_are_filled(symbol):
    """C4 about z would leave 1.65 times the covering radius at level 3."""
    group = PointGroup.named(symbol)
    for level in (3, 4):
        assert 1 < reduced_covering_radius_deg(level, group) / covering_radius_deg(level) < 1.3


def test_the_even_sequence_is_even():
    """Moments of degree 2 to 1e-3 at 20 000 points; random points miss them by several 1e-3."""
    matrices = Rotation.from_quat(_even_sequence(20_000), scalar_first=True).as_matrix()
    second = np.einsum("rij,rkl->ikjl", matrices, matrices) / 20_000
    np.testing.assert_allclose(second, np.einsum("ik,jl->ikjl", np.eye(3), np.eye(3)) / 3, atol=1e-3)


def test_the_noun_of_a_crystal():
    """Orthorhombic, turned anyhow: a quarter of the sample, and every orientation has an equivalent one nearby."""
    crystal = Crystal((9.1, 10.3, 11.9, 90, 90, 90), "P 21 21 21", rotation_about_axis((1, 2, 3), 33.0))
    group = PointGroup.of_crystal(crystal)
    sample = Orientations.over_rotation_group(3, group)
    assert len(sample) == 345
    _, angle = RotationIndex(sample.quaternion, group).nearest(random_quaternions(1000))
    assert angle.max() <= covering_radius_deg(3)
