import numpy as np
import pytest

from fewphoton.photons.bad_pixels import BadPixels, hot_pixels, noise_outliers, silent_pixels
from fewphoton.photons.calibration import Calibration

SHAPE = (30, 30)
EVERY = np.ones(900, dtype=bool)


def test_noise_is_compared_within_the_panel():
    noise = np.array([1, 1, 1, 1, 5, 0.2, 10, 10, 10, 10, 50, 0, 1], dtype=np.float32)
    panel = np.array([0] * 6 + [1] * 6 + [-1], dtype=np.int32)
    masked = panel < 0
    noisy, dead = noise_outliers(Calibration.of(0.0, 1.0, noise, masked), panel, 4.0)
    assert np.flatnonzero(noisy).tolist() == [4, 10]
    assert np.flatnonzero(dead).tolist() == [5, 11]


def test_masked_pixels_have_no_reason():
    noise = np.array([1, 1, 1, 50, 0], dtype=np.float32)
    masked = np.array([False, False, False, True, True])
    noisy, dead = noise_outliers(Calibration.of(0.0, 1.0, noise, masked), np.zeros(5, dtype=np.int32), 4.0)
    assert not noisy.any()
    assert not dead.any()


def background(seed=0, mean=1.0):
    return np.random.default_rng(seed).poisson(mean, SHAPE)


@pytest.mark.parametrize("mean", [0.0, 0.5, 3.0])
def test_isolated_bright_pixels_are_hot(mean):
    lit = background(1, mean)
    lit[5, 5], lit[20, 0], lit[29, 29] = 500, 400, 450
    lit[12, 12] = lit[12, 13] = 480
    hot = hot_pixels(lit.ravel(), 500, SHAPE, EVERY, 20.0)
    assert {divmod(pixel, 30) for pixel in np.flatnonzero(hot)} == {(5, 5), (20, 0), (29, 29), (12, 12), (12, 13)}


def test_bragg_peaks_are_not_hot():
    lit = background(2, 0.5).astype(float)
    slow, fast = np.mgrid[:30, :30]
    for centre in ((6.0, 6.0), (15.5, 15.2), (22.1, 9.1)):
        lit += 450 * np.exp(-((slow - centre[0]) ** 2 + (fast - centre[1]) ** 2) / (2 * 0.5**2))
    assert not hot_pixels(lit.astype(np.int64).ravel(), 500, SHAPE, EVERY, 20.0).any()


def test_rarely_lit_pixels_are_not_hot():
    lit = np.zeros(SHAPE, dtype=np.int64)
    lit[3, 3] = 9
    assert not hot_pixels(lit.ravel(), 500, SHAPE, EVERY, 20.0).any()


def test_unusable_pixels_are_not_judged():
    lit = background(3)
    lit[5, 5] = 500
    usable = EVERY.copy()
    usable[5 * 30 + 5] = False
    assert not hot_pixels(lit.ravel(), 500, SHAPE, usable, 20.0).any()
    assert not hot_pixels(lit.ravel(), 500, SHAPE, ~EVERY, 20.0).any()


def test_a_pixel_without_photons_among_bright_ones_is_silent():
    photons = background(4, 100.0)
    photons[10, 10] = 0
    photons[20, 20] = 0
    usable = EVERY.copy()
    usable[20 * 30 + 20] = False
    silent = silent_pixels(photons.ravel(), SHAPE, usable)
    assert np.flatnonzero(silent).tolist() == [310]


def test_empty_pixels_between_peaks_are_not_silent():
    photons = background(5, 0.5)
    photons[9:12, 9:11] = 1000
    assert not silent_pixels(photons.ravel(), SHAPE, EVERY).any()


def test_reasons_add_up():
    one = np.array([True, False, False])
    bad = BadPixels(one, np.roll(one, 1), np.zeros(3, dtype=bool))
    assert bad.any.tolist() == [True, True, False]
    assert not BadPixels.none(4).any.any()
