import numpy as np
import pytest

from fewphoton.kernels import window_choice as kernels
from tests.kernels import naive
from tests.kernels.windows_of_frames import BLOCK, chosen_blocks, columns

N_FRAMES, N_LOCAL, N_BLOCKS = 40, 150, 5


@pytest.fixture(params=["jitted", "python"], autouse=True)
def mode(request, monkeypatch):
    if request.param == "python":
        naive.in_python(monkeypatch, kernels)


@pytest.fixture
def probability():
    """Frames from flat to one sharp peak; rows filled up to whole blocks with zeros."""
    rng = np.random.default_rng(0)
    distance = np.arange(N_LOCAL) - rng.integers(0, N_LOCAL, N_FRAMES)[:, None]
    width = np.geomspace(1, 200, N_FRAMES)[:, None]
    values = np.zeros((N_FRAMES, N_BLOCKS * BLOCK), dtype=np.float32)
    values[:, :N_LOCAL] = np.exp(-0.5 * (distance / width) ** 2)
    return values / values.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("first", "per_column"), [(0, 1e-4), (0, 1e-9), (7, 1e-4), (50, 1e-3)])
def test_marks_are_blocks_of_all_orientations_that_hold_more_than_their_share(probability, first, per_column):
    n_blocks = -(-(first + N_LOCAL) // BLOCK)
    marks = np.zeros((N_FRAMES, n_blocks), dtype=np.uint8)
    kernels.mark_blocks(probability, first, N_LOCAL, per_column, marks)
    block = (first + np.arange(N_LOCAL)) // BLOCK
    for b in range(n_blocks):
        own = probability[:, :N_LOCAL][:, block == b].astype(float)
        np.testing.assert_array_equal(marks[:, b], own.sum(axis=1) > per_column * own.shape[1])


def test_margins_by_hand():
    marks = np.array([[1, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0], [1, 0, 0, 1, 0, 0]], dtype=np.uint8)
    out = np.full_like(marks, 7)
    kernels.widen_marks(marks, 1, True, 6, out)
    assert out.tolist() == [[1, 1, 0, 0, 0, 1], [0, 1, 1, 1, 0, 0], [0] * 6, [1, 1, 1, 1, 1, 1]]
    kernels.widen_marks(marks, 1, False, 6, out)
    assert out.tolist() == [[1, 1, 0, 0, 0, 0], [0, 1, 1, 1, 0, 0], [0] * 6, [1, 1, 1, 1, 1, 0]]
    kernels.widen_marks(marks, 1, False, 2, out)
    assert out.tolist() == [[1, 1, 0, 0, 0, 0], [1] * 6, [0] * 6, [1] * 6]
    kernels.widen_marks(marks, 9, True, 6, out)
    assert out.tolist() == [[1] * 6, [1] * 6, [0] * 6, [1] * 6]


def kept(probability, given, per_column, whole_above):
    indptr, block = chosen_blocks(given)
    place = (np.repeat(np.arange(N_FRAMES), np.diff(indptr)) * N_BLOCKS + block).astype(np.int64)
    rows = indptr, block, place, probability.reshape(-1, BLOCK), N_LOCAL, per_column
    n_kept, total, dropped = np.empty(N_FRAMES, dtype=np.int64), np.empty(N_FRAMES), np.empty(N_FRAMES)
    kernels.weigh_blocks(*rows, whole_above, n_kept, total, dropped)
    kept_indptr = np.concatenate([[0], np.cumsum(n_kept)])
    kept_block = np.full(kept_indptr[-1], -1, dtype=np.int32)
    kept_place = np.full(kept_indptr[-1], -1, dtype=np.int64)
    kernels.keep_blocks(*rows, kept_indptr, kept_block, kept_place)
    marks = np.zeros((N_FRAMES, N_BLOCKS), dtype=bool)
    frame = np.repeat(np.arange(N_FRAMES), n_kept)
    marks[frame, kept_block] = True
    np.testing.assert_array_equal(kept_place, frame * N_BLOCKS + kept_block)
    return marks, total, dropped


@pytest.mark.parametrize("lost", [1e-2, 1e-6])
def test_what_is_dropped_is_told_and_bounded(probability, lost):
    given = np.random.default_rng(4).random((N_FRAMES, N_BLOCKS)) < 0.7
    marks, total, dropped = kept(probability, given, lost / N_LOCAL, N_BLOCKS)
    held = np.where(columns(given, N_LOCAL), probability[:, :N_LOCAL].astype(float), 0.0)
    np.testing.assert_allclose(total, held.sum(axis=1))
    np.testing.assert_allclose(dropped, np.where(columns(marks, N_LOCAL), 0.0, held).sum(axis=1), atol=1e-15)
    assert (dropped <= lost).all()
    assert not (marks & ~given).any()
    # A kept block holds more than the part of the loss that its columns may make up.
    mass = np.add.reduceat(probability[:, :N_LOCAL].astype(float), np.arange(0, N_LOCAL, BLOCK), axis=1)
    width = np.array([32, 32, 32, 32, 22])
    np.testing.assert_array_equal(marks, given & (mass > lost * width / N_LOCAL))
    assert 0 < marks.sum() < given.sum()


def test_frames_that_would_keep_many_blocks_keep_all(probability):
    given = np.ones((N_FRAMES, N_BLOCKS), dtype=bool)
    plain, _, lost = kept(probability, given, 1e-5, N_BLOCKS)
    marks, _, dropped = kept(probability, given, 1e-5, 2)
    many = plain.sum(axis=1) > 2
    assert 0 < many.sum() < N_FRAMES
    assert marks[many].all()
    np.testing.assert_array_equal(marks[~many], plain[~many])
    np.testing.assert_array_equal(dropped, np.where(many, 0.0, lost))
