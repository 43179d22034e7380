import numba
import numpy as np
import pytest
from scipy import special

from fewphoton.kernels import orientation_probability, sparse_rows
from fewphoton.kernels import windowed_probability as kernels
from tests.kernels import naive
from tests.kernels.windows_of_frames import BLOCK, chosen_blocks, columns, unpacked

N_FRAMES, N_ORIENTATIONS, N_COLUMNS, N_PIXELS = 9, 300, 320, 40
N_BLOCKS = 10


@pytest.fixture(params=["jitted", "python"])
def mode(request, monkeypatch):
    if request.param == "python":
        for module in (kernels, orientation_probability, sparse_rows):
            naive.in_python(monkeypatch, module)


@pytest.fixture
def photons():
    rng = np.random.default_rng(3)
    indptr = np.concatenate([[0], np.cumsum(rng.poisson(20, N_FRAMES))]).astype(np.int64)
    indptr[4:] -= indptr[4] - indptr[3]  # a frame without photons
    index = rng.integers(0, N_PIXELS, indptr[-1]).astype(np.int32)
    return indptr, index, rng.integers(1, 3, indptr[-1]).astype(np.float32)


@pytest.fixture
def prior():
    prior = np.random.default_rng(2).random(N_ORIENTATIONS) + 0.1
    return prior / prior.sum()


@pytest.fixture
def marks():
    """Single blocks, runs short and long, the last block, which is not full, all blocks, and none."""
    marks = np.random.default_rng(6).random((N_FRAMES, N_BLOCKS)) < 0.4
    marks[0], marks[1], marks[2], marks[3] = False, True, False, False
    marks[2, 9] = marks[3, 5] = marks[4, 0] = True
    marks[5, 1:8] = True
    return marks


START = np.linspace(-3, -4, N_ORIENTATIONS).astype(np.float32)
FLUENCE = np.linspace(0.5, 1.5, N_FRAMES).astype(np.float32)


def table_of(dtype):
    values = np.random.default_rng(5).normal(0, 0.5, (N_PIXELS, N_COLUMNS))
    return values.astype(dtype) if dtype == np.float32 else (100 + 40 * values).astype(dtype)


def joined(photons, table, prior, marks, beta):
    indptr, block = chosen_blocks(marks)
    values = np.full((len(block), BLOCK), np.nan, dtype=np.float32)
    largest, sums = np.empty(N_FRAMES), np.empty((N_FRAMES, 3))
    kernels.posterior_windows(
        *photons, table, START, FLUENCE, np.log(prior), beta, indptr, block, values, largest, sums
    )
    return values, largest, sums


@pytest.mark.parametrize(("dtype", "beta"), [(np.float32, 1.0), (np.float32, 0.3), (np.int16, 0.01), (np.uint8, 0.01)])
@pytest.mark.usefixtures("mode")
def test_probabilities_are_equation_1_on_the_windows(photons, prior, marks, dtype, beta):
    table = table_of(dtype)
    values, largest, sums = joined(photons, table, prior, marks, beta)
    log_likelihood = naive.weighted_rows(*photons, table)[:, :N_ORIENTATIONS] + FLUENCE[:, None] * START
    inside = columns(marks, N_ORIENTATIONS)
    exponent = np.where(inside, beta * log_likelihood + np.log(prior), -np.inf)[1:]
    expected = special.softmax(exponent, axis=1)
    found = unpacked(values, marks, N_COLUMNS)[1:]
    np.testing.assert_allclose(found[:, :N_ORIENTATIONS], expected, rtol=5e-5, atol=1e-30)
    np.testing.assert_array_equal(found[:, N_ORIENTATIONS:], 0.0)
    top = np.where(inside, log_likelihood, -np.inf).max(axis=1)
    np.testing.assert_allclose(largest[1:], top[1:], rtol=1e-5)
    mass, mass_log, mass_gain = sums[1:].T
    np.testing.assert_allclose(np.log(mass) + beta * largest[1:], special.logsumexp(exponent, axis=1), rtol=1e-5)
    np.testing.assert_allclose(np.log(mass) - mass_log / mass, special.entr(expected).sum(axis=1), atol=1e-4)
    information = special.rel_entr(expected, np.where(inside[1:], prior, 1.0)).sum(axis=1)
    np.testing.assert_allclose(mass_gain / mass - np.log(mass), information, atol=1e-4)


@pytest.mark.usefixtures("mode")
def test_a_frame_without_windows_has_no_likelihood(photons, prior, marks):
    _, largest, sums = joined(photons, table_of(np.float32), prior, marks, 1.0)
    assert largest[0] == -np.inf
    np.testing.assert_array_equal(sums[0], 0.0)


def test_windows_over_all_orientations_give_the_bits_of_whole_rows(photons, prior):
    table = table_of(np.float32)
    marks = np.ones((N_FRAMES, N_BLOCKS), dtype=bool)
    values, largest, sums = joined(photons, table, prior, marks, 1.0)
    table[:, N_ORIENTATIONS:] = -1e3
    dense = np.empty((N_FRAMES, N_COLUMNS), dtype=np.float32)
    dense[:, :N_ORIENTATIONS] = FLUENCE[:, None] * START
    dense[:, N_ORIENTATIONS:] = -1e3
    top, parts = np.empty(N_FRAMES), np.empty((N_FRAMES, 3))
    sparse_rows.add_weighted_rows(*photons, table, dense)
    orientation_probability.row_maxima(dense, top)
    orientation_probability.exponentiate(dense, top, np.log(prior), 1.0, parts)
    orientation_probability.normalize_rows(dense, parts[:, 0])
    np.testing.assert_array_equal(unpacked(values, marks, N_COLUMNS), dense)
    np.testing.assert_array_equal(largest, top)
    np.testing.assert_array_equal(sums, parts)


@pytest.mark.usefixtures("mode")
def test_joined_and_separate_steps_agree(photons, prior, marks):
    table = table_of(np.float32)
    values, largest, sums = joined(photons, table, prior, marks, 0.7)
    indptr, block = chosen_blocks(marks)
    separate, top, parts = np.empty_like(values), np.empty(N_FRAMES), np.empty((N_FRAMES, 3))
    kernels.log_likelihood_windows(*photons, table, START, FLUENCE, indptr, block, separate, top)
    kernels.exponentiate_windows(indptr, block, separate, top, np.log(prior), 0.7, parts)
    kernels.normalize_windows(indptr, separate, parts[:, 0])
    np.testing.assert_array_equal(separate, values)
    np.testing.assert_array_equal(top, largest)
    np.testing.assert_array_equal(parts, sums)


def test_not_a_number_reaches_the_maximum_or_the_sums(photons, prior, marks):
    table = table_of(np.float32)
    frame = 2  # its window is block 9
    table[photons[1][photons[0][frame]], 9 * BLOCK + 4] = np.nan
    _, largest, sums = joined(photons, table, prior, marks, 1.0)
    assert not (np.isfinite(largest[frame]) and np.isfinite(sums[frame]).all())


def test_threads_change_no_bit(photons, prior, marks):
    before = numba.get_num_threads()
    found = []
    for threads in (1, before):
        numba.set_num_threads(threads)
        found.append(joined(photons, table_of(np.float32), prior, marks, 1.0))
    numba.set_num_threads(before)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
