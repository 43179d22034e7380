import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fewphoton.kernels import ring_clipping, ring_sorted
from tests.kernels import naive

MODELS = {
    "poisson": ring_clipping.POISSON,
    "azimuthal": ring_clipping.AZIMUTHAL,
    "hybrid": ring_clipping.HYBRID,
    "poisson_tail": ring_clipping.POISSON_TAIL,
    "variance": ring_clipping.GIVEN_VARIANCE,
}
EMPTY = np.zeros(0, dtype=np.float32)


@pytest.fixture(params=["jitted", "python"])
def kernels(request, monkeypatch):
    if request.param == "python":
        naive.in_python(monkeypatch, ring_sorted)
    return ring_sorted


def clipped(kernels, rings, model, cutoff, n_cycles, norms=None, variances=None, floor=1.0):
    """Rings as lists of values, in ring order already."""

    def joined(parts):
        return np.concatenate([*(np.asarray(part, dtype=np.float32) for part in parts), [np.float32(-1e9)]])

    values = joined(rings)
    norm = EMPTY if norms is None else joined(norms)
    variance = values if variances is None else joined(variances)
    ptr = np.concatenate([[0], np.cumsum([len(ring) for ring in rings])])
    curves = [np.full(len(rings), -7.0) for _ in range(3)]
    with np.errstate(over="ignore"):  # bounds beyond the range of float32 become infinite
        deepest = kernels.clip_ring_sorted(values, variance, floor, norm, ptr, MODELS[model], cutoff, n_cycles, *curves)
    return deepest, *curves


def compare(found, twins):
    assert not any(close for *_, close in twins)
    deepest, mean, std, n_kept = found
    assert deepest == max(passes for *_, passes, _ in twins)
    np.testing.assert_array_equal(n_kept, [twin[2] for twin in twins])
    np.testing.assert_allclose(mean, [twin[0] for twin in twins], rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(std, [twin[1] for twin in twins], rtol=1e-11, atol=1e-11)


@pytest.fixture(scope="module")
def real_rings():
    """Signal over normalization with outliers and bad reads, its normalization and its raw counts."""
    rng = np.random.default_rng(8)
    sizes = [80, 40, 1, 0, 2, 3, 30, 25]
    norms = [rng.uniform(0.3, 1.4, size).astype(np.float32) for size in sizes]
    raw = [rng.poisson(6 * norm).astype(np.float32) for norm in norms]
    raw[0][:6] = [40, 41, 300, 9000, 0, 60]
    raw[6][:] = 0
    rings = [(counts / norm).astype(np.float32) for counts, norm in zip(raw, norms, strict=True)]
    rings[1][::7] = np.nan
    rings[7][:] = np.nan
    return rings, norms, raw


@pytest.mark.parametrize("n_cycles", [0, 1, 5])
@pytest.mark.parametrize("cutoff", [0.0, 3.0])
@pytest.mark.parametrize("model", ["poisson", "azimuthal", "hybrid", "variance"])
def test_weighted_against_the_naive_twin(kernels, real_rings, model, cutoff, n_cycles):
    rings, norms, raw = real_rings
    variances, floor = raw, 1.0
    if model == "variance":
        variances, floor = [0.3 * counts + np.float32(0.1) for counts in raw], 0.0
    found = clipped(kernels, rings, model, cutoff, n_cycles, norms, variances, floor)
    twins = [
        naive.clip_ring(ring, model, cutoff, n_cycles, norm, variance, floor)
        for ring, norm, variance in zip(rings, norms, variances, strict=True)
    ]
    compare(found, twins)


@pytest.mark.parametrize("n_cycles", [0, 1, 5])
@pytest.mark.parametrize("cutoff", [0.0, 3.0])
@pytest.mark.parametrize("model", ["poisson", "azimuthal", "hybrid"])
def test_plain_against_the_naive_twin(kernels, real_rings, model, cutoff, n_cycles):
    rings, *_ = real_rings
    found = clipped(kernels, rings, model, cutoff, n_cycles)
    compare(found, [naive.clip_ring(ring, model, cutoff, n_cycles) for ring in rings])


@pytest.mark.parametrize("model", ["poisson", "azimuthal", "hybrid", "poisson_tail"])
def test_negative_values(kernels, model):
    rings = [[-5, -5, -4, -6, -5, -5, -4, -40], [-2], [-60, 80, 1, 2, 1, 3, 2, 2, 1]]
    for n_cycles in (0, 5):
        found = clipped(kernels, rings, model, 2.9, n_cycles)
        compare(found, [naive.clip_ring(np.array(ring, float), model, 2.9, n_cycles) for ring in rings])


def test_weight_one_changes_nothing(kernels, real_rings):
    rings, *_ = real_rings
    ones = [np.ones(len(ring)) for ring in rings]
    for model in ("poisson", "azimuthal", "hybrid"):
        plain = clipped(kernels, rings, model, 3.0, 5)
        for a, b in zip(plain, clipped(kernels, rings, model, 3.0, 5, ones), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(-12, 300) | st.integers(0, 6), max_size=40), min_size=1, max_size=4),
    st.sampled_from(["poisson", "azimuthal", "hybrid", "poisson_tail"]),
    st.sampled_from([0.0, 2.0, 3.0]),
    st.integers(0, 6),
    st.integers(1, 64),
)
def test_histograms_give_the_same(rings, model, cutoff, n_cycles, n_values):
    """Both ways to clip a frame of counts, bad reads at either end included."""
    smallest, largest, n_rings = -8, 280, len(rings)
    frame = np.array([value for ring in rings for value in ring], dtype=np.int32)
    ring = np.repeat(np.arange(n_rings), [len(part) for part in rings]).astype(np.uint16)
    good = (frame >= smallest) & (frame <= largest)
    for number in range(n_rings):
        twin = naive.clip_ring(frame[(ring == number) & good].astype(float), model, cutoff, n_cycles)
        assume(not twin[-1])

    table, ring_outside, outside, _ = naive.ring_histogram(frame, ring, n_rings, -2, n_values, smallest, largest)
    ptr = np.searchsorted(ring_outside, np.arange(n_rings + 1))
    by_table = [np.empty(n_rings) for _ in range(3)]
    deepest = ring_clipping.clip_histograms(table, -2, ptr, outside, MODELS[model], cutoff, n_cycles, *by_table)

    order = np.random.default_rng(0).permutation(len(frame))  # a frame's pixels come in any order
    place = np.arange(len(frame), dtype=np.uint32)[order]
    values = np.empty(len(frame) + 1, dtype=np.float32)
    ring_sorted.sort_counts_by_ring(frame[order], place, smallest, largest, values)
    ptr = np.concatenate([[0], np.cumsum([len(part) for part in rings])])
    by_place = [np.empty(n_rings) for _ in range(3)]
    same = ring_sorted.clip_ring_sorted(values, values, 1.0, EMPTY, ptr, MODELS[model], cutoff, n_cycles, *by_place)
    assert same == deepest
    for a, b in zip(by_table, by_place, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("last", "n_left"), [(10, 12), (11, 11)])
def test_only_beyond_the_cutoff(kernels, last, n_left):
    """Twelve counts, 48 in all: mean 4, Poisson standard deviation 2; 10 lies exactly 3 of them above."""
    *_, n_kept = clipped(kernels, [[4] * 5 + [3] * 6 + [last]], "poisson", 3.0, 1)
    assert n_kept[0] == n_left


def test_two_pixels_of_1_and_199(kernels):
    """Section 2.4.1 of the paper."""
    for model in ("poisson", "poisson_tail"):
        deepest, mean, std, n_kept = clipped(kernels, [[1, 199]], model, 3.0, 5)
        assert (deepest, n_kept[0]) == (1, 0)
        assert np.isnan(mean[0])
        assert np.isnan(std[0])
    for model, expected in (("azimuthal", 99.0), ("hybrid", 10.0)):
        deepest, mean, std, n_kept = clipped(kernels, [[1, 199]], model, 3.0, 5)
        assert (deepest, mean[0], std[0], n_kept[0]) == (0, 100.0, expected, 2)


@pytest.mark.parametrize("model", ["poisson", "azimuthal", "hybrid"])
def test_equal_values_stay(kernels, model):
    """Without scatter the bounds fall on the values themselves."""
    *_, n_kept = clipped(kernels, [[0.1] * 7, [1 / 3] * 3, [7e-9], [3.3e7] * 5], model, 0.0, 5)
    np.testing.assert_array_equal(n_kept, [7, 3, 1, 5])


@settings(max_examples=200, deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.integers(-3, 3))
def test_float32_bounds_keep_what_the_exact_ones_keep(low, width, steps):
    high = low + width
    least, most = ring_sorted._inner(low, high)
    for bound in (low, high):
        value = np.float32(bound)
        for _ in range(abs(steps)):
            value = np.nextafter(value, np.float32(np.inf * np.sign(steps)))
        assert (least <= value <= most) == (low <= np.float64(value) <= high)


def test_float32_bounds_by_hand(kernels):
    """0.1 lies between two float32 values: the one below is left out as lower bound, the one above as upper bound."""
    above = np.float32(0.1)  # rounds up
    below = np.nextafter(above, np.float32(0))
    assert kernels._inner(0.1, 0.1) == (above, below)
    assert kernels._inner(0.25, 0.25) == (0.25, 0.25)
    with np.errstate(over="ignore"):
        assert kernels._inner(-np.inf, np.inf) == (-np.inf, np.inf)
        assert kernels._inner(-1e300, 1e300) == (np.finfo(np.float32).min, np.finfo(np.float32).max)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32, np.float64])
def test_sort_by_ring(kernels, dtype):
    """Pixels in no ring share the last place."""
    values = np.array([10, 11, 12, 13, 14], dtype=dtype)
    place = np.array([2, 3, 0, 3, 1], dtype=np.uint32)
    filled = np.full(4, -1, dtype=np.float32)
    kernels.sort_by_ring(values, place, filled)
    np.testing.assert_array_equal(filled, [12, 14, 10, 13])


@pytest.mark.parametrize(
    ("dtype", "bad", "valid"),
    [
        (np.uint16, [65535], (0, 65534)),
        (np.uint32, [2**32 - 1], (0, 2**32 - 2)),
        (np.int16, [-1, -32768, 32767], (0, 32766)),
        (np.int32, [-21, -(2**31), 2**31 - 1], (-20, 2**31 - 2)),
        (np.int64, [-1, 2**40 + 1], (0, 2**40)),
    ],
)
def test_bad_reads_become_nan(kernels, dtype, bad, valid):
    values = np.array([*bad, *valid, 7], dtype=dtype)
    filled = np.empty(len(values) + 1, dtype=np.float32)
    kernels.sort_counts_by_ring(values, np.arange(len(values), dtype=np.uint32), *valid, filled)
    np.testing.assert_array_equal(filled[:-1], np.float32([*[np.nan] * len(bad), *valid, 7]))


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_correct_frame(kernels, dtype):
    """Equation 1; a masked pixel may have a normalization of 0, less or none at all."""
    raw = np.array([0, 10, 1000, 10, 10, 10, 1001], dtype=dtype)
    if dtype is np.float32:
        raw[0] = np.nan
    dark = np.array([1, 1, 2.5, 1, 1, 1, 1], dtype=np.float32)
    norm = np.array([1, 0.5, 4, 0, -1, np.nan, 1], dtype=np.float32)
    filled = np.empty(7, dtype=np.float32)
    least = np.nan if dtype is np.float32 else -1
    kernels.correct_frame(raw, dark, norm, 0.0, 1000.0, filled)
    np.testing.assert_array_equal(filled, [least, 18, 249.375, np.nan, np.nan, np.nan, np.nan])
    kernels.correct_frame(raw, EMPTY, norm, 0.0, 999.0, filled)
    np.testing.assert_array_equal(filled, [least + 1, 20, *[np.nan] * 5])
    kernels.correct_frame(raw, dark, EMPTY, 0.0, 2000.0, filled)
    np.testing.assert_array_equal(filled, [least, 9, 997.5, 9, 9, 9, 1000])
    kernels.correct_frame(raw, EMPTY, EMPTY, 10.0, 2000.0, filled)
    np.testing.assert_array_equal(filled, [np.nan, 10, 1000, 10, 10, 10, 1001])
