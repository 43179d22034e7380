import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from fewphoton.data import Crystal, IntensityVolume
from fewphoton.data.orientations import rotation_matrices
from fewphoton.data.point_group import PointGroup, quaternion_inverse, quaternion_product
from fewphoton.evaluate.volume_alignment import (
    align_on_lattice,
    align_with_turned_frames,
    central_part,
    errors_with_turned_frames,
    lattice_rotations,
    rotated_volume,
)

BOX = Crystal((30.0, 30.0, 30.0, 90, 90, 90), "P 1")
NONE = PointGroup(np.array([[1.0, 0, 0, 0]]))
BEAM = np.array([0.0, 0.0, 1.0])


def rotations(n, seed):
    return Rotation.random(n, np.random.default_rng(seed)).as_quat(scalar_first=True)


@pytest.mark.parametrize(
    ("cell", "space_group", "order"),
    [
        ((9, 10, 11, 90, 90, 90), "P 1", 4),
        ((10, 10, 12, 90, 90, 90), "P 43 21 2", 8),
        ((10, 10, 10, 90, 90, 90), "F 2 3", 24),
        ((10, 10, 12, 90, 90, 120), "P 3", 12),
    ],
)
def test_lattice_rotations_bring_the_lattice_onto_itself(cell, space_group, order):
    turn = Rotation.from_euler("xyz", [20, 40, 70], degrees=True).as_matrix()
    crystal = Crystal(cell, space_group, turn)
    found = lattice_rotations(crystal)
    assert len(found) == order
    np.testing.assert_allclose(found[0], [1, 0, 0, 0], atol=1e-12)
    hkl = np.linalg.inv(crystal.ub_matrix) @ rotation_matrices(found) @ crystal.ub_matrix
    np.testing.assert_allclose(hkl, np.rint(hkl), atol=1e-9)
    assert len(PointGroup(found)) == order


def test_another_indexing_is_found_and_the_right_one_left_alone():
    crystal = Crystal((10, 10, 12, 90, 90, 90), "P 4")
    group = PointGroup.of_crystal(crystal)
    true = rotations(40, 1)
    flip = np.array([0.0, 1.0, 0.0, 0.0])
    for found in (true, quaternion_product(true, flip)):
        aligned = align_on_lattice(found, true, crystal, group)
        assert aligned.error_deg.max() < 1e-5


def test_frames_turned_about_the_beam_do_not_spoil_the_alignment():
    true, alignment = rotations(60, 2), rotations(1, 3)[0]
    found = quaternion_product(true, quaternion_inverse(alignment))
    turned = np.arange(60) % 5 < 2
    found[turned] = quaternion_product(np.array([0.0, 0, 0, 1]), found[turned])
    aligned = align_with_turned_frames(found, true, BEAM, NONE)
    assert aligned.error_deg[~turned].max() < 1e-4
    assert aligned.error_deg[turned].min() > 170
    assert errors_with_turned_frames(found, true, aligned.alignment, BEAM, NONE).max() < 1e-4


def blobs(n, turn, crystal):
    """Three Gaussians placed by hand at A^-1 times their true places: the found volume at A p is the true one at p."""
    axis = np.arange(n) - n // 2
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1) @ crystal.ub_matrix.T
    places = np.array([[6.0, 0, 0], [0, 4, 0], [-3, 0, 5.0]]) / crystal.cell[0]
    values = sum(
        height * np.exp(-((grid - turn @ place) ** 2).sum(axis=-1) / (2 * (2 / crystal.cell[0]) ** 2))
        for height, place in zip((1.0, 2.0, 3.0), places, strict=True)
    )
    return IntensityVolume(values, np.ones((n, n, n)), 1)


def test_the_found_volume_is_turned_into_the_frame_of_the_truth():
    turn = Rotation.from_euler("xyz", [25, -50, 80], degrees=True)
    quaternion = turn.as_quat(scalar_first=True)
    found, true = blobs(25, turn.as_matrix(), BOX), blobs(25, np.eye(3), BOX)
    moved = rotated_volume(found, BOX, quaternion)
    inside = moved.weight > 0
    assert inside.sum() > 0.5 * 25**3
    assert np.corrcoef(moved.values[inside], true.values[inside])[0, 1] > 0.99
    back = rotated_volume(found, BOX, quaternion_inverse(quaternion))
    assert np.corrcoef(back.values[inside], true.values[inside])[0, 1] < 0.8


def test_rotations_of_the_lattice_move_voxels_onto_voxels():
    crystal = Crystal((10, 10, 12, 90, 90, 90), "P 1")
    rng = np.random.default_rng(0)
    weight = (rng.random((9,) * 3) > 0.2).astype(float)
    volume = IntensityVolume(rng.random((9,) * 3), weight, 2)
    quarter = Rotation.from_rotvec([0, 0, np.pi / 2]).as_quat(scalar_first=True)
    moved = rotated_volume(volume, crystal, quarter)
    # What was at A p stands at p: A takes x to y.
    expected = np.flip(volume.values.transpose(1, 0, 2), 1)
    seen = np.flip(weight.transpose(1, 0, 2), 1) > 0
    np.testing.assert_array_equal(moved.weight > 0, seen)
    at = rotation_matrices(quarter[None])[0]
    place = np.rint(np.array([2, 1, 0]) @ at.T).astype(int) + 4
    assert moved.values[6, 5, 4] == pytest.approx(volume.values[tuple(place)]) or not seen[6, 5, 4]
    np.testing.assert_allclose(moved.values[seen], expected[seen], atol=1e-12)


def test_the_middle_of_a_part_is_the_middle():
    volume = IntensityVolume(np.arange(9.0**3).reshape(9, 9, 9), np.ones((9, 9, 9)), 1)
    for n in (5, 8):
        part = central_part(volume, n)
        assert part.values[n // 2, n // 2, n // 2] == volume.values[4, 4, 4]
