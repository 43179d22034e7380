import numpy as np
import pytest
from scipy import special

from fewphoton.kernels import orientation_probability as kernels


@pytest.fixture
def log_likelihood():
    return np.random.default_rng(1).normal(-300, 8, (6, 70)).astype(np.float32)


def both(name):
    function = getattr(kernels, name)
    return pytest.mark.parametrize("function", [function, function.py_func], ids=["jitted", "python"])


@both("log_expected")
def test_log_expected_floors_and_shifts(function):
    table = np.array([[0.0, 1.0, np.e]], dtype=np.float32)
    function(table, 1e-3, np.array([0.5]))
    np.testing.assert_allclose(table, [[np.log(1e-3) - 0.5, -0.5, 0.5]], rtol=1e-6)


@both("row_maxima")
def test_row_maxima(function, log_likelihood):
    largest = np.empty(6)
    function(log_likelihood, largest)
    np.testing.assert_array_equal(largest, log_likelihood.max(axis=1))


@pytest.mark.parametrize("beta", [1.0, 0.3])
@both("exponentiate")
def test_exponentiate_gives_posterior_entropy_and_information(function, log_likelihood, beta):
    prior = np.random.default_rng(2).random(70)
    prior /= prior.sum()
    values, sums = log_likelihood.copy(), np.empty((6, 3))
    function(values, log_likelihood.max(axis=1).astype(float), np.log(prior), beta, sums)
    mass, mass_log, mass_gain = sums.T
    exponent = beta * log_likelihood.astype(float) + np.log(prior)
    posterior = special.softmax(exponent, axis=1)
    np.testing.assert_allclose(values / mass[:, None], posterior, rtol=2e-4, atol=1e-12)
    entropy = -(posterior * np.log(posterior)).sum(axis=1)
    np.testing.assert_allclose(np.log(mass) - mass_log / mass, entropy, rtol=1e-6)
    information = (posterior * np.log(posterior / prior)).sum(axis=1)
    np.testing.assert_allclose(mass_gain / mass - np.log(mass), information, rtol=1e-6)


@both("normalize_rows")
def test_normalize_rows(function):
    values = np.array([[1.0, 3.0], [2.0, 2.0]], dtype=np.float32)
    function(values, np.array([4.0, 8.0]))
    np.testing.assert_allclose(values, [[0.25, 0.75], [0.25, 0.25]])


@both("column_sums")
def test_column_sums_add(function, log_likelihood):
    total = np.ones(70)
    function(log_likelihood, total)
    np.testing.assert_allclose(total, 1 + log_likelihood.sum(axis=0, dtype=float))


@both("weighted_column_sums")
def test_weighted_column_sums(function):
    rng = np.random.default_rng(4)
    table, weight = rng.random((9, 130)).astype(np.float32), rng.random(9)
    weight[3] = 0.0
    total = np.empty(130)
    function(table, weight, total)
    np.testing.assert_allclose(total, weight @ table.astype(float))
