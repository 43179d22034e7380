import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fewphoton.kernels import background_tables
from fewphoton.kernels.background_tables import NEGATIVE_BINOMIAL, POISSON_COUNTS, ROUNDED_NORMAL
from tests.kernels import naive


@pytest.fixture(params=["jitted", "python"])
def kernels(request, monkeypatch):
    if request.param == "python":
        naive.in_python(monkeypatch, background_tables)
    return background_tables


def probability_of(family, count, mean, std):
    """What SciPy gives each count."""
    if family == POISSON_COUNTS:
        return stats.poisson.pmf(count, mean)
    if family == NEGATIVE_BINOMIAL:
        return stats.nbinom.pmf(count, mean**2 / (std**2 - mean), mean / std**2)
    law = stats.norm(mean, std)
    upper = count > mean
    return np.where(upper, law.sf(count - 0.5) - law.sf(count + 0.5), law.cdf(count + 0.5) - law.cdf(count - 0.5))


def alias_table(kernels, probability):
    n = len(probability)
    accept, alias, queue = np.empty(n, np.uint32), np.empty(n, np.int32), np.empty(n, np.int32)
    kernels.alias_table(np.array(probability, dtype=float), accept, alias, queue)
    return accept, alias


@pytest.mark.parametrize(
    "probability",
    [
        [1.0],
        [0.25] * 4,
        [0.0, 1.0, 0.0],
        [1.0, 0.0, 0.0, 0.0],
        [0.1, 0.2, 0.3, 0.4],
        [7.0, 1.0, 2.0],
        [1e-12, 1.0, 1e-300, 3.0],
        [1 / 3] * 3,
        [0.1] * 10,
        list(stats.poisson.pmf(np.arange(25), 2.3)),
    ],
)
def test_alias_table_gives_the_probabilities_back(kernels, probability):
    accept, alias = alias_table(kernels, probability)
    expected = np.array(probability) / np.sum(probability)
    np.testing.assert_allclose(naive.alias_probabilities(accept, alias), expected, atol=2.0**-31)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(1e-300, 1) | st.just(0.0) | st.floats(1e-12, 1e-9), min_size=1, max_size=40))
def test_any_alias_table(probability):
    if not sum(probability) > 0:
        probability[0] = 1.0
    accept, alias = alias_table(background_tables, probability)
    assert ((alias >= 0) & (alias < len(alias))).all()
    expected = np.array(probability) / np.sum(probability)
    np.testing.assert_allclose(naive.alias_probabilities(accept, alias), expected, atol=2.0**-31)


def test_alias_table_without_any_probability(kernels):
    accept, alias = alias_table(kernels, [0.0, 0.0, 0.0])
    np.testing.assert_allclose(naive.alias_probabilities(accept, alias), [1, 0, 0], atol=2.0**-31)


def test_normal_below(kernels):
    for value in (-37.0, -6.0, -1.0, 0.0, 0.3, 5.0):
        assert kernels.normal_below(value) == pytest.approx(stats.norm.cdf(value), rel=1e-12, abs=0)


CASES = [
    (POISSON_COUNTS, 0.02, 9.0),
    (POISSON_COUNTS, 0.7, 9.0),
    (POISSON_COUNTS, 30.0, 9.0),
    (NEGATIVE_BINOMIAL, 0.3, 0.8),
    (NEGATIVE_BINOMIAL, 6.0, 4.0),
    (ROUNDED_NORMAL, 0.4, 0.3),
    (ROUNDED_NORMAL, 50.5, 3.0),
    (ROUNDED_NORMAL, -4.2, 2.0),
]


@pytest.mark.parametrize(("family", "mean", "std"), CASES)
def test_fill_probabilities(kernels, family, mean, std):
    first = -20 if family == ROUNDED_NORMAL else 0
    found = np.empty(120)
    kernels.fill_probabilities(family, mean, std, first, found)
    expected = probability_of(family, first + np.arange(120), mean, std)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-250)


@pytest.mark.parametrize("family", [POISSON_COUNTS, NEGATIVE_BINOMIAL])
@pytest.mark.parametrize("mean", [0.0, -1.0])
def test_counts_without_a_mean_are_zero(kernels, family, mean):
    found = np.empty(5)
    kernels.fill_probabilities(family, mean, 1.0, 0, found)
    np.testing.assert_array_equal(found, [1, 0, 0, 0, 0])


@pytest.mark.parametrize(("mean", "expected"), [(3.0, [0, 1, 0]), (2.6, [0, 1, 0]), (3.5, [0, 1, 1])])
def test_normal_without_scatter(kernels, mean, expected):
    found = np.empty(3)
    kernels.fill_probabilities(ROUNDED_NORMAL, mean, 0.0, 2, found)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("limit", "last"), [(4.0, 3), (4.2, 4), (3.9, 3), (np.inf, None)])
@pytest.mark.parametrize(("family", "mean", "std"), CASES)
def test_count_range(kernels, family, mean, std, limit, last):
    """Counts stay below the limit, and what a range without limit leaves out hardly ever occurs."""
    smallest = -(2.0**31) if family == ROUNDED_NORMAL else 0.0
    first, end = kernels.count_range(family, mean, std, smallest, limit)
    assert first >= smallest
    assert first <= end
    if last is not None:
        assert end <= max(first, last)
    else:
        counts = np.arange(first, end + 1)
        assert probability_of(family, counts, mean, std).sum() == pytest.approx(1, abs=1e-6)


def count_tables(kernels, rings, smallest, limit, capacity=4000):
    family = np.array([ring[0] for ring in rings], dtype=np.int8)
    mean, std = (np.array([ring[k] for ring in rings], dtype=float) for k in (1, 2))
    ptr = np.full(len(rings) + 2, -1, dtype=np.int64)
    accept, alias, value = np.empty(capacity, np.uint32), np.empty(capacity, np.int32), np.empty(capacity, np.int32)
    limit = np.broadcast_to(np.asarray(limit, dtype=float), len(rings)).copy()
    done = kernels.count_tables(family, mean, std, smallest, limit, ptr, accept, alias, value)
    return done, ptr, accept, alias, value


@pytest.mark.parametrize(("limit", "smallest"), [(np.inf, 0.0), (5.0, 0.0), (1.0, 0.0), (60.2, 0.0), (45.0, -1e9)])
def test_count_tables(kernels, limit, smallest):
    """Each ring's distribution and moments, cut at the limit."""
    rings = [case for case in CASES if limit > case[1] and (case[1] >= 0 or smallest < 0)]
    done, ptr, accept, alias, value = count_tables(kernels, rings, smallest, limit)
    assert done
    assert ptr[0] == 0
    assert ptr[-1] == ptr[-2]
    for number, (family, mean, std) in enumerate(rings):
        part = slice(ptr[number], ptr[number + 1])
        counts = value[part]
        assert (np.diff(counts) == 1).all()
        assert counts.max() < limit
        assert counts.min() >= smallest
        assert ((alias[part] >= counts[0]) & (alias[part] <= counts[-1])).all()
        found = naive.alias_probabilities(accept[part], alias[part] - counts[0])
        every = np.arange(max(smallest, -100), min(limit, 400))
        expected = probability_of(family, every, mean, std)
        expected /= expected.sum()
        centre = (every * expected).sum()
        np.testing.assert_allclose((counts * found).sum(), centre, atol=2e-5)
        np.testing.assert_allclose(
            ((counts - centre) ** 2 * found).sum(), ((every - centre) ** 2 * expected).sum(), rtol=1e-3, atol=1e-6
        )
        np.testing.assert_allclose(found, expected[np.searchsorted(every, counts)], atol=1e-7)


def test_capacity_of_count_tables(kernels):
    rings = [(POISSON_COUNTS, 0.5, 0.0), (POISSON_COUNTS, 2.0, 0.0)]
    done, ptr, *_ = count_tables(kernels, rings, 0.0, np.inf)
    assert done
    assert count_tables(kernels, rings, 0.0, np.inf, capacity=ptr[-1])[0]
    assert not count_tables(kernels, rings, 0.0, np.inf, capacity=ptr[-1] - 1)[0]


def test_the_smallest_count_wins_over_the_limit(kernels):
    """Nothing lies between them: a background below zero of counts that cannot be."""
    done, ptr, accept, alias, value = count_tables(kernels, [(ROUNDED_NORMAL, -50.0, 1.0)], 0.0, -40.0)
    assert done
    assert ptr.tolist() == [0, 1, 1]
    assert (value[0], alias[0], accept[0]) == (0, 0, 2**32 - 1)


@pytest.mark.parametrize("n_intervals", [16, 256])
def test_value_tables(kernels, n_intervals):
    mean = np.array([0.0, 100.0, -3.0, 7.0, 1e-3, 5.0])
    std = np.array([1.0, 2.5, 0.1, 0.0, 1.0, 1.0])
    limit = np.array([np.inf, 101.0, -2.9, 7.5, 1e-2, 1e9])
    n = len(mean) * n_intervals
    ptr, width = np.empty(len(mean) + 2, np.int64), np.empty(len(mean) + 1, np.float32)
    accept, alias, value = np.empty(n, np.uint32), np.empty(n, np.float32), np.empty(n, np.float32)
    kernels.value_tables(mean, std, limit, n_intervals, ptr, accept, alias, value, width)
    np.testing.assert_array_equal(ptr, [*np.arange(len(mean) + 1) * n_intervals, n])
    assert width[-1] == width[-2]
    for ring in range(len(mean)):
        part = slice(ptr[ring], ptr[ring + 1])
        low = value[part]
        if std[ring] == 0:
            assert (low == 7.0).all()
            assert (alias[part] == 7.0).all()
            assert width[ring] == 0
            continue
        law = stats.norm(mean[ring], std[ring])
        start, stop = mean[ring] - 6 * std[ring], min(mean[ring] + 6 * std[ring], limit[ring])
        edges = np.linspace(start, stop, n_intervals + 1)
        np.testing.assert_allclose(low, edges[:-1], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(width[ring], (stop - start) / n_intervals, rtol=1e-5)
        expected = np.diff(law.cdf(edges))
        found = naive.alias_probabilities(accept[part], np.searchsorted(low, alias[part]))
        np.testing.assert_allclose(found, expected / expected.sum(), atol=1e-5)
        # The uppermost draw of all, in the arithmetic that adds it up.
        most = low.max() + np.float32(1 - 2.0**-24) * width[ring]
        assert most < limit[ring]


@settings(max_examples=200, deadline=None)
@given(st.floats(-1e4, 1e4), st.floats(0.1, 1e3), st.floats(-3, 5))
def test_no_interval_reaches_the_limit(mean, std, where):
    limit = mean + std * where
    ptr, width = np.empty(3, np.int64), np.empty(2, np.float32)
    accept, alias, value = np.empty(256, np.uint32), np.empty(256, np.float32), np.empty(256, np.float32)
    background_tables.value_tables(
        np.array([mean]), np.array([std]), np.array([limit]), 256, ptr, accept, alias, value, width
    )
    assert value.max() + np.float32(1 - 2.0**-24) * width[0] < limit
