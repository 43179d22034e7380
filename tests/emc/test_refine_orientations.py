import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from fewphoton.data import Orientations
from fewphoton.data.point_group import PointGroup, quaternion_product
from fewphoton.data.reduced_rotations import reduced_covering_radius_deg
from fewphoton.data.rotation_group import RotationIndex, covering_radius_deg
from fewphoton.emc.refine_orientations import FineAround, OrientationLists, keep_probable, safe_reach_deg
from fewphoton.errors import DataError
from fewphoton.kernels.volume_slices import expand


def random_quaternions(n, seed=0):
    return Rotation.random(n, np.random.default_rng(seed)).as_quat(scalar_first=True)


def naive_lists(probability, threshold):
    return [np.flatnonzero(row > threshold * row.max()).tolist() for row in probability]


def as_lists(lists):
    return [lists.of_frame(frame).tolist() for frame in range(lists.n_frames)]


PROBABILITY = np.array([[0.0, 0.7, 0.2, 0.1], [0.25, 0.25, 0.25, 0.25], [0, 0, 0, 0], [0.98, 0.0, 0.02, 0]], np.float32)


def test_kept_by_hand():
    kept, lost = keep_probable(PROBABILITY, 0.2)
    assert as_lists(kept) == [[1, 2], [0, 1, 2, 3], [], [0]]
    np.testing.assert_allclose(lost, [0.1, 0, 0, 0.02], rtol=1e-6)
    assert kept.n_orientations == 4
    assert kept.fraction() == 7 / 16


def test_without_a_threshold_all_that_is_not_zero_is_kept():
    kept, lost = keep_probable(PROBABILITY, 0.0)
    assert as_lists(kept) == [[1, 2, 3], [0, 1, 2, 3], [], [0, 2]]
    np.testing.assert_array_equal(lost, 0)


@given(st.integers(0, 10_000), st.floats(0, 0.99))
@settings(max_examples=25, deadline=None)
def test_kept_against_a_naive_twin_and_by_shards(seed, threshold):
    """Two ranks that share the largest probability keep what one would."""
    rng = np.random.default_rng(seed)
    probability = rng.dirichlet(np.full(12, 0.2), 9).astype(np.float32)
    kept, lost = keep_probable(probability, threshold)
    assert as_lists(kept) == naive_lists(probability, threshold)
    assert all(len(one) for one in as_lists(kept))
    largest = probability.max(axis=1).astype(np.float64)
    left, lost_left = keep_probable(probability[:, :5], threshold, largest)
    right, lost_right = keep_probable(probability[:, 5:], threshold, largest)
    joined = [a + [r + 5 for r in b] for a, b in zip(as_lists(left), as_lists(right), strict=True)]
    assert joined == as_lists(kept)
    np.testing.assert_allclose(lost_left + lost_right, lost, atol=1e-12)


@pytest.mark.parametrize("threshold", [-0.1, 1.0, np.nan])
def test_impossible_thresholds_are_refused(threshold):
    with pytest.raises(DataError, match="threshold"):
        keep_probable(PROBABILITY, threshold)


def test_impossible_probabilities_are_refused():
    for bad in (np.nan, -0.1, np.inf):
        with pytest.raises(DataError, match="finite"):
            keep_probable(np.array([[0.5, bad]], dtype=np.float32), 0.1)
    with pytest.raises(DataError, match="n_frames"):
        keep_probable(np.zeros(3, dtype=np.float32), 0.1)
    with pytest.raises(DataError, match="largest"):
        keep_probable(PROBABILITY, 0.1, np.ones(3))


def test_no_frames_and_no_columns():
    kept, lost = keep_probable(np.zeros((0, 7), dtype=np.float32), 0.1)
    assert (kept.n_frames, len(lost), kept.fraction()) == (0, 0, 0.0)
    kept, _ = keep_probable(np.zeros((3, 0), dtype=np.float32), 0.1)
    assert as_lists(kept) == [[], [], []]


def test_lists_by_orientation():
    lists = OrientationLists(np.array([0, 2, 2, 5]), np.array([1, 3, 0, 1, 2], dtype=np.int32), 5)
    indptr, frame = lists.by_orientation()
    assert [frame[indptr[r] : indptr[r + 1]].tolist() for r in range(5)] == [[2], [0, 2], [2], [0], []]
    assert (indptr.dtype, frame.dtype) == (np.int64, np.int32)


@pytest.mark.parametrize(
    ("indptr", "index"), [([0, 2], [1]), ([1, 1], [0]), ([], []), ([0, 2, 1], [0]), ([0, 1], [4]), ([0, 1], [-1])]
)
def test_lists_that_do_not_fit_are_refused(indptr, index):
    with pytest.raises(DataError, match="orientation lists"):
        OrientationLists(np.array(indptr, dtype=np.int64), np.array(index, dtype=np.int32), 4)


@pytest.mark.parametrize("symbol", [None, "D2", "O"])
def test_candidates_hold_the_best_of_both_samples(symbol):
    """1000 random truths: the fine orientation nearest to each is about the coarse one nearest to it."""
    group = None if symbol is None else PointGroup.named(symbol).turned(random_quaternions(1, 5)[0])
    coarse, fine = (Orientations.over_rotation_group(level, group) for level in (2, 4))
    radius = [
        covering_radius_deg(level) if group is None else reduced_covering_radius_deg(level, group) for level in (2, 4)
    ]
    around = FineAround.build(coarse, fine, safe_reach_deg(*radius), group)
    truth = random_quaternions(1000, 1)
    nearest_coarse, _ = RotationIndex(coarse.quaternion, group).nearest(truth)
    nearest_fine, _ = RotationIndex(fine.quaternion, group).nearest(truth)
    kept = OrientationLists(np.arange(1001), nearest_coarse.astype(np.int32), len(coarse))
    candidates = around.candidates(kept)
    assert all(best in candidates.of_frame(frame) for frame, best in enumerate(nearest_fine))
    assert candidates.fraction() < (0.15 if group is None else 0.9)


def test_candidates_against_all_pairs():
    coarse, fine = Orientations.over_rotation_group(1), Orientations.over_rotation_group(2)
    around = FineAround.build(coarse, fine, 50.0)
    angle = np.rad2deg(2 * np.arccos(np.clip(np.abs(coarse.quaternion @ fine.quaternion.T), 0, 1)))
    rng = np.random.default_rng(3)
    probability = rng.dirichlet(np.full(60, 0.05), 20).astype(np.float32)
    probability[4] = 0.0
    kept, _ = keep_probable(probability, 0.1)
    candidates = around.candidates(kept)
    assert candidates.n_orientations == 420
    for frame in range(20):
        expected = np.flatnonzero((angle[kept.of_frame(frame)] <= 50).any(axis=0))
        np.testing.assert_array_equal(candidates.of_frame(frame), expected)
    assert len(candidates.of_frame(4)) == 0
    assert candidates.index.dtype == np.int32


def test_all_kept_is_the_whole_fine_sample():
    coarse, fine = Orientations.over_rotation_group(1), Orientations.over_rotation_group(3)
    around = FineAround.build(coarse, fine, safe_reach_deg(covering_radius_deg(1), covering_radius_deg(3)))
    kept, _ = keep_probable(np.full((2, 60), 1 / 60, dtype=np.float32), 0.5)
    assert around.candidates(kept).fraction() == 1.0


def test_a_reach_that_leaves_gaps_is_refused():
    coarse, fine = Orientations.over_rotation_group(1), Orientations.over_rotation_group(3)
    with pytest.raises(DataError, match="never be tried"):
        FineAround.build(coarse, fine, 20.0)


def test_lists_of_another_sample_are_refused():
    coarse = Orientations.over_rotation_group(1)
    around = FineAround.build(coarse, coarse, 1.0)
    with pytest.raises(DataError, match="coarse"):
        around.candidates(OrientationLists(np.array([0, 0]), np.zeros(0, dtype=np.int32), 61))


def test_equivalent_orientations_expect_the_same_frame(rows, experiment):
    """A volume of mmm symmetry, sliced as EMC does: R and R S agree for S of the crystal, and for no other turn."""
    group = PointGroup.of_crystal(experiment.crystal)
    assert len(group) == 4
    axis = np.abs(np.arange(rows.n_voxels) - rows.n_voxels // 2).astype(np.float64)
    h, k, m = np.meshgrid(axis, axis, axis, indexing="ij")
    volume = 2 + np.sin(0.7 * h) * np.cos(0.4 * k) + np.sin(0.3 * m + 0.2 * h)
    orientation = random_quaternions(1, 11)

    def frames(quaternion):
        matrices = Orientations(quaternion, np.full(len(quaternion), 1 / len(quaternion))).matrices()
        table = np.empty((rows.n_rows, len(quaternion)), dtype=np.float32)
        expand(volume, rows.q_inv_angstrom, rows.transforms(experiment.crystal, matrices), rows.origin, table)
        return table

    expected = frames(orientation)
    np.testing.assert_allclose(frames(group.images(orientation)[0]), np.tile(expected, 4), rtol=1e-5)
    from_the_left = quaternion_product(group.quaternion, orientation)
    differing = np.abs(frames(from_the_left) / expected - 1).max(axis=0) > 0.1
    np.testing.assert_array_equal(differing, np.abs(group.quaternion[:, 0]) < 0.5)
