import numpy as np
import pytest
from scipy import stats

from fewphoton.kernels import background_draws
from fewphoton.kernels.background_tables import (
    NEGATIVE_BINOMIAL,
    POISSON_COUNTS,
    ROUNDED_NORMAL,
    count_tables,
    value_tables,
)
from tests.kernels import naive

LOW_MEANS = (0.02, 0.1, 0.5, 1.0, 2.0, 5.0)
N = 200_000
SEED = np.uint64(12345)
EMPTY = np.zeros(0, dtype=np.float32)


@pytest.fixture(params=["jitted", "python"])
def kernels(request, monkeypatch):
    if request.param == "python":
        naive.in_python(monkeypatch, background_draws)
    with np.errstate(over="ignore"):  # random numbers wrap around on purpose
        yield background_draws


def within_standard_errors(sample, mean, fourth, variance):
    """Mean and variance of a sample within five standard errors of the true ones."""
    n, sample = sample.size, sample.astype(float)
    assert abs(sample.mean() - mean) < 5 * np.sqrt(variance / n)
    assert abs(((sample - mean) ** 2).mean() - variance) < 5 * np.sqrt((fourth - variance**2) / n)


def moments(value, probability):
    """Mean, fourth central moment and variance of a discrete distribution."""
    probability = probability / probability.sum()
    mean = (value * probability).sum()
    return mean, ((value - mean) ** 4 * probability).sum(), ((value - mean) ** 2 * probability).sum()


def extended(curve):
    return np.append(curve, [curve[-1], curve[-1]]).astype(np.float32)


def counts(kernels, family, mean, std, limit, left, share=0.0, seed=SEED, dtype=np.uint16, fill=999, smallest=0.0):
    """A frame of counts; ``left`` gives each pixel's ring and ``share`` the weight of the next."""
    mean, std = np.asarray(mean, float), np.broadcast_to(np.asarray(std, float), len(mean)).copy()
    limit = np.broadcast_to(np.asarray(limit, float), len(mean)).copy()
    ptr = np.empty(len(mean) + 2, np.int64)
    accept, alias, value = np.empty(5000, np.uint32), np.empty(5000, np.int32), np.empty(5000, np.int32)
    assert count_tables(np.full(len(mean), family, np.int8), mean, std, smallest, limit, ptr, accept, alias, value)
    weight = np.broadcast_to(np.rint(np.asarray(share) * 65536), len(left)).astype(np.uint16)
    frame = np.empty(len(left), dtype=dtype)
    kernels.draw_counts(left.astype(np.uint16), weight, ptr, accept, alias, value, seed, dtype(fill), frame)
    return frame


def values(kernels, mean, std, limit, left, share=0.0, seed=SEED):
    mean, std, limit = (np.asarray(curve, dtype=float) for curve in (mean, std, limit))
    n = 256 * len(mean)
    ptr, width = np.empty(len(mean) + 2, np.int64), np.empty(len(mean) + 1, np.float32)
    accept, alias, value = np.empty(n, np.uint32), np.empty(n, np.float32), np.empty(n, np.float32)
    value_tables(mean, std, limit, 256, ptr, accept, alias, value, width)
    weight = np.broadcast_to(np.rint(np.asarray(share) * 65536), len(left)).astype(np.uint16)
    frame = np.empty(len(left), dtype=np.float32)
    kernels.draw_values(
        left.astype(np.uint16), weight, ptr, accept, alias, value, width, seed, np.float32(np.nan), frame
    )
    return frame


def scaled(kernels, mean, spread, norm, limit, left, share=0.0, *, poisson, integers, seed=SEED, dtype=np.int32):
    frame = np.empty(len(left), dtype=dtype)
    share = np.broadcast_to(np.float32(share), len(left))
    curves = (extended(mean), extended(spread), np.asarray(norm, dtype=np.float32), extended(limit))
    smallest = 0.0 if poisson else -(2.0**31)
    kernels.draw_scaled(left.astype(np.uint16), share, *curves, poisson, integers, smallest, seed, dtype(-1), frame)
    return frame


def test_random_bits_are_splitmix64(kernels):
    """The generator's published test values for a seed of 1234567."""
    counter = np.uint64(1234567)
    found = []
    for _ in range(5):
        counter += np.uint64(0x9E3779B97F4A7C15)
        found.append(int(kernels.mixed_bits(counter)))
    assert found == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


@pytest.mark.parametrize("mean", LOW_MEANS)
def test_poisson_moments(mean):
    frame = counts(background_draws, POISSON_COUNTS, [mean], 0.0, np.inf, np.zeros(N))
    within_standard_errors(frame, mean, mean + 3 * mean**2, mean)


@pytest.mark.parametrize(("mean", "limit"), [(0.5, 2.0), (2.0, 4.0), (5.0, 7.5), (30.0, 32.0)])
def test_truncated_poisson(mean, limit):
    frame = counts(background_draws, POISSON_COUNTS, [mean], 0.0, limit, np.zeros(N))
    assert frame.max() == np.ceil(limit) - 1
    below = np.arange(np.ceil(limit))
    within_standard_errors(frame, *moments(below, stats.poisson.pmf(below, mean)))


def test_negative_binomial_moments():
    frame = counts(background_draws, NEGATIVE_BINOMIAL, [2.0], 2.0, np.inf, np.zeros(N))
    every = np.arange(200)
    within_standard_errors(frame, *moments(every, stats.nbinom.pmf(every, 2.0, 0.5)))


@pytest.mark.parametrize("dtype", [np.int16, np.int32])
def test_rounded_normal_moments(dtype):
    """Below zero too."""
    frame = counts(
        background_draws, ROUNDED_NORMAL, [-1.3], 2.0, 3.0, np.zeros(N), dtype=dtype, fill=-1, smallest=-(2.0**31)
    )
    every = np.arange(-30, 3)
    law = stats.norm(-1.3, 2.0)
    within_standard_errors(frame, *moments(every, law.cdf(every + 0.5) - law.cdf(every - 0.5)))
    assert frame.min() < -5


def test_every_count_has_its_probability():
    frame = counts(background_draws, POISSON_COUNTS, [1.7], 0.0, 6.0, np.zeros(N))
    below = np.arange(6)
    expected = stats.poisson.pmf(below, 1.7)
    expected *= N / expected.sum()
    assert stats.chisquare(np.bincount(frame, minlength=6), expected).pvalue > 1e-6


@pytest.mark.parametrize("share", [0.25, 0.9])
def test_share_mixes_two_rings(share):
    """The mean is interpolated; the variance holds the difference of the rings besides."""
    frame = counts(background_draws, POISSON_COUNTS, [1.0, 5.0], 0.0, np.inf, np.zeros(N), share)
    every = np.arange(60)
    law = (1 - share) * stats.poisson.pmf(every, 1.0) + share * stats.poisson.pmf(every, 5.0)
    assert (every * law).sum() == pytest.approx(1 + 4 * share)
    within_standard_errors(frame, *moments(every, law))


def test_pixels_differ_from_their_neighbours():
    frame = counts(background_draws, POISSON_COUNTS, [3.0], 0.0, np.inf, np.zeros(N))
    for step in (1, 2, 64, 1000):
        assert abs(np.corrcoef(frame[step:], frame[:-step])[0, 1]) < 5 / np.sqrt(N)


@pytest.mark.parametrize("drawn", ["counts", "values", "scaled", "scaled normal"])
def test_seeds(drawn):
    left = np.zeros(5000)

    def frame(seed):
        seed = np.uint64(seed)
        if drawn == "counts":
            return counts(background_draws, POISSON_COUNTS, [3.0], 0.0, np.inf, left, seed=seed)
        if drawn == "values":
            return values(background_draws, [3.0], [1.0], [np.inf], left, seed=seed)
        options = {"poisson": drawn == "scaled", "integers": True, "seed": seed}
        return scaled(background_draws, [3.0], [1.7], np.ones(5000), [np.inf], left, **options)

    np.testing.assert_array_equal(frame(7), frame(7))
    other = frame(8)
    assert (frame(7) != other).mean() > 0.5
    if drawn != "values":
        assert abs(np.corrcoef(frame(7), other)[0, 1]) < 5 / np.sqrt(5000)


def gappy(n_bins):
    left = np.arange(300) % (n_bins + 1)
    share = np.where(left < n_bins - 1, np.linspace(0, 0.99, 300), 0)
    return left, share


@pytest.mark.parametrize(("dtype", "fill"), [(np.uint16, 65535), (np.int32, -1), (np.uint32, 2**32 - 1)])
def test_gaps_of_counts(kernels, dtype, fill):
    left, share = gappy(3)
    frame = counts(kernels, POISSON_COUNTS, [1.0, 3.0, 0.0], 0.0, [5.0, 9.0, 3.0], left, share, dtype=dtype, fill=fill)
    np.testing.assert_array_equal(frame == fill, left == 3)
    assert (frame[left == 2] == 0).all()
    assert (frame[left < 3] < 9).all()


def test_both_ways_to_run_draw_the_same(monkeypatch):
    left, share = gappy(3)

    def frames():
        yield counts(background_draws, POISSON_COUNTS, [1.0, 3.0, 9.0], 0.0, np.inf, left, share)
        yield values(background_draws, [1.0, 3.0, 9.0], [1.0, 0.1, 2.0], [5.0] * 3, left, share)
        for poisson in (True, False):
            curves = ([1.0, 3.0, 9.0], [1.0, 2.0, 0.5], np.linspace(0.3, 5, 300), [5.0, 7.0, 9.1])
            yield scaled(background_draws, *curves, left, share, poisson=poisson, integers=True)

    jitted = list(frames())
    naive.in_python(monkeypatch, background_draws)
    with np.errstate(over="ignore"):
        for one, other in zip(jitted, frames(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_values(kernels):
    left, share = gappy(2)
    frame = values(kernels, [10.0, 20.0], [1.0, 2.0], [11.0, 21.0], left, share)
    np.testing.assert_array_equal(np.isnan(frame), left == 2)
    assert (frame[left == 1] >= 8).all()
    assert (frame[left < 2] >= 4).all()
    assert (frame[left < 2] < 21).all()
    assert (frame[(left == 0) & (share == 0)] < 11).all()


@pytest.mark.parametrize(("mean", "std", "limit"), [(0.0, 1.0, np.inf), (100.0, 3.0, 103.0), (1e4, 1.0, 1e4 + 0.5)])
def test_moments_of_values(mean, std, limit):
    frame = values(background_draws, [mean], [std], [limit], np.zeros(N)).astype(float)
    law = stats.truncnorm(-6, (limit - mean) / std)
    centre, variance = mean + std * law.mean(), std**2 * law.var()
    fourth = law.stats("k") * variance**2 + 3 * variance**2
    within_standard_errors(frame, centre, fourth, variance)
    assert frame.max() < limit
    assert stats.kstest((frame[:20_000] - mean) / std, law.cdf).pvalue > 1e-5


def test_each_ring_has_its_intervals():
    frame = values(background_draws, [0.0, 50.0], [1e-3, 2.0], [np.inf] * 2, np.ones(N))
    within_standard_errors(frame, 50.0, 3 * 2.0**4, 2.0**2)


def test_share_mixes_values():
    frame = values(background_draws, [0.0, 10.0], [1.0, 2.0], [np.inf] * 2, np.zeros(N), 0.25)
    variance = 0.75 * 1 + 0.25 * 4 + 0.75 * 0.25 * 100
    assert abs(frame.mean(dtype=float) - 2.5) < 5 * np.sqrt(variance / N)
    assert abs((frame > 5).mean() - 0.25) < 0.01


NORMS = np.repeat([0.1, 0.5, 1.0, 3.0], N // 4).astype(np.float32)


@pytest.mark.parametrize("mean", [*LOW_MEANS, 40.0])
def test_scaled_poisson_moments(mean):
    """Raw counts have the mean of the corrected ones times the normalization, and its variance."""
    frame = scaled(background_draws, [mean], [0.0], NORMS, [np.inf], np.zeros(N), poisson=True, integers=True)
    for norm in np.unique(NORMS):
        expected = float(np.float32(mean)) * float(norm)
        # Above 30 counts are rounded normal values.
        variance = expected + (expected > 30) / 12
        fourth = expected + 3 * expected**2 if expected <= 30 else 3 * variance**2
        within_standard_errors(frame[norm == NORMS], expected, fourth, variance)


def test_scaled_poisson_below_its_limit():
    frame = scaled(background_draws, [4.0], [0.0], NORMS, [6.0], np.zeros(N), poisson=True, integers=True)
    for norm in np.unique(NORMS):
        part, below = frame[norm == NORMS], np.arange(np.ceil(6.0 * norm))
        assert part.max() < 6.0 * norm
        if len(below) > 1:
            within_standard_errors(part, *moments(below, stats.poisson.pmf(below, 4.0 * norm)))


@pytest.mark.parametrize("share", [0.0, 0.7])
def test_scaled_normal_moments(share):
    """Mean, spread and limit are interpolated, then multiplied by the normalization."""
    frame = scaled(
        background_draws, [-2.0, 8.0], [1.0, 3.0], NORMS, [-1.0, 11.0], np.zeros(N), share,
        poisson=False, integers=False, dtype=np.float32,
    )  # fmt: skip
    mean, spread, limit = (a + share * (b - a) for a, b in ((-2.0, 8.0), (1.0, 3.0), (-1.0, 11.0)))
    law = stats.truncnorm(-np.inf, (limit - mean) / spread)
    for norm in np.unique(NORMS).astype(float):
        part = frame[norm == NORMS]
        centre, variance = norm * (mean + spread * law.mean()), (norm * spread) ** 2 * law.var()
        within_standard_errors(part, centre, (law.stats("k") + 3) * variance**2, variance)
        assert part.max() <= norm * limit * (1 + 1e-6)


@pytest.mark.parametrize("poisson", [True, False])
def test_scaled_integers_and_gaps(kernels, poisson):
    left, share = gappy(2)
    norm = np.linspace(0.2, 3, 300)
    frame = scaled(
        kernels, [3.0, 20.0], [2.0, 3.0], norm, [8.0, 25.0], left, share,
        poisson=poisson, integers=True, dtype=np.float32,
    )  # fmt: skip
    assert (frame[left == 2] == -1).all()
    inside = left < 2
    np.testing.assert_array_equal(frame, np.rint(frame))
    top = norm * (np.array([8.0, 25.0, 25.0])[left] * (1 - share) + 25.0 * share)
    assert (frame[inside] < top[inside]).all()
    if poisson:
        assert (frame[inside] >= 0).all()


def test_scaled_without_scatter(kernels):
    """Nothing drawn is low enough, so what comes is the largest integer below the limit; without one, the mean."""
    left, norm = np.zeros(8), np.ones(8)
    options = {"poisson": False, "integers": True}
    frame = scaled(kernels, [2.7], [0.0], norm, [2.8], left, **options)
    assert (frame == 2).all()
    with np.errstate(invalid="ignore"):  # interpolating infinite limits gives NaN, which does not bind either
        assert (scaled(kernels, [2.7], [0.0], norm, [np.inf], left, **options) == 3).all()
    assert (scaled(kernels, [0.0], [0.0], norm, [1.0], left, poisson=True, integers=True) == 0).all()
    assert (scaled(kernels, [-3.0], [0.0], norm, [1.0], left, poisson=True, integers=True) == 0).all()


@pytest.mark.parametrize(("dtype", "fill"), [(np.uint16, 65535), (np.int32, -1), (np.float32, np.nan)])
def test_fill_mean(kernels, dtype, fill):
    rng = np.random.default_rng(3)
    mean = rng.uniform(0, 50, 6)
    left, share = rng.integers(0, 7, 200), rng.random(200).astype(np.float32)
    share[left == 5] = 0
    norm = rng.uniform(0.5, 2, 200).astype(np.float32)
    expected = np.interp(left + share, np.arange(6), mean)
    integers = dtype is not np.float32
    for factor in (EMPTY, norm):
        frame = np.empty(200, dtype=dtype)
        kernels.fill_mean(left.astype(np.uint16), share, extended(mean), factor, integers, dtype(fill), frame)
        wanted = expected * (factor if len(factor) else 1)
        wanted = np.rint(wanted) if integers else wanted
        np.testing.assert_allclose(frame, np.where(left == 6, fill, wanted), rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_rounding(kernels, dtype):
    """To the nearest, also where adding a half in float32 would go wrong; halves to the even one."""
    below_half = np.nextafter(np.float32(0.5), np.float32(0))
    mean = np.array([0.0, 0.4, below_half, 0.5, 0.6, 1.5, 2.5, 40_000.4], dtype=np.float32)
    expected = [0, 0, 0, 0, 1, 2, 2, 40_000]
    if dtype is np.int32:
        mean, expected = np.append(mean, np.float32([8_388_609, -0.4, -0.6, -7])), [*expected, 8_388_609, 0, -1, -7]
    n = len(mean)
    frame = np.empty(n, dtype=dtype)
    left, share = np.arange(n, dtype=np.uint16), np.zeros(n, dtype=np.float32)
    kernels.fill_mean(left, share, extended(mean), EMPTY, True, dtype(7), frame)
    np.testing.assert_array_equal(frame, expected)


def test_means_are_interpolated(kernels):
    left, share = np.zeros(5, dtype=np.uint16), np.linspace(0, 1, 5, dtype=np.float32)
    frame = np.empty(5, dtype=np.float32)
    kernels.fill_mean(left, share, extended([4.0, 8.0]), EMPTY, False, np.float32(-1), frame)
    np.testing.assert_allclose(frame, [4, 5, 6, 7, 8])
