import numba
import numpy as np
import pytest

from fewphoton.kernels import sparse_rows
from fewphoton.kernels import windowed_views as kernels
from tests.kernels import naive
from tests.kernels.windows_of_frames import BLOCK, chosen_blocks, columns, packed

N_FRAMES, N_PIXELS, N_COLUMNS, N_BLOCKS = 60, 25, 192, 6


@pytest.fixture(params=["jitted", "python"])
def mode(request, monkeypatch):
    if request.param == "python":
        naive.in_python(monkeypatch, kernels)
        naive.in_python(monkeypatch, sparse_rows)


@pytest.fixture
def marks():
    marks = np.random.default_rng(0).random((N_FRAMES, N_BLOCKS)) < 0.3
    marks[::2] = True  # every second frame keeps all, so pixels hold more and fewer than eight of them
    marks[5] = False
    return marks


@pytest.fixture
def photons():
    rng = np.random.default_rng(1)
    indptr = np.concatenate([[0], np.cumsum(rng.poisson(30, N_PIXELS))]).astype(np.int64)
    indptr[4:] -= indptr[4] - indptr[3]  # a dark pixel
    index = rng.integers(0, N_FRAMES, indptr[-1]).astype(np.int32)
    return indptr, index, rng.integers(1, 4, indptr[-1]).astype(np.float32)


@pytest.fixture
def probability():
    return np.random.default_rng(2).random((N_FRAMES, N_COLUMNS)).astype(np.float32)


def kept_in_packed(probability, marks):
    indptr, block = chosen_blocks(marks)
    return indptr, block, np.arange(len(block)), packed(probability, marks)


def kept_in_dense(probability, marks):
    indptr, block = chosen_blocks(marks)
    place = np.repeat(np.arange(N_FRAMES), np.diff(indptr)) * N_BLOCKS + block
    return indptr, block, place, probability.reshape(-1, BLOCK)


@pytest.mark.parametrize("kept", [kept_in_packed, kept_in_dense])
@pytest.mark.usefixtures("mode")
def test_views_are_those_of_probabilities_that_are_zero_elsewhere(photons, probability, marks, kept):
    total = np.full((N_PIXELS, N_COLUMNS), 2.0, dtype=np.float32)
    kernels.add_weighted_blocks(*photons, *kept(probability, marks), N_BLOCKS, total)
    expected = naive.weighted_rows(*photons, np.where(columns(marks, N_COLUMNS), probability, 0.0))
    np.testing.assert_allclose(total, 2.0 + expected, rtol=1e-5)


@pytest.mark.usefixtures("mode")
def test_no_photons_and_no_blocks_change_nothing(probability, photons):
    total = np.ones((N_PIXELS, N_COLUMNS), dtype=np.float32)
    nothing = np.zeros((N_FRAMES, N_BLOCKS), dtype=bool)
    kernels.add_weighted_blocks(*photons, *kept_in_packed(probability, nothing), N_BLOCKS, total)
    dark = np.zeros(N_PIXELS + 1, dtype=np.int64), np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32)
    kernels.add_weighted_blocks(*dark, *kept_in_packed(probability, ~nothing), N_BLOCKS, total)
    np.testing.assert_array_equal(total, 1.0)


@pytest.mark.parametrize("n_orientations", [N_COLUMNS, N_COLUMNS - 9])
@pytest.mark.usefixtures("mode")
def test_column_sums_add(probability, marks, n_orientations):
    total = np.ones(n_orientations)
    weight = np.random.default_rng(3).random(N_FRAMES)
    kernels.block_column_sums(*kept_in_packed(probability, marks), weight, total)
    expected = weight @ np.where(columns(marks, N_COLUMNS), probability.astype(float), 0.0)
    np.testing.assert_allclose(total, 1 + expected[:n_orientations])


@pytest.mark.parametrize("n_orientations", [N_COLUMNS, N_COLUMNS - 9])
@pytest.mark.usefixtures("mode")
def test_row_sums(probability, marks, n_orientations):
    total = np.full(N_FRAMES, np.nan)
    weight = np.random.default_rng(4).random(n_orientations)
    kernels.block_row_sums(*kept_in_packed(probability, marks), weight, total)
    inside = np.where(columns(marks, N_COLUMNS), probability.astype(float), 0.0)
    np.testing.assert_allclose(total, inside[:, :n_orientations] @ weight)


def test_threads_change_no_bit(photons, probability, marks):
    before = numba.get_num_threads()
    found = []
    for threads in (1, before):
        numba.set_num_threads(threads)
        total, sums = np.zeros((N_PIXELS, N_COLUMNS), dtype=np.float32), np.zeros(N_COLUMNS)
        kept = kept_in_packed(probability, marks)
        kernels.add_weighted_blocks(*photons, *kept, N_BLOCKS, total)
        kernels.block_column_sums(*kept, np.ones(N_FRAMES), sums)
        found.append((total, sums))
    numba.set_num_threads(before)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
