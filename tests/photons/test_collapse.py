from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewphoton.config import CollapseConfig
from fewphoton.data import FrameTable, PhotonFrames
from fewphoton.errors import DataError
from fewphoton.photons.collapse import collapse, sum_frames
from tests.conftest import random_frames


def run(frames, chunk=1000, **options):
    chunks = [frames.take(slice(start, start + chunk)) for start in range(0, frames.n_frames, chunk)]
    return PhotonFrames.concatenate(list(collapse(chunks, frames.table, CollapseConfig(**options))))


def test_by_number_never_across_a_batch(frames):
    found = run(frames, n_frames=4)  # batches of 10, 10 and 5 frames
    np.testing.assert_array_equal(found.table.n_exposures, [4, 4, 2, 4, 4, 2, 4, 1])
    np.testing.assert_array_equal(found.table.batch, [0, 0, 0, 1, 1, 1, 2, 2])
    np.testing.assert_array_equal(found.table.source_index, [0, 4, 8, 10, 14, 18, 20, 24])
    np.testing.assert_allclose(found.table.omega_start_deg, found.table.source_index * 0.1)
    np.testing.assert_allclose(found.table.omega_end_deg[:3], [0.4, 0.8, 1.0])
    np.testing.assert_array_equal(found.to_dense()[0], frames.to_dense()[:4].sum(axis=0))


def test_a_group_longer_than_a_batch_ends_with_it(frames):
    np.testing.assert_array_equal(run(frames, n_frames=20).table.n_exposures, [10, 10, 5])
    np.testing.assert_array_equal(run(frames, collapse_deg=50.0).table.batch, [0, 1, 2])


def test_by_angle(frames):
    found = run(frames, collapse_deg=0.3)
    np.testing.assert_array_equal(found.table.n_exposures, [3, 3, 3, 1, 3, 3, 3, 1, 3, 2])


def test_rejected_frames_do_not_break_a_batch(frames):
    found = run(frames.take(np.r_[0:3, 5:10]), n_frames=4)
    np.testing.assert_array_equal(found.table.source_index, [0, 6])
    np.testing.assert_allclose(found.table.omega_end_deg, [0.6, 1.0])


def test_incomplete_groups_can_be_dropped(frames):
    found = run(frames, n_frames=4, drop_incomplete=True)
    np.testing.assert_array_equal(found.table.n_exposures, 4)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 13), st.integers(1, 30), st.integers(0, 5))
def test_photons_and_exposures_are_conserved_whatever_the_chunks(n_frames, chunk, seed):
    frames = random_frames(25, 30, 4.0, seed)
    found = run(frames, chunk=chunk, n_frames=n_frames).validate()
    np.testing.assert_array_equal(found.to_dense().sum(axis=0), frames.to_dense().sum(axis=0))
    assert found.table.n_exposures.sum() == 25
    np.testing.assert_array_equal(found.to_dense(), run(frames, n_frames=n_frames).to_dense())


def test_unknown_angles_are_refused(frames):
    blind = PhotonFrames(frames.indptr, frames.pixel, frames.count, frames.n_pixels, FrameTable.unknown(25))
    with pytest.raises(DataError, match="n_frames instead"):
        run(blind, collapse_deg=1.0)


def test_counts_beyond_the_file_format_are_refused():
    bright = PhotonFrames.from_dense(np.full((2, 3), 3_000_000_000, dtype=np.int64))
    with pytest.raises(DataError, match="collapse fewer"):
        sum_frames(bright, np.array([0, 2]))


def test_an_orientation_stays_known_where_all_frames_of_a_group_share_it():
    frames = random_frames(6, 30, 5.0)
    turns = np.array([[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 0]])
    known = replace(frames, table=replace(frames.table, quaternion=turns[[0, 0, 1, 2, 2, 2]]))
    summed = sum_frames(known, np.array([0, 2, 4, 5, 6]))
    np.testing.assert_array_equal(summed.table.quaternion[[0, 2, 3]], turns[[0, 2, 2]])
    assert np.isnan(summed.table.quaternion[1]).all()
    assert sum_frames(frames, np.array([0, 6])).table.quaternion is None


def test_true_fluence_and_background_are_averaged_over_exposures():
    table = replace(FrameTable.unknown(4), true_fluence=np.array([1.0, 2.0, 4.0, 5.0]), n_exposures=[1, 3, 1, 1])
    frames = PhotonFrames.from_dense(np.ones((4, 3), dtype=np.uint32), table)
    found = sum_frames(frames, np.array([0, 2, 4]))
    np.testing.assert_allclose(found.table.true_fluence, [1.75, 4.5])
    assert found.table.true_background is None
