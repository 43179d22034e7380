import numpy as np
import pytest

from fewphoton.config.simulate import SimulatedReadout
from fewphoton.errors import ConfigError
from fewphoton.simulate.readout import make_gain_stage_readout, make_readout, render_adu, render_gain_stages
from tests.conftest import random_frames


def test_mean_and_noise_are_as_asked():
    frames = random_frames(400, 300, 30.0)
    readout = make_readout(SimulatedReadout(hot_pixels=2, dead_pixels=2), 300, np.random.default_rng(0))
    raw = render_adu(frames, readout, np.random.default_rng(1), np.zeros(400, dtype=bool)).astype(float)
    left = raw - readout.offset_adu - readout.adu_per_photon * frames.to_dense()
    good = np.ones(300, dtype=bool)
    good[readout.hot] = good[readout.dead] = False
    assert abs(left[:, good].mean()) < 5 * 5 / np.sqrt(left[:, good].size)
    assert left[:, good].std() == pytest.approx(np.sqrt(25 + 1 / 12), rel=0.01)
    np.testing.assert_array_equal(raw[:, readout.dead], np.rint(readout.offset_adu[readout.dead]) + np.zeros((400, 1)))
    assert raw[:, readout.hot].std() > 100


def test_bad_frames_stand_a_photon_higher():
    frames = random_frames(10, 4000, 0.0)
    readout = make_readout(SimulatedReadout(hot_pixels=0, dead_pixels=0), 4000, np.random.default_rng(0))
    bad = np.arange(10) == 3
    raw = render_adu(frames, readout, np.random.default_rng(1), bad).mean(axis=1)
    assert raw[3] - raw[~bad].mean() == pytest.approx(40.0, abs=1.5)


def test_values_stay_within_16_bits():
    frames = random_frames(3, 50, 0.0).from_dense(np.full((3, 50), 60000))
    readout = make_readout(SimulatedReadout(offset_adu=2.0, offset_spread_adu=0.0), 50, np.random.default_rng(0))
    usual = np.setdiff1d(np.arange(50), np.concatenate([readout.hot, readout.dead]))
    assert (render_adu(frames, readout, np.random.default_rng(1), np.zeros(3, dtype=bool))[:, usual] == 65535).all()
    empty = random_frames(300, 50, 0.0)
    low = render_adu(empty, readout, np.random.default_rng(1), np.zeros(300, dtype=bool))
    assert low[:, usual].min() == 0
    assert low[:, usual].max() < 40


def test_same_seed_same_bytes():
    frames = random_frames(5, 100, 10.0)
    readout = make_readout(SimulatedReadout(), 100, np.random.default_rng(0))
    one, two = (render_adu(frames, readout, np.random.default_rng(7), np.zeros(5, dtype=bool)) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_impossible_detectors_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match="dead pixels on 4 pixels"):
        make_readout(SimulatedReadout(hot_pixels=3, dead_pixels=3), 4, rng)
    with pytest.raises(ConfigError, match="16 bits"):
        make_readout(SimulatedReadout(offset_adu=65000.0), 40, rng)


def test_gain_stages_switch_at_the_end_of_the_adc():
    rng = np.random.default_rng(0)
    readout = make_gain_stage_readout(4, 0.0, rng)
    # 41 ADU/keV from 2500 leave room for about 338 keV; -1.44 ADU/keV from 15000 for about 10400 keV.
    frames = random_frames(1, 4, 0.0).from_dense(np.array([[0, 300, 400, 12000]]))
    raw = render_gain_stages(frames, readout, 1.0, rng)
    assert (raw >> 14).tolist() == [[0, 0, 1, 3]]
    expected = readout.pedestal_adu[1, 2] + 400 * readout.gain_adu_per_kev[1, 2]
    assert int(raw[0, 2]) & 0x3FFF == round(float(expected))
