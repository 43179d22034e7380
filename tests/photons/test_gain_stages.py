import numpy as np
import pytest

from fewphoton.errors import DataError
from fewphoton.photons.gain_stages import GainStages
from fewphoton.simulate.readout import make_gain_stage_readout, render_gain_stages
from tests.conftest import random_frames


def test_energy_comes_back_in_every_stage():
    rng = np.random.default_rng(2)
    photons = random_frames(30, 200, 40.0).to_dense()
    photons[0, :3] = [60, 900, 9000]
    frames = random_frames(30, 200, 0.0).from_dense(photons)
    readout = make_gain_stage_readout(200, 3.0, rng)
    raw = render_gain_stages(frames, readout, 10.0, rng)
    assert set(np.unique(raw >> 14)) == {0, 1, 3}
    energy = GainStages(readout.pedestal_adu, readout.gain_adu_per_kev)(raw)
    # The noise of one ADU in keV grows from stage to stage.
    resolution = np.select([raw >> 14 == 0, raw >> 14 == 1], [0.5, 12.0], 180.0)
    assert (np.abs(energy - 10.0 * photons) < resolution).all()


def test_stage_two_is_a_bad_read():
    stages = GainStages(np.zeros((3, 1)), np.ones((3, 1)))
    assert np.isnan(stages(np.array([[2 << 14 | 100]], dtype=np.uint16))).all()


def test_pixels_without_a_gain_are_unusable():
    gain = np.ones((3, 4))
    gain[1, 0], gain[2, 1] = 0, np.nan
    pedestal = np.zeros((3, 4))
    pedestal[0, 2] = np.inf
    assert GainStages(pedestal, gain).unusable.tolist() == [True, True, True, False]


@pytest.mark.parametrize("frames", [np.zeros((1, 4), dtype=np.int32), np.zeros((1, 5), dtype=np.uint16)])
def test_other_frames_are_refused(frames):
    with pytest.raises(DataError, match="raw words"):
        GainStages(np.zeros((3, 4)), np.ones((3, 4)))(frames)


def test_wrong_number_of_stages_is_refused():
    with pytest.raises(DataError, match="gain_adu_per_kev"):
        GainStages(np.zeros((3, 4)), np.ones((2, 4)))
