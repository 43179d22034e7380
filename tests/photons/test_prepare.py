import h5py
import numpy as np
import pytest

from fewphoton.config import CountPhotonsConfig
from fewphoton.data import Detector, FrameTable, Panel
from fewphoton.errors import ConfigError, DataError
from fewphoton.photons.counting import PhotonCounter
from fewphoton.photons.prepare import GivenCalibration, corrected, prepare_counting
from fewphoton.photons.raw_sample import RawSample, native
from fewphoton.simulate.readout import make_gain_stage_readout, render_gain_stages
from tests.photons.raw_runs import raw_run


def prepare(run, config, given=None, raw=None):
    frames = run.raw if raw is None else raw
    sample = RawSample(lambda index: frames[index], np.arange(len(frames)), 50, config.minimum_valid_adu)
    return prepare_counting(config, run.detector, sample, given or GivenCalibration())


def count(prepared, raw, config):
    values = corrected(prepared, native(raw))
    counter = PhotonCounter(prepared.calibration, config.threshold_photons, values.dtype, prepared.minimum_valid)
    return counter.count(values, FrameTable.unknown(len(raw)))


def test_fit_finds_hot_and_dead_pixels_and_counts_the_rest():
    run = raw_run(300, 40.0, hot_pixels=3, dead_pixels=3, read_noise_adu=3.0)
    config = CountPhotonsConfig(threshold_photons=0.5)
    prepared = prepare(run, config)
    out = ~run.detector.masked
    assert prepared.bad.any[run.readout.hot[out[run.readout.hot]]].all()
    assert prepared.bad.dead[run.readout.dead[out[run.readout.dead]]].all()
    n_made = int(out[run.readout.hot].sum() + out[run.readout.dead].sum())
    assert prepared.bad.any.sum() == n_made
    found = count(prepared, run.raw, config).photons.to_dense()
    true = run.photons.to_dense() * prepared.calibration.usable
    assert (found != true).sum() == 0
    assert prepared.occupancy == pytest.approx(40 / run.detector.n_pixels, rel=0.25)


def test_given_calibration_finds_hot_pixels_by_their_photons():
    run = raw_run(300, 40.0, hot_pixels=3, dead_pixels=0)
    noise = np.full(run.detector.n_pixels, 5.0, dtype=np.float32)
    given = GivenCalibration(pixel=[run.readout.offset_adu, run.readout.adu_per_photon, noise])
    prepared = prepare(run, CountPhotonsConfig(calibration="given"), given)
    inside = run.readout.hot[~run.detector.masked[run.readout.hot]]
    assert np.flatnonzero(prepared.bad.hot).tolist() == inside.tolist()


def test_limit_parts_bad_frames_from_good_ones():
    run = raw_run(300, 40.0, bad=(17, 200))
    prepared = prepare(run, CountPhotonsConfig())
    totals = count(prepared, run.raw, CountPhotonsConfig()).photons.totals()
    assert np.flatnonzero(totals > prepared.limit).tolist() == [17, 200]
    assert not prepared.bad.hot.any()


def test_dark_frames_give_offset_and_noise():
    run, dark = raw_run(200, 40.0, read_noise_adu=3.0), raw_run(300, 0.2, read_noise_adu=3.0)
    sample = RawSample(lambda index: dark.raw[index], np.arange(300), 64, None)
    config = CountPhotonsConfig(calibration="dark", adu_per_photon=40.0, threshold_photons=0.5)
    prepared = prepare(run, config, GivenCalibration(dark=sample))
    good = prepared.calibration.usable
    assert np.abs(prepared.calibration.offset_adu - run.readout.offset_adu)[good].max() < 6 * 3 / np.sqrt(300)
    found = count(prepared, run.raw, config).photons.to_dense()
    assert (found != run.photons.to_dense())[:, good].sum() == 0


def test_common_mode_is_taken_out_before_the_fit():
    run = raw_run(300, 20.0, read_noise_adu=4.0)
    panel = run.detector.panel_numbers()
    level = np.random.default_rng(0).normal(0, 25, (300, 3))
    raw = np.rint(run.raw + level[:, panel]).astype(np.uint16)
    config = CountPhotonsConfig(common_mode=True, adu_per_photon=40.0, threshold_photons=0.5)
    prepared = prepare(run, config, raw=raw)
    noise = np.median(prepared.calibration.read_noise_adu[prepared.calibration.usable])
    assert noise == pytest.approx(4.0, rel=0.06)
    found = count(prepared, raw, config).photons.to_dense()
    true = run.photons.to_dense()
    assert (found != true)[:, prepared.calibration.usable].mean() < 1e-4
    assert prepared.bad.any.sum() == 0


def test_jungfrau_words_become_photons():
    run = raw_run(100, 40.0)
    rng = np.random.default_rng(5)
    photons = run.photons.to_dense()
    photons[:4, 30] = 500
    frames = run.photons.from_dense(photons)
    made = make_gain_stage_readout(run.detector.n_pixels, 30.0, rng)
    raw = render_gain_stages(frames, made, 10.0, rng)
    raw[7, 104] = 2 << 14
    gain = made.gain_adu_per_kev.copy()
    gain[2, 200] = 0
    given = GivenCalibration(stages=[made.pedestal_adu, gain])
    config = CountPhotonsConfig(calibration="jungfrau", photon_energy_kev=10.0, threshold_photons=0.5)
    prepared = prepare(run, config, given, raw)
    assert prepared.calibration.unusable[200]
    noise_kev = np.median(prepared.calibration.read_noise_adu[prepared.calibration.usable])
    assert noise_kev == pytest.approx(30 / 41, rel=0.05)
    counted = count(prepared, raw, config)
    assert counted.n_invalid.sum() == counted.n_invalid[7] == 1
    found = counted.photons.to_dense().astype(int)
    usable = prepared.calibration.usable
    few = usable & (np.arange(run.detector.n_pixels) != 30)
    assert (found != photons)[:, few].sum() <= 3
    # In the medium gain 30 ADU are 21 keV, two photons.
    assert np.abs(found[:4, 30] - 500).max() < 14


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"calibration": "given"}, "offset_adu"),
        ({"calibration": "dark"}, "dark frames"),
        ({"calibration": "dark", "adu_per_photon": 40.0}, "dark frames"),
        ({"calibration": "jungfrau"}, "photon_energy_kev"),
    ],
)
def test_missing_settings_are_named(config, message):
    with pytest.raises(ConfigError, match=message):
        prepare(raw_run(20), CountPhotonsConfig(**config))


def test_pixels_that_mostly_read_badly_are_dead():
    run = raw_run(60)
    raw = run.raw.astype(np.float32)
    raw[:, 5] = raw[::2, 6] = raw[::3, 7] = np.nan
    prepared = prepare(run, CountPhotonsConfig(adu_per_photon=40.0), raw=raw)
    assert prepared.calibration.unusable[[5, 6, 7]].tolist() == [True, True, False]


def test_everything_bad_is_refused():
    run = raw_run(60)
    run.raw[:] = 1000
    with pytest.raises(DataError, match="no usable pixel"):
        prepare(run, CountPhotonsConfig(adu_per_photon=40.0))


def cspad_detector():
    """Each of the 32 tiles of 185 rows has two ASICs of 194 columns, side by side."""
    step = 1.1e-4
    panels = tuple(
        Panel(
            f"q{tile}a{half}",
            185 * tile,
            194 * half,
            185,
            194,
            np.array([194 * half * step, 185 * tile * step, 0.1]),
            np.array([0, step, 0]),
            np.array([step, 0, 0]),
        )
        for tile in range(32)
        for half in range(2)
    )
    return Detector((5920, 388), panels)


@pytest.mark.real_data
def test_analog_cspad_stills(data_dir):
    """Two stills of thermolysin: offsets differ by ASIC, photons stand 8 to 12 ADU apart, -5136 marks a bad pixel."""
    path = data_dir / "cspad_thermolysin_run14.h5"
    if not path.exists():
        pytest.skip(f"no {path}")
    with h5py.File(path) as file:
        raw = file["/entry/data/data"][()]
    detector = cspad_detector()
    config = CountPhotonsConfig(fit_per="panel", minimum_valid_adu=-1000.0)
    sample = RawSample(lambda index: raw[index], np.arange(2), 1, config.minimum_valid_adu)
    prepared = prepare_counting(config, detector, sample, GivenCalibration())
    panel = detector.panel_numbers()
    first = np.unique(panel, return_index=True)[1]
    offset = prepared.calibration.offset_adu[first]
    gain = prepared.calibration.adu_per_photon[first]
    noise = prepared.calibration.read_noise_adu[first]
    assert -2 <= offset.min() < 2
    assert 15 < offset.max() < 25
    assert 8 < np.median(gain) < 12
    assert ((gain > 6) & (gain < 13)).all()
    assert ((noise > 1) & (noise < 6)).all()
    # Two ASICs whose zero- and one-photon peaks can be read off a histogram: tile 6 left (8 and 19), tile 13 left.
    assert offset[12] == pytest.approx(8.7, abs=1.0)
    assert gain[12] == pytest.approx(10.0, abs=1.5)
    assert offset[26] == pytest.approx(3.0, abs=1.0)
    assert prepared.n_panels_without_peak < 20
    counted = count(prepared, raw, config)
    # Three pixels read below -1000 at least once; they are masked, so none of their reads is counted.
    bad = np.flatnonzero((raw.reshape(2, -1) < -1000).any(axis=0))
    assert len(bad) == 3
    assert prepared.bad.dead[bad].all()
    assert prepared.calibration.unusable.sum() == 3
    assert counted.n_invalid.sum() == 0
    photons = counted.photons.validate().to_dense()
    assert (photons[:, bad] == 0).all()
    # Both stills come from one crystal form in one beam: the same diffuse ring within a factor of a few.
    per_pixel = photons.mean(axis=1)
    assert ((per_pixel > 0.2) & (per_pixel < 5)).all()
    by_panel = np.array([[photons[d, panel == number].mean() for number in range(64)] for d in range(2)])
    assert np.corrcoef(by_panel)[0, 1] > 0.9
