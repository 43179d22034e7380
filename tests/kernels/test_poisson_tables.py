import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import stats

from fewphoton.kernels import poisson_tables as kernels


def both(name):
    function = getattr(kernels, name)
    return pytest.mark.parametrize("function", [function, function.py_func], ids=["jitted", "plain"])


def tables(mean, n_columns=None):
    mean = np.atleast_1d(np.asarray(mean, dtype=float))
    first = np.maximum(np.floor(mean - 9 * np.sqrt(mean)), 0).astype(np.int64)
    n_columns = n_columns or int(np.ceil(18 * np.sqrt(mean.max()))) + 26
    return mean, first, np.empty((len(mean), n_columns), np.uint32), np.empty((len(mean), 256), np.uint16)


@both("poisson_tables")
def test_tables_hold_cumulative_poisson_probabilities(function):
    mean, first, threshold, guide = tables([0.0, 1e-7, 0.05, 1.0, 7.3, 50.0, 2500.0])
    function(mean, first, threshold, guide)
    counts = first[:, None] + np.arange(threshold.shape[1])
    expected = stats.poisson.cdf(counts, mean[:, None])
    np.testing.assert_allclose((threshold + 1.0) / 2**32, expected, atol=1e-9)
    leading = np.arange(256, dtype=np.uint64) << np.uint64(24)
    for row, table in enumerate(threshold):
        np.testing.assert_array_equal(guide[row], np.searchsorted(table, leading, side="left"))


@both("draw_poisson")
@given(
    means=some.lists(some.floats(0, 200), min_size=1, max_size=4),
    words=some.lists(some.integers(0, 2**32 - 1), min_size=1, max_size=12),
)
@settings(max_examples=25, deadline=None)
def test_draws_invert_the_tables(function, means, words):
    mean, first, threshold, guide = tables(means)
    kernels.poisson_tables(mean, first, threshold, guide)
    word = np.array([0, 2**32 - 1, *words], np.uint32)
    level = (np.arange(len(word)) % (len(mean) + 1)).astype(np.uint16)
    counts = np.empty(len(word), np.uint32)
    function(level, first, threshold, guide, word, 150, 999, counts)
    for place, row in enumerate(level):
        if row == len(mean):
            assert counts[place] == 999
        else:
            column = np.searchsorted(threshold[row], word[place], side="left")
            assert counts[place] == min(first[row] + column, 150)


@pytest.mark.parametrize("mean", [0.05, 1.7, 50.0, 3000.0])
def test_draws_are_poisson(mean):
    n = 200_000
    mean, first, threshold, guide = tables(mean)
    kernels.poisson_tables(mean, first, threshold, guide)
    word = np.random.default_rng(8).integers(0, 2**32, n, dtype=np.uint32)
    counts = np.empty(n, np.uint32)
    kernels.draw_poisson(np.zeros(n, np.uint16), first, threshold, guide, word, 65534, 65535, counts)
    expected = n * stats.poisson.pmf(np.arange(counts.max() + 1), mean[0])
    seen = np.bincount(counts)
    usual = expected > 10
    observed = np.append(seen[usual], n - seen[usual].sum())
    wanted = np.append(expected[usual], n - expected[usual].sum())
    assert stats.chisquare(observed, wanted).pvalue > 1e-3
