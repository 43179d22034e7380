import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fewphoton.kernels import strong_pixels
from tests.kernels import naive

MEANS = [1e-3, 0.02, 0.4, 1.0, 3.7, 12.0, 84.9, 500.0, 667.0, 700.0, 1e3, 1e4]
N_RINGS, STEP, FIRST = 9, 0.5, 1.25
CENTRES = FIRST + STEP * np.arange(N_RINGS)
NEVER = np.full(N_RINGS + 1, np.inf)


@pytest.fixture(params=["jitted", "python"])
def kernels(request, monkeypatch):
    if request.param == "python":
        naive.in_python(monkeypatch, strong_pixels)
    return strong_pixels


@pytest.mark.parametrize("n_rings", [1, 2, 9])
def test_between_rings_as_interp(kernels, n_rings):
    rng = np.random.default_rng(1)
    centres, curve = CENTRES[:n_rings], rng.normal(size=n_rings)
    radius = np.concatenate([rng.uniform(0, 8, 200), centres, [0.0, -1.0, 100.0]])
    found = []
    for r in radius:
        left, share = kernels.between_rings(r, FIRST, STEP, n_rings)
        right = min(left + 1, n_rings - 1)
        assert 0 <= left < n_rings
        assert 0 <= share <= 1
        found.append(curve[left] * (1 - share) + curve[right] * share)
    np.testing.assert_allclose(found, np.interp(radius, centres, curve), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mean", MEANS)
def test_poisson_upper_tail(kernels, mean):
    width = np.sqrt(mean)
    counts = [*range(6), *(mean + width * np.array([-9, -2, -0.1, 0, 0.1, 1.5, 3, 6, 12])), mean + 0.5]
    for count in counts:
        expected = stats.poisson.sf(np.ceil(count) - 1, mean) if count > 0 else 1.0
        assert kernels.poisson_upper_tail(float(count), mean) == pytest.approx(expected, rel=1e-8, abs=1e-280)


def test_poisson_upper_tail_at_its_ends(kernels):
    assert kernels.poisson_upper_tail(0.0, 5.0) == kernels.poisson_upper_tail(-3.0, 5.0) == 1.0
    assert kernels.poisson_upper_tail(1.0, 0.0) == kernels.poisson_upper_tail(1.0, -1.0) == 0.0
    assert kernels.poisson_upper_tail(2.0, 1.0) == pytest.approx(1 - 2 / np.e)
    assert kernels.poisson_upper_tail(1.8e19, 1.0) == 0.0


@pytest.mark.parametrize("tail", [0.5, 0.16, 1.35e-3, 2.9e-7, 1e-12, 1e-20, 1e-100])
@pytest.mark.parametrize("mean", MEANS)
def test_poisson_threshold(kernels, mean, tail):
    count = kernels.poisson_threshold(mean, tail)
    assert count == int(count)
    assert stats.poisson.sf(count - 1, mean) <= tail * (1 + 1e-6)
    assert count == 0 or stats.poisson.sf(count - 2, mean) > tail * (1 - 1e-6)


def test_poisson_thresholds(kernels):
    mean = np.array([0.0, -1.0, 2.0, 2000.0])
    found = np.empty(4)
    kernels.poisson_thresholds(mean, 0.01, found)
    np.testing.assert_array_equal(found, [1, 1, *(stats.poisson.isf(0.01, mean[2:]) + 1)])
    assert kernels.poisson_threshold(2.0, 1.0) == 0
    # P(X >= 1) of a mean of ln 2 is 1/2: reached with a probability of at most that.
    assert kernels.poisson_threshold(np.log(2), 0.5 + 1e-12) == 1


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.uint32, np.float32])
def test_exceed_ring_limit(kernels, dtype):
    rng = np.random.default_rng(2)
    frame = rng.integers(0, 12, 200).astype(dtype)
    frame[:4] = np.iinfo(dtype).max if np.dtype(dtype).kind in "iu" else np.nan
    ring = rng.integers(0, 4, 200).astype(np.uint16)
    ring[3] = 3
    if np.dtype(dtype).kind == "f":
        limit = np.array([3, 7.5, 11, np.inf], dtype=np.float32)
    else:
        limit = np.array([3, -2, 11, np.iinfo(np.int64).max], dtype=np.int64)
    picked = np.zeros(200, dtype=np.uint32)
    n = kernels.exceed_ring_limit(frame, ring, limit, picked)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(picked[:n], np.flatnonzero(frame > limit[ring]))
    assert 0 < n < 200


def scene(dtype, seed=3, n=400):
    """Pixels over and beyond all rings; mean and scatter change from ring to ring."""
    rng = np.random.default_rng(seed)
    radius = rng.uniform(CENTRES[0] - STEP / 2, CENTRES[-1] + STEP / 2, n).astype(np.float32)
    ring = np.floor((radius - CENTRES[0]) / STEP + 0.5).astype(np.uint16)
    mean, std = rng.uniform(2, 15, N_RINGS), rng.uniform(0.5, 4, N_RINGS)
    if np.dtype(dtype).kind == "f":
        frame = rng.normal(np.interp(radius, CENTRES, mean), 4.0).astype(dtype)
        frame[5] = np.nan
    else:
        frame = rng.poisson(np.interp(radius, CENTRES, mean), n).astype(dtype)
        frame[5] = np.iinfo(dtype).max
    frame[6] = 900
    return frame, radius, ring, mean, std


def kept(kernels, frame, radius, ring, mean, std, certain, noise, cutoff, floor, tail, inclusive, valid=(0.0, 5000.0)):
    picked = np.arange(len(frame), dtype=np.uint32)
    options = (certain, ring, noise, cutoff, floor, tail, inclusive, *valid)
    n = kernels.keep_strong(frame, picked, radius, FIRST, STEP, mean, std, *options)
    return picked[:n]


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize(
    ("noise", "cutoff", "floor", "tail"),
    [(0.0, 2.0, 0.0, 0.0), (1.0, 1.0, 0.0, 0.0), (1.0, 0.5, 3.0, 0.0), (0.0, 0.0, 0.0, 0.0), (1.0, 9.0, 2.0, 0.1)],
)
@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_against_the_naive_twin(kernels, dtype, noise, cutoff, floor, tail, inclusive):
    frame, radius, ring, mean, std = scene(dtype)
    if tail and np.dtype(dtype).kind == "f":
        frame = np.abs(frame)
    rule = (noise, cutoff, floor, tail, inclusive)
    with np.errstate(invalid="ignore"):
        valid = (frame >= 0) & (frame <= 5000)
        strong = naive.strong(frame.astype(float), radius.astype(float), CENTRES, mean, std, *rule) & valid
    np.testing.assert_array_equal(kept(kernels, frame, radius, ring, mean, std, NEVER, *rule), np.flatnonzero(strong))
    assert 0 < strong.sum() < len(frame)
    assert strong[6]
    assert not strong[5]


def test_a_certain_pixel_needs_no_background(kernels):
    """Even where the curves say otherwise; but a bad read is never strong."""
    frame, radius, ring, mean, std = scene(np.int32)
    certain = np.append(np.full(N_RINGS, 7), np.iinfo(np.int64).max)
    found = kept(kernels, frame, radius, ring, mean + 1e6, std, certain, 0.0, 3.0, 0.0, 0.0, False)
    np.testing.assert_array_equal(found, np.flatnonzero((frame >= 7) & (frame <= 5000)))


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize(("inclusive", "expected"), [(False, [2]), (True, [1, 2])])
def test_on_the_limit(kernels, dtype, inclusive, expected):
    """Mean 4, hypot(3, 4) = 5, cut-off 2: the limit is 14."""
    frame = np.array([13, 14, 15], dtype=dtype)
    radius, ring = np.full(3, CENTRES[4], dtype=np.float32), np.full(3, 4, dtype=np.uint16)
    curves = (np.full(N_RINGS, 4.0), np.full(N_RINGS, 3.0))
    found = kept(kernels, frame, radius, ring, *curves, NEVER, 4.0, 2.0, 0.0, 0.0, inclusive)
    assert found.tolist() == expected
    found = kept(kernels, frame, radius, ring, *curves, NEVER, 4.0, 0.1, 10.0, 0.0, inclusive)
    assert found.tolist() == expected


@pytest.mark.parametrize("inclusive", [False, True])
def test_at_the_background_nothing_is_strong(kernels, inclusive):
    frame = np.array([3, 4, 5], dtype=np.int32)
    radius, ring = np.full(3, CENTRES[4], dtype=np.float32), np.full(3, 4, dtype=np.uint16)
    curves = (np.full(N_RINGS, 4.0), np.zeros(N_RINGS))
    found = kept(kernels, frame, radius, ring, *curves, NEVER, 0.0, 3.0, 0.0, 0.0, inclusive)
    assert found.tolist() == [2]


def test_valid_values_reach_to_both_ends(kernels):
    frame = np.array([-1, 0, 50, 51, np.nan], dtype=np.float32)
    radius, ring = np.full(5, CENTRES[4], dtype=np.float32), np.full(5, 4, dtype=np.uint16)
    curves = (np.full(N_RINGS, -10.0), np.zeros(N_RINGS))
    found = kept(kernels, frame, radius, ring, *curves, NEVER, 0.0, 3.0, 0.0, 0.0, False, (0.0, 50.0))
    assert found.tolist() == [1, 2]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0.0, 0.16, 1e-3]), st.booleans(), st.floats(0.3, 4.0))
def test_limits_of_rings_change_nothing(seed, tail, inclusive, cutoff):
    """Limits that bound the interpolated one from both sides only save work."""
    frame, radius, ring, mean, std = scene(np.uint16, seed)
    rule = (0.7, cutoff, 0.5, tail, inclusive)
    near = [np.pad(curve, 1, mode="edge") for curve in (mean, std)]
    bounds = []
    for choose in (np.minimum, np.maximum):
        low_mean, low_std = (choose.reduce([curve[:-2], curve[1:-1], curve[2:]]) for curve in near)
        limit = low_mean + np.maximum(0.5, cutoff * np.hypot(low_std, 0.7))
        if tail:
            strong_pixels.poisson_thresholds(low_mean, tail, limit)
        bounds.append(np.append(np.ceil(limit) + (choose is np.maximum), np.inf))
    picked = np.zeros(len(frame), dtype=np.uint32)
    n = strong_pixels.exceed_ring_limit(frame, ring, bounds[0] - 1, picked)
    options = (bounds[1], ring, *rule, 0.0, 5000.0)
    n = strong_pixels.keep_strong(frame, picked[:n], radius, FIRST, STEP, mean, std, *options)
    np.testing.assert_array_equal(picked[:n], kept(strong_pixels, frame, radius, ring, mean, std, NEVER, *rule))
