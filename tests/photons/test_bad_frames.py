import numpy as np
import pytest

from fewphoton.photons.bad_frames import LevelProbe, total_limit
from fewphoton.photons.calibration import Calibration


def test_limit_is_robust_and_at_least_poisson():
    assert total_limit(np.array([4, 4, 4, 4, 10**6]), 20.0) == pytest.approx(4 + 20 * 2)
    assert total_limit(np.array([0, 0, 0]), 20.0) == pytest.approx(20.0)
    spread = np.array([100, 200, 300, 400, 500])
    assert total_limit(spread, 5.0) == pytest.approx(300 + 5 * 148.26)


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32"])
def test_shift_is_measured_in_noise_widths(dtype):
    rng = np.random.default_rng(0)
    calibration = Calibration.of(rng.uniform(900, 1100, 5000), 40.0, 5.0, np.zeros(5000, dtype=bool))
    shift = np.array([0.0, -15.0, 8.0])
    photons = rng.poisson(0.1, (3, 5000))
    values = calibration.offset_adu + shift[:, None] + 40 * photons + 5 * rng.standard_normal((3, 5000))
    found = LevelProbe(calibration, 0.6).shifts(np.rint(values).astype(dtype))
    np.testing.assert_allclose(found, shift / 5.0, atol=0.25)


def test_frames_without_empty_pixels_are_far_off():
    calibration = Calibration.of(100.0, 10.0, 1.0, np.zeros(300, dtype=bool))
    frames = np.full((3, 300), 130, dtype=np.uint16)
    frames[1] = 100
    frames[2, :150] = 100
    assert LevelProbe(calibration, 0.6).shifts(frames).tolist() == [np.inf, 0.0, 0.0]


def test_bad_reads_do_not_count():
    calibration = Calibration.of(100.0, 10.0, 1.0, np.zeros(5, dtype=bool))
    frames = np.array([[np.nan, 101, 102, 103, -np.inf]])
    assert LevelProbe(calibration, 0.6).shifts(frames).tolist() == [2.0]


def test_pixels_without_noise_say_nothing():
    calibration = Calibration.of(0.0, 1.0, 0.0, np.zeros(5, dtype=bool))
    assert LevelProbe(calibration, 0.6).shifts(np.ones((2, 5))).tolist() == [0.0, 0.0]
