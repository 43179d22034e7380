import numpy as np
import pytest

from fewphoton.data import FrameTable
from fewphoton.photons.calibration import Calibration
from fewphoton.photons.common_mode import CommonMode
from fewphoton.photons.counting import PhotonCounter
from tests.photons.raw_runs import raw_run


def test_photons_come_back_from_a_wandering_level():
    run = raw_run(50, 20.0, read_noise_adu=2.0)
    panel = run.detector.panel_numbers()
    calibration = Calibration.of(run.readout.offset_adu, run.readout.adu_per_photon, 2.0, run.detector.masked)
    level = np.random.default_rng(0).integers(-60, 60, (50, 3))
    wandering = (run.raw.astype(np.int32) + level[:, panel]).astype(np.uint16)
    corrected = CommonMode(calibration, panel, None)(wandering)
    counter = PhotonCounter(calibration, 0.5, corrected.dtype)
    photons = counter.count(corrected, FrameTable.unknown(50)).photons
    np.testing.assert_array_equal(photons.to_dense(), run.photons.to_dense())
    plain = PhotonCounter(calibration, 0.5, wandering.dtype).count(wandering, FrameTable.unknown(50)).photons
    assert (plain.to_dense() != run.photons.to_dense()).any()


def test_a_panel_without_valid_reads_is_left_alone():
    calibration = Calibration.of(10.0, 1.0, 1.0, np.array([False, False, True, True]))
    frames = np.array([[12.0, 14.0, 50.0, np.nan]], dtype=np.float32)
    corrected = CommonMode(calibration, np.array([0, 0, 1, 1], dtype=np.int32), None)(frames)
    np.testing.assert_array_equal(corrected, [[9.0, 11.0, 50.0, np.nan]])


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float64"])
def test_values_below_the_minimum_become_nan(dtype):
    calibration = Calibration.of(10.0, 1.0, 1.0, np.zeros(5, dtype=bool))
    frames = np.array([[1, 11, 12, 13, 2]], dtype=dtype)
    corrected = CommonMode(calibration, np.zeros(5, dtype=np.int32), 5.0)(frames)
    np.testing.assert_array_equal(corrected, [[np.nan, 9, 10, 11, np.nan]])
