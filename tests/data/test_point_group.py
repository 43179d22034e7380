import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from fewphoton.data import Crystal
from fewphoton.data.orientations import rotation_about_axis
from fewphoton.data.point_group import (
    PointGroup,
    positive_quaternions,
    quaternion_inverse,
    quaternion_product,
    rotation_angles_deg,
)
from fewphoton.errors import DataError

ORDERS = {"C1": 1, "C2": 2, "C4": 4, "C6": 6, "D2": 4, "D3": 6, "D4": 8, "D6": 12, "T": 12, "O": 24, "I": 60}
HALF = np.sqrt(0.5)


def rotations(quaternion):
    return Rotation.from_quat(quaternion, scalar_first=True)


def random_quaternions(n, seed=0):
    return Rotation.random(n, np.random.default_rng(seed)).as_quat(scalar_first=True)


def test_products_by_hand():
    """i j = k, j i = -k; a quarter turn about z takes x to y."""
    i, j, k = np.eye(4)[1:]
    np.testing.assert_array_equal(quaternion_product(i, j), k)
    np.testing.assert_array_equal(quaternion_product(j, i), -k)
    quarter = np.array([HALF, 0, 0, HALF])
    turned = quaternion_product(quaternion_product(quarter, i), quaternion_inverse(quarter))
    np.testing.assert_allclose(turned, j, atol=1e-15)


def test_products_inverses_and_angles_against_scipy():
    a, b = random_quaternions(200), random_quaternions(200, 1)
    np.testing.assert_allclose(
        rotations(quaternion_product(a, b)).as_matrix(), (rotations(a) * rotations(b)).as_matrix(), atol=1e-14
    )
    np.testing.assert_allclose(rotations(quaternion_inverse(a)).as_matrix(), rotations(a).inv().as_matrix(), atol=1e-14)
    np.testing.assert_allclose(
        rotation_angles_deg(a, -b), np.rad2deg((rotations(a) * rotations(b).inv()).magnitude()), rtol=1e-12
    )


@pytest.mark.parametrize("angle_deg", [0.0, 1e-7, 0.5, 90.0, 180.0])
def test_small_and_large_angles_keep_their_digits(angle_deg):
    turned = np.array([[np.cos(np.deg2rad(angle_deg / 2)), 0, np.sin(np.deg2rad(angle_deg / 2)), 0]])
    np.testing.assert_allclose(rotation_angles_deg(turned, np.array([[1.0, 0, 0, 0]])), angle_deg, rtol=1e-6)


def test_signs():
    given = np.array([[-0.5, 0.5, 0.5, 0.5], [0, -1.0, 0, 0], [0, 0, -HALF, HALF], [1e-17, -1, 0, 0]])
    expected = np.array([[0.5, -0.5, -0.5, -0.5], [0, 1.0, 0, 0], [0, 0, HALF, -HALF], [-1e-17, 1, 0, 0]])
    np.testing.assert_array_equal(positive_quaternions(given), expected)


@pytest.mark.parametrize(("symbol", "order"), list(ORDERS.items()))
def test_named_groups_against_scipy(symbol, order):
    group = PointGroup.named(symbol)
    assert len(group) == order
    expected = positive_quaternions(Rotation.create_group(symbol).as_quat(scalar_first=True))
    np.testing.assert_allclose(positive_quaternions(group.quaternion), expected)


@pytest.mark.parametrize("symbol", ["X", "C0", "D", "", "Oh"])
def test_unknown_names_are_refused(symbol):
    with pytest.raises(DataError, match="unknown group"):
        PointGroup.named(symbol)


@pytest.mark.parametrize(
    "quaternion",
    [
        np.zeros((0, 4)),
        [[1.0, 0, 0, 0], [HALF, HALF, 0, 0]],  # a quarter turn without its square
        [[1.0, 0, 0, 0], [-1.0, 0, 0, 0]],  # one rotation twice
        [[0.0, 1, 0, 0]],  # no identity
        [[2.0, 0, 0, 0]],
        [[np.nan, 0, 0, 0]],
    ],
)
def test_what_is_no_group_is_refused(quaternion):
    with pytest.raises(DataError):
        PointGroup(np.asarray(quaternion, dtype=float))


CRYSTALS = [
    ((7.0, 8.0, 9.0, 80.0, 95.0, 100.0), "P -1", 1),
    ((9.0, 10.0, 12.0, 90, 105, 90), "P 1 21 1", 2),
    ((9.1, 10.3, 11.9, 90, 90, 90), "P 21 21 21", 4),
    ((10.0, 10.0, 14.0, 90, 90, 90), "P 41", 4),
    ((10.0, 10.0, 14.0, 90, 90, 90), "P 43 21 2", 8),
    ((10.0, 10.0, 14.0, 90, 90, 120), "P 32 2 1", 6),
    ((9.0, 9.0, 12.0, 90.0, 90.0, 120.0), "P 61 2 2", 12),
    ((10.0,) * 3 + (90.0,) * 3, "P 21 3", 12),
    ((10.0,) * 3 + (90.0,) * 3, "I -4 3 d", 24),
]


@pytest.mark.parametrize(("cell", "space_group", "order"), CRYSTALS)
def test_a_crystals_group_turns_reflections_onto_equivalents(cell, space_group, order):
    """For each S: R S sees at q a reflection of the same Laue class that R sees there (gemmi's asymmetric unit)."""
    crystal = Crystal(cell, space_group, rotation_about_axis((0.3, -0.5, 0.8), 77.0))
    group = PointGroup.of_crystal(crystal)
    assert len(group) == order
    hkl = np.array([[1, 2, 3], [4, -1, 2], [0, 3, 1]])
    for matrix in rotations(group.quaternion).as_matrix():
        seen = np.linalg.solve(matrix @ crystal.ub_matrix, crystal.ub_matrix @ hkl.T).T
        np.testing.assert_allclose(seen, np.rint(seen), atol=1e-9)
        np.testing.assert_array_equal(crystal.to_laue_asu(np.rint(seen).astype(int)), crystal.to_laue_asu(hkl))


def test_a_cell_that_only_nearly_fits_its_symmetry_has_an_exact_group():
    """Products of the operations repeat to rounding, though the cell is off by 1e-5."""
    crystal = Crystal((10.0, 10.00001, 10.0, 90.00005, 90, 90), "P 4 3 2", rotation_about_axis((1, 2, 3), 40.0))
    group = PointGroup.of_crystal(crystal)
    products = quaternion_product(group.quaternion[:, None], group.quaternion[None]).reshape(-1, 4)
    distance = rotation_angles_deg(products[:, None], group.quaternion[None]).min(axis=1)
    assert distance.max() < 1e-9


@pytest.mark.parametrize("symbol", list(ORDERS))
def test_equivalent_orientations_meet_in_one_that_is_smallest(symbol):
    group = PointGroup.named(symbol).turned(random_quaternions(1, 9)[0])
    quaternion = random_quaternions(50)
    reduced = group.reduce(quaternion)
    for image in np.moveaxis(group.images(quaternion), 1, 0):
        np.testing.assert_allclose(group.reduce(image), reduced, atol=1e-9)
    angle = (rotations(group.images(quaternion).reshape(-1, 4))).magnitude().reshape(50, -1)
    np.testing.assert_allclose(rotations(reduced).magnitude(), angle.min(axis=1), atol=1e-9)
    against_scipy = rotations(quaternion).reduce(right=rotations(group.quaternion)).magnitude()
    np.testing.assert_allclose(rotations(reduced).magnitude(), against_scipy, atol=1e-9)
    assert group.in_fundamental_zone(reduced).all()


@pytest.mark.parametrize("symbol", ["C2", "C4", "D2", "D4", "D6", "T", "O", "I"])
def test_orientations_on_the_boundary_have_one_representative(symbol):
    """Halves of the group's turns: as far from the identity as from another operation."""
    group = PointGroup.named(symbol)
    halves = positive_quaternions(group.quaternion[1:]) + np.array([1.0, 0, 0, 0])
    halves /= np.linalg.norm(halves, axis=1)[:, None]
    for half in halves:
        images = group.images(half[None])[0]
        reduced = group.reduce(images)
        np.testing.assert_allclose(reduced, np.broadcast_to(reduced[0], reduced.shape), atol=1e-7)
        assert group.in_fundamental_zone(images).sum() == 1


def test_zones_hold_their_share_of_random_orientations():
    quaternion = random_quaternions(100_000)
    for symbol in ("C4", "D3", "O", "I"):
        group = PointGroup.named(symbol)
        share = group.in_fundamental_zone(quaternion).mean()
        assert share == pytest.approx(1 / len(group), abs=4 * np.sqrt(1 / len(group) / 100_000))


@given(st.sampled_from(sorted(ORDERS)), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_angles_up_to_symmetry_against_all_pairs(symbol, seed):
    group = PointGroup.named(symbol)
    first, second = random_quaternions(20, seed), random_quaternions(20, seed + 5000)
    expected = [
        np.rad2deg((rotations(a).inv() * rotations(images)).magnitude().min())
        for a, images in zip(first, group.images(second), strict=True)
    ]
    np.testing.assert_allclose(group.angles_deg(first, second), expected, atol=1e-9)
    np.testing.assert_allclose(group.angles_deg(second, first), expected, atol=1e-9)
