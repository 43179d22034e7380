import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from fewphoton.kernels import ring_clipping
from tests.kernels import naive

MODELS = {
    "poisson": ring_clipping.POISSON,
    "azimuthal": ring_clipping.AZIMUTHAL,
    "hybrid": ring_clipping.HYBRID,
    "poisson_tail": ring_clipping.POISSON_TAIL,
}
MEANS = [1e-3, 0.02, 0.4, 1.0, 3.7, 12.0, 84.9, 85.1, 500.0, 1e3, 1e4]
TAILS = [0.5, 0.16, 1.35e-3, 0.5 / 30_000, 5e-8]


@pytest.fixture(params=["jitted", "python"])
def kernels(request, monkeypatch):
    if request.param == "python":
        naive.in_python(monkeypatch, ring_clipping)
    return ring_clipping


def clipped(kernels, rings, model, cutoff, n_cycles, lowest, n_values):
    """Rings as lists of values, through their histogram."""
    table = np.zeros((len(rings) + 1, n_values), dtype=np.uint32)
    table[-1] = 5  # pixels without a ring, which must not matter
    outside = []
    for number, ring in enumerate(rings):
        value = np.asarray(ring, dtype=np.int64)
        inside = (value >= lowest) & (value < lowest + n_values)
        table[number] = np.bincount(value[inside] - lowest, minlength=n_values)
        outside.append(value[~inside])
    ptr = np.concatenate([[0], np.cumsum([len(part) for part in outside])])
    curves = [np.full(len(rings), -7.0) for _ in range(3)]
    deepest = kernels.clip_histograms(
        table, lowest, ptr, np.concatenate(outside), MODELS[model], cutoff, n_cycles, *curves
    )
    return deepest, *curves


def compare(found, rings, model, cutoff, n_cycles):
    twins = [naive.clip_ring(np.asarray(ring, dtype=float), model, cutoff, n_cycles) for ring in rings]
    assert not any(close for *_, close in twins)
    deepest, mean, std, n_kept = found
    assert deepest == max(passes for *_, passes, _ in twins)
    np.testing.assert_array_equal(n_kept, [twin[2] for twin in twins])
    np.testing.assert_allclose(mean, [twin[0] for twin in twins], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(std, [twin[1] for twin in twins], rtol=1e-12, atol=1e-12)


@pytest.fixture(scope="module")
def rings():
    rng = np.random.default_rng(4)
    spots = np.concatenate([rng.poisson(2.0, 60), [9, 14, 30, 31, 32, 700, 65000]])
    return [
        spots,
        rng.poisson(12.0, 50),
        rng.poisson(0.1, 40),
        [7],
        [],
        [1, 199],
        [5, 5, 5, 5],
        [0, 0, 0],
        [900, 950, 1000, 4_000_000],
        [0] * 30 + [3],
        np.concatenate([rng.poisson(20.0, 30), [0, 0, 1]]),
    ]


@pytest.mark.parametrize("n_cycles", [0, 1, 5])
@pytest.mark.parametrize("cutoff", [0.0, 1.5, 3.0])
@pytest.mark.parametrize("model", MODELS)
def test_against_the_naive_twin(kernels, rings, model, cutoff, n_cycles):
    compare(clipped(kernels, rings, model, cutoff, n_cycles, 0, 48), rings, model, cutoff, n_cycles)


@pytest.mark.parametrize("model", MODELS)
def test_negative_values(kernels, model):
    """Counts about -3, as of an offset read-out: values below 1 have variance 1 where they are taken for Poisson."""
    rng = np.random.default_rng(6)
    rings = [np.rint(rng.normal(-3, 2, 60)).astype(int), [-40, -5, -5, -4, -6, -5, -5, -4], [-2], [-60, 80, 1, 2, 1, 3]]
    for n_cycles in (0, 5):
        found = clipped(kernels, rings, model, 2.9, n_cycles, -10, 20)
        compare(found, rings, model, 2.9, n_cycles)


@pytest.mark.parametrize("n_values", [1, 3, 16, 200])
@pytest.mark.parametrize("model", MODELS)
def test_the_table_does_not_matter(rings, model, n_values):
    """What a table does not hold is listed instead."""
    wide = clipped(ring_clipping, rings, model, 3.0, 5, 0, 512)
    for lowest in (0, 2):
        other = clipped(ring_clipping, rings, model, 3.0, 5, lowest, n_values)
        for a, b in zip(wide, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(-3, 12) | st.integers(0, 400), max_size=40), min_size=1, max_size=4),
    st.sampled_from(list(MODELS)),
    st.sampled_from([0.0, 2.0, 3.0]),
    st.integers(0, 6),
)
def test_any_rings(rings, model, cutoff, n_cycles):
    assume(not any(naive.clip_ring(np.array(ring, float), model, cutoff, n_cycles)[-1] for ring in rings))
    compare(clipped(ring_clipping, rings, model, cutoff, n_cycles, -2, 30), rings, model, cutoff, n_cycles)


def test_two_pixels_of_1_and_199(kernels):
    """Section 2.4.1: ten standard deviations apart from their mean for Poisson, one for the scatter in the ring."""
    result = {model: clipped(kernels, [[1, 199]], model, 3.0, 5, 0, 256) for model in MODELS}
    for model in ("poisson", "poisson_tail"):
        deepest, mean, std, n_kept = result[model]
        assert (deepest, n_kept[0]) == (1, 0)
        assert np.isnan(mean[0])
        assert np.isnan(std[0])
    for model, expected in (("azimuthal", 99.0), ("hybrid", 10.0)):
        deepest, mean, std, n_kept = result[model]
        assert (deepest, mean[0], std[0], n_kept[0]) == (0, 100.0, expected, 2)


@pytest.mark.parametrize(("last", "n_left"), [(10, 12), (11, 11)])
def test_only_beyond_the_cutoff(kernels, last, n_left):
    """Twelve counts, 48 in all: mean 4, Poisson standard deviation 2; 10 lies exactly 3 of them above."""
    ring = [4] * 5 + [3] * 6 + [last]
    *_, n_kept = clipped(kernels, [ring], "poisson", 3.0, 1, 0, 32)
    assert n_kept[0] == n_left


def test_passes_are_counted(kernels):
    """Each pass brings the mean down, until the last one discards nothing."""
    ring = [0] * 40 + [1] * 40 + [8, 60, 3000]
    counts = [clipped(kernels, [ring], "azimuthal", 0.0, cycles, 0, 64) for cycles in range(6)]
    assert [deepest for deepest, *_ in counts] == [0, 1, 2, 3, 3, 3]
    assert [n_kept[0] for *_, n_kept in counts] == [83, 82, 81, 80, 80, 80]


def test_no_rings(kernels):
    deepest, *curves = clipped(kernels, [[], []], "poisson", 0.0, 5, 0, 4)
    assert deepest == 0
    for curve, expected in zip(curves, (np.nan, np.nan, 0.0), strict=True):
        np.testing.assert_array_equal(curve, [expected, expected])


def test_chauvenet(kernels):
    """Equation 20; the paper's section 2.4.2 gives 2.7 for 100 values and 3.5 for 1000 by rounding."""
    for n in (3, 4, 100, 1000, 5e6):
        assert kernels.chauvenet_cutoff(float(n)) == pytest.approx(np.sqrt(2 * np.log(n / np.sqrt(2 * np.pi))))
    assert kernels.chauvenet_cutoff(100.0) == pytest.approx(2.715, abs=1e-3)
    assert kernels.chauvenet_cutoff(1.0) == kernels.chauvenet_cutoff(3.0) == pytest.approx(0.599, abs=1e-3)


@pytest.mark.parametrize("tail", [*TAILS, 1e-12, 1e-14])
@pytest.mark.parametrize("mean", MEANS)
def test_poisson_interval(kernels, mean, tail):
    low, high = kernels.poisson_interval(mean, tail)
    law = stats.poisson(mean)
    assert law.cdf(low) >= tail * (1 - 1e-6)
    assert low == 0 or law.cdf(low - 1) < tail * (1 + 1e-6)
    assert high == 0 or law.sf(high - 1) >= tail * (1 - 1e-6)
    assert law.sf(high) < tail * (1 + 1e-6)


@pytest.mark.parametrize("mean", [1e-9, 1e-3, 1.0, 30.0, 900.0, 1e6])
@pytest.mark.parametrize("tail", [1e-40, 1e-120, 1e-200])
def test_far_poisson_tails(kernels, mean, tail):
    """A cut-off of ten and more standard deviations; in logarithms, where the tails do not vanish."""
    low, high = kernels.poisson_interval(mean, tail)
    law, bound = stats.poisson(mean), math.log(tail)

    def log_upper(count):
        return np.logaddexp.reduce(law.logpmf(np.arange(count, count + 20_000)))

    def log_lower(count):
        return np.logaddexp.reduce(law.logpmf(np.arange(max(0, count - 20_000), count + 1)))

    assert log_upper(high) >= bound - 1e-6 > log_upper(high + 1) - 2e-6
    assert log_lower(low) >= bound - 1e-6
    assert low == 0 or log_lower(low - 1) < bound + 1e-6


def test_a_vanishing_tail_ends(kernels):
    """Cut-offs beyond 38 standard deviations have a tail of 0 in double precision."""
    assert kernels.poisson_interval(5.0, 0.0) == kernels.poisson_interval(5.0, 1e-200)


@pytest.mark.parametrize("mean", [0.0, -2.5])
def test_nothing_but_zeros_without_a_mean(kernels, mean):
    assert kernels.poisson_interval(mean, 0.01) == (0, 0)
