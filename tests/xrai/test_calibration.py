import numpy as np
import pytest

from fewphoton.data.pattern_source import DensePatterns
from fewphoton.errors import DataError
from fewphoton.xrai.calibration import N_RINGS, Calibration
from tests.xrai.particles import noise_free, photons, pixels


def test_noise_free_frames_are_scaled_as_the_paper_says():
    source = noise_free(50)
    made = Calibration.of_frames(source, np.arange(50), counts=False)
    patterns = source.patterns(np.arange(50)).astype(float)
    assert made.scale * patterns.sum(axis=1).min() == pytest.approx(20_000 * 14 * 14 / 128**2)
    amplitude = np.sqrt(made.scale * patterns / source.response)
    np.testing.assert_allclose(made.amplitude_mean, amplitude.mean(axis=0), rtol=1e-5)
    deviation = amplitude.std(axis=0)
    np.testing.assert_allclose(made.amplitude_deviation, deviation + 1e-3 * deviation.mean(), rtol=1e-5)
    assert made.mean_total == pytest.approx((made.scale * patterns).sum(axis=1).mean())


def test_rings_weigh_as_the_inverse_of_their_deviation():
    source = noise_free(50)
    made = Calibration.of_frames(source, np.arange(50), counts=False)
    amplitude = np.sqrt(made.scale * source.patterns(np.arange(50)).astype(float) / source.response)
    q = np.linalg.norm(source.q_per_angstrom, axis=1)
    ring = np.minimum((q / q.max() * N_RINGS).astype(int), N_RINGS - 1)
    wanted = np.array([1 / np.sqrt(amplitude[:, ring == one].var(axis=0).mean()) for one in ring])
    np.testing.assert_allclose(made.ring_weight, wanted / wanted.mean(), rtol=1e-4)
    mean = [np.mean((amplitude**2)[:, ring == one]) for one in np.unique(ring)]
    np.testing.assert_allclose(made.log_intensity, np.log(mean), rtol=1e-4)
    assert (np.diff(made.radius_inv_angstrom) > 0).all()


def test_counts_keep_their_scale_and_get_anscombe_s_offset():
    made = Calibration.of_frames(photons(40), np.arange(40), counts=True)
    assert (made.scale, made.offset) == (1.0, 0.375)


def test_frames_that_tell_nothing_are_refused():
    with pytest.raises(DataError, match="none of the 5 frames"):
        Calibration.of_frames(photons(5, scale=0.0), np.arange(5), counts=True)
    same = DensePatterns(np.ones((5, 196), np.float32), pixels())
    with pytest.raises(DataError, match="are the same"):
        Calibration.of_frames(same, np.arange(5), counts=False)


def test_dark_frames_of_the_sample_do_not_count():
    place = pixels()
    patterns = noise_free(30).patterns(np.arange(30))
    with_dark = np.concatenate([patterns, np.zeros((5, 196), np.float32)])
    first = Calibration.of_frames(DensePatterns(patterns, place), np.arange(30), counts=False)
    second = Calibration.of_frames(DensePatterns(with_dark, place), np.arange(35), counts=False)
    np.testing.assert_array_equal(first.amplitude_mean, second.amplitude_mean)
    assert first.scale == second.scale
