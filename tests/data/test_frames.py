from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewphoton.data import FrameTable, Orientations, PeakTable, PhotonFrames, Reflections
from fewphoton.data.arrays import frozen_array
from fewphoton.errors import DataError, GeometryError
from tests.conftest import random_frames


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 12), st.integers(1, 40), st.floats(0, 30), st.integers(0, 9))
def test_dense_round_trip_and_selection(n_frames, n_pixels, mean, seed):
    rng = np.random.default_rng(seed)
    dense = rng.poisson(mean / n_pixels, (n_frames, n_pixels))
    frames = PhotonFrames.from_dense(dense).validate()
    np.testing.assert_array_equal(frames.to_dense(), dense)
    np.testing.assert_array_equal(frames.totals(), dense.sum(axis=1))
    chosen = rng.permutation(n_frames)
    np.testing.assert_array_equal(frames.take(chosen).validate().to_dense(), dense[chosen])
    cut = n_frames // 2
    joined = PhotonFrames.concatenate([frames.take(slice(0, cut)), frames.take(slice(cut, n_frames))])
    np.testing.assert_array_equal(joined.to_dense(), dense)


def test_frames_are_frozen():
    frames = random_frames(3, 10, 4.0)
    with pytest.raises(ValueError, match="read-only"):
        frames.count[:] = 1


def make(indptr, pixel, count, n_pixels=5):
    return PhotonFrames(
        np.array(indptr), np.array(pixel), np.array(count), n_pixels, FrameTable.unknown(len(indptr) - 1)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 2, 1, 3], [0, 1, 2], [1, 1, 1]), "indptr falls at frame 1"),
        (([0, 1], [5], [1]), "outside the frame of 5"),
        (([0, 1], [1], [0]), "count is 0"),
        (([0, 1, 3], [0, 2, 2], [1, 1, 1]), "pixel numbers of frame 1"),
        (([0, 2], [0], [1]), "run from 0"),
        (([0, 1], [0], [1, 2]), "expected shape"),
        (([0, 1], [0], [0.5]), "expected integers"),
        (([0, 1], [-1], [1]), "do not fit"),
    ],
)
def test_broken_rules_are_named(arguments, message):
    with pytest.raises(DataError, match=message):
        make(*arguments).validate()


def test_frames_of_different_detectors_do_not_join():
    with pytest.raises(DataError, match="same number of pixels"):
        PhotonFrames.concatenate([random_frames(1, 4, 1.0), random_frames(1, 5, 1.0)])


def test_table_rows_must_match():
    with pytest.raises(DataError, match="2 rows for 1 frames"):
        PhotonFrames(np.array([0, 0]), np.array([], int), np.array([], int), 3, FrameTable.unknown(2))


def test_peak_tables_are_ordered_and_counted():
    table = PeakTable(np.array([0, 2, 2]), *(np.ones(3) for _ in range(4)), np.ones(3, int), np.zeros(3, bool))
    assert table.counts(4).tolist() == [1, 0, 2, 0]
    with pytest.raises(DataError, match="must not fall"):
        PeakTable(np.array([2, 0]), *(np.ones(2) for _ in range(4)), np.ones(2, int), np.zeros(2, bool))
    with pytest.raises(DataError, match="sigma"):
        PeakTable(
            np.array([0]), *(np.ones(1) for _ in range(3)), np.array([np.nan]), np.ones(1, int), np.zeros(1, bool)
        )


def test_reflections_are_checked():
    rows = Reflections.bare(np.array([[1, 0, 0], [0, 2, 0]]), np.array([3.0, 4.0]))
    assert rows.take(np.array([False, True])).hkl.tolist() == [[0, 2, 0]]
    with pytest.raises(DataError, match="intensity"):
        Reflections.bare(np.array([[1, 0, 0]]), np.array([3.0, 4.0]))


def test_orientation_samples_are_checked():
    scan = Orientations.about_axis((1, 1, 0), 12, start_deg=5)
    np.testing.assert_allclose(scan.weight.sum(), 1)
    np.testing.assert_allclose(scan.shard(3, 5), scan.matrices()[3:5])
    with pytest.raises(DataError, match="at least one angle"):
        Orientations.about_axis((1, 0, 0), 0)
    with pytest.raises(GeometryError, match="length"):
        Orientations.about_axis((0, 0, 0), 3)
    with pytest.raises(DataError, match="unit length"):
        Orientations(np.ones((1, 4)), np.ones(1))
    with pytest.raises(DataError, match="sum to one"):
        Orientations(np.array([[1.0, 0, 0, 0]]), np.array([0.5]))


def test_arrays_are_converted_without_loss():
    assert frozen_array("x", [1, 2], np.uint16, (2,)).dtype == np.uint16
    with pytest.raises(DataError, match="70000 do not fit"):
        frozen_array("x", [1, 70000], np.uint16, (2,))
    with pytest.raises(DataError, match="expected shape"):
        frozen_array("x", [[1]], np.uint16, (1,))


HALF = np.sqrt(0.5)
TURNS = np.array([[1.0, 0, 0, 0], [HALF, 0, HALF, 0], [HALF, 0, 0, HALF]])


def known_table(quaternion):
    return replace(FrameTable.unknown(len(quaternion)), quaternion=quaternion)


def test_known_orientations_follow_their_frames():
    table = known_table(TURNS)
    np.testing.assert_array_equal(table.take([2, 0]).quaternion, TURNS[[2, 0]])
    np.testing.assert_array_equal(table.take(slice(0, 0)).quaternion, np.zeros((0, 4)))
    assert FrameTable.unknown(3).take([1]).quaternion is None
    joined = FrameTable.concatenate([table, FrameTable.unknown(2)])
    np.testing.assert_array_equal(joined.quaternion, np.concatenate([TURNS, np.full((2, 4), np.nan)]))
    assert FrameTable.concatenate([FrameTable.unknown(2), FrameTable.unknown(1)]).quaternion is None


@pytest.mark.parametrize(
    ("quaternion", "message"),
    [
        (2 * TURNS, r"frame 0 must have unit length.*2\.0"),
        (np.concatenate([TURNS[:2], [[np.nan, 0, 0, 1]]]), "frame 2 must have unit length"),
        (TURNS[:, :3], r"expected shape \(3, 4\)"),
    ],
)
def test_orientations_that_are_none_are_refused(quaternion, message):
    with pytest.raises(DataError, match=message):
        known_table(quaternion)
