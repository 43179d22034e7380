import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, poisson

from fewphoton.config.separation import BackgroundConfig
from fewphoton.data import Beam
from fewphoton.separation.azimuthal_bins import azimuthal_bins, normalization
from fewphoton.separation.background import Background, BackgroundFinder
from fewphoton.separation.strong_pixels import normal_tail, ring_limits, strong_pixels
from tests.conftest import flat_detector

DETECTOR, BEAM = flat_detector(40, 30), Beam(0.9)


def by_definition(values, bins, background, cutoff, noise, floor, tail, inclusive, smallest, largest):
    """Pixel by pixel: interpolate, compare."""
    strong = []
    for pixel in np.flatnonzero(bins.usable):
        value = float(values[pixel])
        if not smallest <= value <= largest:
            continue
        mean, std = (np.interp(bins.radius[pixel], bins.centres, curve) for curve in (background.mean, background.std))
        if tail > 0:
            is_strong = poisson.sf(np.ceil(value) - 1, mean) <= tail
        else:
            excess, limit = value - mean, max(floor, cutoff * np.hypot(std, noise))
            is_strong = excess > limit or (inclusive and excess == limit and excess > 0)
        if is_strong:
            strong.append(pixel)
    return strong


def near_a_limit(values, bins, background, cutoff, noise, floor):
    mean, std = (
        np.interp(np.nan_to_num(bins.radius), bins.centres, curve) for curve in (background.mean, background.std)
    )
    return np.abs(values - mean - np.maximum(floor, cutoff * np.hypot(std, noise))) < 1e-6


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    dtype=st.sampled_from(["u1", "u2", "i4", "u8", "i8", "f4", "f8"]),
    n_bins=st.sampled_from([1, 2, 9, 60]),
    cutoff=st.sampled_from([0.0, 1.0, 2.5, 6.0]),
    noise=st.sampled_from([0.0, 0.5, 1.0]),
    floor=st.sampled_from([0.0, 1.0]),
    inclusive=st.booleans(),
)
def test_strong_pixels_are_the_definition(seed, dtype, n_bins, cutoff, noise, floor, inclusive):
    rng = np.random.default_rng(seed)
    bins = azimuthal_bins(DETECTOR.with_mask(rng.random(1200) < 0.1), BEAM, n_bins)
    config = BackgroundConfig(n_bins=n_bins, noise=noise)
    finder = BackgroundFinder(bins, config, dtype)
    background = Background(rng.uniform(0, 20, n_bins), rng.uniform(0.1, 6, n_bins), np.ones(n_bins))
    values = rng.poisson(12, 1200).astype(dtype)
    if dtype.startswith("f"):
        values += rng.random(1200).astype(dtype)
        values[::50] = np.nan
    else:
        values[::50] = np.iinfo(dtype).max
    found = strong_pixels(finder, values, background, cutoff, floor=floor, inclusive=inclusive)
    assert found.dtype == np.uint32
    assert (np.diff(found.astype(np.int64)) > 0).all()
    expected = by_definition(
        values, bins, background, cutoff, noise, floor, 0.0, inclusive, finder.smallest, finder.largest
    )
    # Where a value meets the limit to rounding either is right.
    doubtful = np.setxor1d(found, expected).astype(int)
    assert near_a_limit(values.astype(float), bins, background, cutoff, noise, floor)[doubtful].all()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    cutoff=st.sampled_from([0.0, 1.0, 2.0, 3.0, 5.0]),
    brightest=st.sampled_from([0.05, 1.0, 30.0, 500.0]),
)
def test_by_the_poisson_tail(seed, cutoff, brightest):
    rng = np.random.default_rng(seed)
    bins = azimuthal_bins(DETECTOR, BEAM, 12)
    finder = BackgroundFinder(bins, BackgroundConfig(error_model="poisson_tail"), np.uint16)
    mean = rng.uniform(0, brightest, 12)
    background = Background(mean, np.sqrt(mean), np.ones(12))
    values = rng.poisson(np.interp(bins.radius, bins.centres, mean) * rng.choice([1, 1.5], 1200)).astype(np.uint16)
    found = strong_pixels(finder, values, background, cutoff, floor=1.0)
    expected = by_definition(values, bins, background, cutoff, 1.0, 1.0, norm.sf(cutoff), False, 0, 65534)
    assert found.tolist() == expected


@pytest.mark.parametrize("mean", [700.0, 3000.0, 40_000.0])
@pytest.mark.parametrize("cutoff", [2.0, 3.0, 5.0])
def test_by_the_poisson_tail_on_a_bright_background(mean, cutoff):
    bins = azimuthal_bins(DETECTOR, BEAM, 12)
    finder = BackgroundFinder(bins, BackgroundConfig(error_model="poisson_tail"), np.uint16)
    background = Background(np.full(12, mean), np.full(12, np.sqrt(mean)), np.ones(12))
    threshold = int(poisson.isf(normal_tail(cutoff), mean)) + 1
    values = (threshold + np.arange(1200) % 401 - 200).astype(np.uint16)
    found = strong_pixels(finder, values, background, cutoff)
    np.testing.assert_array_equal(found, np.flatnonzero(values >= threshold))


def test_the_tail_of_the_normal_distribution():
    for cutoff in (0.0, 1.0, 3.0, 7.0):
        np.testing.assert_allclose(normal_tail(cutoff), norm.sf(cutoff), rtol=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(["u2", "i4", "f4"]),
    cutoff=st.floats(0, 6),
    noise=st.floats(0, 2),
    floor=st.floats(0, 2),
    by_tail=st.booleans(),
)
def test_ring_limits_enclose_the_limit_of_every_pixel(seed, kind, cutoff, noise, floor, by_tail):
    rng = np.random.default_rng(seed)
    bins = azimuthal_bins(DETECTOR, BEAM, 15)
    mean = rng.uniform(0, 30, 15) - (0 if by_tail else rng.choice([0, 100]))
    background = Background(mean, rng.uniform(0, 5, 15), np.ones(15))
    tail = normal_tail(cutoff) if by_tail else 0.0
    least, certain = ring_limits(background, np.dtype(kind), cutoff, noise, floor, tail)
    assert len(least) == len(certain) == 16
    at_pixel, std = (np.interp(bins.radius, bins.centres, curve) for curve in (background.mean, background.std))
    if by_tail:
        limit = poisson.isf(tail, np.maximum(at_pixel, 1e-300)) + 1
    else:
        limit = at_pixel + np.maximum(floor, cutoff * np.hypot(std, noise))
    if kind == "u2":
        limit = np.maximum(limit, 0)  # a limit below every value is as good as one at the smallest
    ring = bins.bin_of_pixel.astype(int)
    slack = 1e-5 * np.maximum(np.abs(limit), 1)
    assert (least[ring] <= np.ceil(limit) + slack).all()
    assert (certain[ring] >= limit - slack).all()
    biggest = np.finfo(np.float32).max if kind == "f4" else np.iinfo(kind).max
    assert least[-1] > biggest
    assert certain[-1] > biggest


def test_limits_beyond_the_type_pick_nothing():
    bins = azimuthal_bins(DETECTOR, BEAM, 4)
    for dtype in ("u1", "u2", "i8", "f4"):
        finder = BackgroundFinder(bins, BackgroundConfig(n_bins=4), dtype)
        background = Background(np.full(4, 1e30), np.full(4, 1e30), np.ones(4))
        assert len(strong_pixels(finder, np.full(1200, 9, dtype=dtype), background, 3.0)) == 0


def test_corrected_frames_are_judged_by_their_corrected_values():
    norm_of = normalization(DETECTOR, BEAM, solid_angle=True, polarization=True)
    bins = azimuthal_bins(DETECTOR, BEAM, 9, norm=norm_of)
    finder = BackgroundFinder(bins, BackgroundConfig(n_bins=9), np.int32)
    rng = np.random.default_rng(0)
    frame = rng.poisson(8, 1200).astype(np.int32)
    frame[77] = -1
    values = finder.correct(frame)
    background = Background(rng.uniform(5, 10, 9), rng.uniform(1, 3, 9), np.ones(9))
    found = strong_pixels(finder, values, background, 1.0)
    assert found.tolist() == by_definition(values, bins, background, 1.0, 1.0, 0.0, 0.0, False, -np.inf, np.inf)
    assert 77 not in found
