import numba
import numpy as np
import pytest
from scipy import special

from fewphoton.kernels import orientation_probability as kernels
from fewphoton.kernels import sparse_rows
from fewphoton.kernels.vector_math import LOG_ERROR
from tests.kernels import naive

N_FRAMES, N_ORIENTATIONS, N_COLUMNS, N_PIXELS = 9, 300, 320, 40


@pytest.fixture(params=["jitted", "python"])
def mode(request, monkeypatch):
    """Run a test with the compiled kernels and with the Python they were compiled from."""
    if request.param == "python":
        naive.in_python(monkeypatch, kernels)
        naive.in_python(monkeypatch, sparse_rows)


@pytest.fixture
def log_likelihood():
    values = np.random.default_rng(1).normal(-300, 8, (N_FRAMES, N_ORIENTATIONS))
    return values.astype(np.float32)


@pytest.fixture
def photons():
    rng = np.random.default_rng(3)
    indptr = np.concatenate([[0], np.cumsum(rng.poisson(20, N_FRAMES))]).astype(np.int64)
    indptr[4:] -= indptr[4] - indptr[3]  # a frame without photons
    index = rng.integers(0, N_PIXELS, indptr[-1]).astype(np.int32)
    return indptr, index, rng.integers(1, 3, indptr[-1]).astype(np.float32)


@pytest.fixture
def table():
    values = np.random.default_rng(5).normal(0, 0.5, (N_PIXELS, N_COLUMNS)).astype(np.float32)
    values[:, N_ORIENTATIONS:] = values[:, N_ORIENTATIONS - 1 : N_ORIENTATIONS]
    return values


@pytest.fixture
def prior():
    prior = np.random.default_rng(2).random(N_ORIENTATIONS) + 0.1
    return prior / prior.sum()


def joined(photons, table, start, prior, beta):
    probability = np.full((N_FRAMES, N_COLUMNS), np.nan, dtype=np.float32)
    largest, sums = np.empty(N_FRAMES), np.empty((N_FRAMES, 3))
    kernels.posterior_rows(
        *photons, table, start, np.ones(N_FRAMES, np.float32), np.log(prior), beta, probability, largest, sums
    )
    return probability, largest, sums


@pytest.mark.usefixtures("mode")
def test_log_expected_floors_and_shifts():
    table = np.array([[0.0, 1.0, np.e]], dtype=np.float32)
    kernels.log_expected(table, 1e-3, np.array([0.5]))
    np.testing.assert_allclose(table, [[np.log(1e-3) - 0.5, -0.5, 0.5]], rtol=1e-6)


def test_log_expected_keeps_its_error_over_magnitudes():
    table = np.exp(np.linspace(-60, 20, 3000)).astype(np.float32).reshape(3, 1000)
    expected = np.log(table.astype(float))
    kernels.log_expected(table, 1e-30, np.zeros(3))
    assert (np.abs(table - expected) / np.maximum(1, np.abs(expected))).max() < LOG_ERROR


@pytest.mark.usefixtures("mode")
def test_row_maxima_of_both_signs(log_likelihood):
    log_likelihood[0] += 400
    log_likelihood[1, 7] = 0.0
    log_likelihood[2] = -np.inf
    largest = np.empty(N_FRAMES)
    kernels.row_maxima(log_likelihood, largest)
    np.testing.assert_array_equal(largest, log_likelihood.max(axis=1))


def test_not_a_number_reaches_the_maximum_or_the_sums(log_likelihood, prior):
    for bad in (np.float32(np.nan), -np.float32(np.nan)):
        values = log_likelihood.copy()
        values[3, 5] = bad
        largest, sums = np.empty(N_FRAMES), np.empty((N_FRAMES, 3))
        kernels.row_maxima(values, largest)
        kernels.exponentiate(values, largest, np.log(prior), 1.0, sums)
        finite = np.isfinite(largest) & np.isfinite(sums).all(axis=1)
        assert finite.tolist() == [frame != 3 for frame in range(N_FRAMES)]


@pytest.mark.parametrize("beta", [1.0, 0.3])
@pytest.mark.usefixtures("mode")
def test_exponentiate_gives_posterior_entropy_and_information(log_likelihood, prior, beta):
    values, sums = log_likelihood.copy(), np.empty((N_FRAMES, 3))
    kernels.exponentiate(values, log_likelihood.max(axis=1).astype(float), np.log(prior), beta, sums)
    mass, mass_log, mass_gain = sums.T
    exponent = beta * log_likelihood.astype(float) + np.log(prior)
    posterior = special.softmax(exponent, axis=1)
    np.testing.assert_allclose(values / mass[:, None], posterior, rtol=1e-5, atol=1e-12)
    entropy = -(posterior * np.log(posterior)).sum(axis=1)
    np.testing.assert_allclose(np.log(mass) - mass_log / mass, entropy, rtol=2e-6, atol=2e-6)
    information = (posterior * np.log(posterior / prior)).sum(axis=1)
    np.testing.assert_allclose(mass_gain / mass - np.log(mass), information, rtol=2e-6, atol=2e-6)


@pytest.mark.usefixtures("mode")
def test_exponentiate_clears_columns_that_fill_up(prior):
    values = np.zeros((2, N_COLUMNS), dtype=np.float32)
    kernels.exponentiate(values, np.zeros(2), np.log(prior), 1.0, np.empty((2, 3)))
    np.testing.assert_array_equal(values[:, N_ORIENTATIONS:], 0.0)
    np.testing.assert_allclose(values[:, :N_ORIENTATIONS], np.broadcast_to(prior, (2, N_ORIENTATIONS)), rtol=1e-6)


@pytest.mark.usefixtures("mode")
def test_normalize_rows():
    values = np.array([[1.0, 3.0], [2.0, 2.0]], dtype=np.float32)
    kernels.normalize_rows(values, np.array([4.0, 8.0]))
    np.testing.assert_allclose(values, [[0.25, 0.75], [0.25, 0.25]])


@pytest.mark.parametrize("beta", [1.0, 0.3])
@pytest.mark.usefixtures("mode")
def test_joined_steps_are_equation_1(photons, table, prior, beta):
    start = np.linspace(-3, -4, N_COLUMNS).astype(np.float32)
    probability, largest, sums = joined(photons, table, start, prior, beta)
    log_likelihood = (naive.weighted_rows(*photons, table) + start)[:, :N_ORIENTATIONS]
    expected = special.softmax(beta * log_likelihood + np.log(prior), axis=1)
    np.testing.assert_allclose(probability[:, :N_ORIENTATIONS], expected, rtol=3e-5)
    np.testing.assert_array_equal(probability[:, N_ORIENTATIONS:], 0.0)
    np.testing.assert_allclose(largest, log_likelihood.max(axis=1), rtol=1e-5)
    exponent = beta * (log_likelihood - log_likelihood.max(axis=1, keepdims=True)) + np.log(prior)
    np.testing.assert_allclose(sums[:, 0], np.exp(exponent).sum(axis=1), rtol=3e-5)


def test_joined_and_separate_steps_agree(photons, table, prior):
    start = np.full(N_COLUMNS, -2.0, dtype=np.float32)
    probability, largest, sums = joined(photons, table, start, prior, 0.7)
    separate, top, parts = np.tile(start, (N_FRAMES, 1)), np.empty(N_FRAMES), np.empty((N_FRAMES, 3))
    sparse_rows.add_weighted_rows(*photons, table, separate)
    kernels.row_maxima(separate, top)
    kernels.exponentiate(separate, top, np.log(prior), 0.7, parts)
    kernels.normalize_rows(separate, parts[:, 0])
    np.testing.assert_allclose(separate, probability, rtol=2e-6)
    np.testing.assert_allclose(top, largest, rtol=1e-6)
    np.testing.assert_allclose(parts, sums, rtol=1e-5)


def test_threads_change_no_bit(photons, table, prior):
    start = np.full(N_COLUMNS, -2.0, dtype=np.float32)
    before = numba.get_num_threads()
    found = []
    for threads in {1, before}:
        numba.set_num_threads(threads)
        total = np.zeros(N_COLUMNS)
        kernels.weighted_column_sums(table, np.ones(N_PIXELS), total)
        found.append((*joined(photons, table, start, prior, 1.0), total))
    numba.set_num_threads(before)
    for one, other in zip(found[0], found[-1], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("mode")
def test_weighted_column_sums_add():
    rng = np.random.default_rng(4)
    table, weight = rng.random((90, 130)).astype(np.float32), rng.random(90)
    weight[3] = 0.0
    table[3] = np.nan
    total = np.ones(128)
    kernels.weighted_column_sums(table, weight, total)
    table[3] = 0.0
    np.testing.assert_allclose(total, 1 + (weight @ table.astype(float))[:128])
