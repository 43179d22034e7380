import numpy as np
import pytest
from scipy import stats

from fewphoton.data import PhotonFrames
from fewphoton.errors import DataError
from fewphoton.photons.thin import BLOCK_FRAMES, in_blocks, kept_fraction, thin
from tests.conftest import random_frames


def test_each_photon_is_kept_with_the_wanted_probability():
    bright = PhotonFrames.from_dense(np.full((200, 50), 30))
    found = PhotonFrames.concatenate(list(thin([bright], 0.2, seed=1))).validate()
    kept = found.to_dense().ravel()
    expected = stats.binom(30, 0.2)
    assert kept.mean() == pytest.approx(6.0, abs=5 * expected.std() / 100)
    assert kept.var() == pytest.approx(expected.var(), rel=0.1)


def test_nothing_is_invented_and_frames_stay(frames):
    found = PhotonFrames.concatenate(list(thin([frames], 0.3, seed=2)))
    assert found.n_frames == frames.n_frames
    assert (found.to_dense() <= frames.to_dense()).all()
    np.testing.assert_array_equal(found.table.omega_start_deg, frames.table.omega_start_deg)


def test_chunks_do_not_change_the_draws():
    frames = random_frames(BLOCK_FRAMES + 50, 6, 3.0)
    whole = PhotonFrames.concatenate(list(thin([frames], 0.5, seed=3)))
    parts = [frames.take(slice(start, start + 700)) for start in range(0, frames.n_frames, 700)]
    pieces = PhotonFrames.concatenate(list(thin(parts, 0.5, seed=3)))
    np.testing.assert_array_equal(whole.pixel, pieces.pixel)
    other = PhotonFrames.concatenate(list(thin([frames], 0.5, seed=4)))
    assert not np.array_equal(whole.indptr, other.indptr)


def test_blocks_have_a_fixed_size(frames):
    parts = [frames.take(slice(start, start + 4)) for start in range(0, 25, 4)]
    blocks = list(in_blocks(parts, 10))
    assert [block.n_frames for block in blocks] == [10, 10, 5]
    np.testing.assert_array_equal(PhotonFrames.concatenate(blocks).pixel, frames.pixel)


def test_wanting_more_than_there_is_is_refused():
    assert kept_fraction(1000, 10, 25.0) == pytest.approx(0.25)
    with pytest.raises(DataError, match="collapse more"):
        kept_fraction(1000, 10, 101.0)
    with pytest.raises(DataError, match="hold 0"):
        kept_fraction(0, 0, 1.0)
