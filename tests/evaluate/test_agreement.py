import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fewphoton.evaluate.agreement import amplitude_scale, amplitudes, cc_star, correlation, permuted, r_factor

intensities = arrays(np.float64, st.integers(3, 30), elements=st.floats(0.01, 1e4))


def test_r_factor_by_hand():
    """F: 3, 4 against 1, 2. Scale (3 + 8) / 5 = 2.2; |3 - 2.2| + |4 - 4.4| = 1.2; over 7."""
    high, low = np.array([9.0, 16.0]), np.array([1.0, 4.0])
    assert amplitude_scale(high, low) == pytest.approx(2.2)
    assert r_factor(high, low) == pytest.approx(1.2 / 7)
    assert r_factor(high, low, scale=1.0) == pytest.approx(4 / 7)


@given(intensities)
@settings(max_examples=25, deadline=None)
def test_equal_sets_have_no_r(values):
    assert r_factor(values, values) == pytest.approx(0.0, abs=1e-12)
    assert r_factor(values, 7.5 * values) == pytest.approx(0.0, abs=1e-12)


@given(intensities, st.integers(0, 99), st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
@settings(max_examples=25, deadline=None)
def test_r_does_not_depend_on_scales(values, seed, first, second):
    other = np.random.default_rng(seed).permutation(values)
    assert r_factor(first * values, second * other) == pytest.approx(r_factor(values, other), rel=1e-8, abs=1e-9)


def test_scale_is_the_least_squares_one():
    rng = np.random.default_rng(0)
    high, low = rng.exponential(size=40), rng.exponential(size=40)
    found = scipy.optimize.minimize_scalar(lambda s: np.sum((np.sqrt(high) - s * np.sqrt(low)) ** 2))
    assert amplitude_scale(high, low) == pytest.approx(found.x, rel=1e-6)


def test_negative_intensities_count_as_zero():
    np.testing.assert_array_equal(amplitudes(np.array([-4.0, 0.0, 4.0])), [0, 0, 2])


def test_nothing_to_compare():
    nothing = np.zeros(0)
    assert np.isnan(r_factor(nothing, nothing))
    assert np.isnan(r_factor(np.zeros(4), np.ones(4)))
    assert np.isnan(r_factor(np.ones(4), np.zeros(4)))
    assert np.isnan(correlation(np.ones(2), np.ones(2)))
    assert np.isnan(correlation(np.ones(9), np.arange(9.0)))


def test_correlation_against_scipy_where_both_are_known():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=50), rng.normal(size=50)
    gaps = first.copy()
    gaps[::7] = np.nan
    known = np.isfinite(gaps)
    expected = scipy.stats.pearsonr(first[known], second[known]).statistic
    assert correlation(gaps, second) == pytest.approx(expected)


def test_cc_star():
    assert cc_star(0.5) == pytest.approx(np.sqrt(2 / 3))
    assert cc_star(1.0) == 1.0
    assert np.isnan(cc_star(-0.1))
    assert np.isnan(cc_star(float("nan")))


def test_cc_star_estimates_the_correlation_with_the_signal():
    """Two independent halves: CC* must be the correlation of their mean with the noise-free values."""
    rng = np.random.default_rng(0)
    signal = rng.exponential(size=200_000)
    halves = signal + rng.normal(scale=1.5, size=(2, len(signal)))
    truth = correlation(halves.mean(axis=0), signal)
    assert cc_star(correlation(*halves)) == pytest.approx(truth, abs=0.005)


@given(st.integers(1, 200), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_permuted_keeps_the_values_of_each_range_of_q(n, seed):
    rng = np.random.default_rng(seed)
    q = rng.random(n)
    found = permuted(q.copy(), q, np.random.default_rng(seed))
    np.testing.assert_array_equal(np.sort(found), np.sort(q))
    rank, before = np.argsort(np.argsort(q)), np.argsort(np.argsort(found))
    assert np.abs(rank - before).max() < 19


def test_permuted_mixes_evenly_and_repeats_with_the_seed():
    q = np.linspace(0, 1, 12)
    rng = np.random.default_rng(0)
    deals = np.array([permuted(np.arange(12.0), q, rng) for _ in range(4000)])
    np.testing.assert_allclose(deals.mean(axis=0), 5.5, atol=0.25)
    again = permuted(np.arange(12.0), q, np.random.default_rng(0))
    np.testing.assert_array_equal(deals[0], again)
