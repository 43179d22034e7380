import numpy as np
import pytest
from scipy import stats

from fewphoton.errors import DataError
from fewphoton.photons.fit_peaks import fit_calibration
from fewphoton.photons.raw_sample import RawSample
from fewphoton.photons.zero_peak import panel_zero_peak, pixel_zero_peak, truncated_sigma
from tests.photons.raw_runs import raw_run


def fit(run, per_pixel=True, nominal=None, **sample):
    masked = run.detector.masked
    return fit_calibration(
        run.sample(**sample), run.detector.panel_numbers(), masked, per_pixel=per_pixel, nominal_adu=nominal
    )


@pytest.mark.parametrize("nominal", [None, 36.0])
@pytest.mark.parametrize(
    ("gain", "noise", "photons"), [(40.0, 5.0, 20.0), (40.0, 1.0, 20.0), (40.0, 0.3, 20.0), (30.0, 6.0, 60.0)]
)
def test_truth_is_found_per_pixel(gain, noise, photons, nominal):
    run = raw_run(400, photons, adu_per_photon=gain, read_noise_adu=noise)
    calibration, without_peak = fit(run, nominal=nominal)
    good = calibration.usable
    assert without_peak == 0
    np.testing.assert_array_equal(good, ~run.detector.masked)
    # Rounding to whole ADU adds a twelfth to the variance.
    true_noise = np.hypot(noise, 12**-0.5)
    error = (calibration.offset_adu - run.readout.offset_adu)[good] / true_noise
    assert abs(error.mean()) < 0.02
    assert error.std() < (1.3 if noise > 0.5 else 2.5) / np.sqrt(400)
    assert np.median(calibration.read_noise_adu[good]) == pytest.approx(true_noise, rel=0.02)
    for number in (0, 1):
        mine = run.detector.panel_numbers() == number
        found = np.unique(calibration.adu_per_photon[mine])
        assert len(found) == 1
        assert found[0] == pytest.approx(run.readout.adu_per_photon[mine].mean(), rel=0.03)


def test_photons_in_a_tenth_of_the_pixels_hardly_pull_the_offset():
    run = raw_run(400, 200.0, adu_per_photon=40.0, read_noise_adu=8.0)
    calibration, _ = fit(run)
    error = (calibration.offset_adu - run.readout.offset_adu)[calibration.usable] / 8.0
    assert abs(error.mean()) < 0.03


def test_chunks_do_not_change_the_fit():
    run = raw_run(100)
    one, _ = fit(run, chunk_frames=100, nominal=40.0)
    many, _ = fit(run, chunk_frames=7, nominal=40.0)
    np.testing.assert_allclose(one.offset_adu, many.offset_adu, rtol=1e-6)
    np.testing.assert_array_equal(one.adu_per_photon, many.adu_per_photon)


def test_per_panel_for_two_frames():
    run = raw_run(2, 150.0, offset_spread_adu=0.0, gain_spread=0.0)
    run.raw[:, run.detector.panel_numbers() == 1] += np.uint16(30)
    calibration, without_peak = fit(run, per_pixel=False)
    panel = run.detector.panel_numbers()
    assert without_peak == 0
    for number, offset in ((0, 1000.0), (1, 1030.0)):
        assert np.unique(calibration.offset_adu[panel == number])[0] == pytest.approx(offset, abs=1.0)
        assert np.unique(calibration.adu_per_photon[panel == number])[0] == pytest.approx(40.0, rel=0.03)
        assert np.unique(calibration.read_noise_adu[panel == number])[0] == pytest.approx(5.0, rel=0.15)


def test_per_panel_finds_the_zero_peak_below_a_higher_one():
    # At 1.3 photons a pixel more pixels hold one photon than none.
    run = raw_run(20, 1.3 * 1920, offset_spread_adu=0.0, gain_spread=0.0)
    calibration, _ = fit(run, per_pixel=False)
    assert np.median(calibration.offset_adu[calibration.usable]) == pytest.approx(1000.0, abs=1.5)
    assert np.median(calibration.adu_per_photon[calibration.usable]) == pytest.approx(40.0, rel=0.03)


def test_bad_reads_do_not_pull():
    run = raw_run(100)
    clean, _ = fit(run, nominal=40.0)
    raw = run.raw.astype(np.int32)
    raw[::3, 100:200] = -5136
    sample = RawSample(lambda index: raw[index], np.arange(100), 30, -1000.0)
    found, _ = fit_calibration(
        sample, run.detector.panel_numbers(), run.detector.masked, per_pixel=True, nominal_adu=40.0
    )
    assert np.abs(found.offset_adu - clean.offset_adu)[100:200][clean.usable[100:200]].max() < 4.0


def test_pixels_that_never_read_are_unusable():
    run = raw_run(60)
    raw = run.raw.astype(np.float32)
    raw[:, 5] = np.nan
    sample = RawSample(lambda index: raw[index], np.arange(60), 30, None)
    found, _ = fit_calibration(
        sample, run.detector.panel_numbers(), run.detector.masked, per_pixel=True, nominal_adu=40.0
    )
    assert found.unusable[5]
    assert not found.unusable[6]


def test_no_photons_and_no_nominal_gain_says_what_to_do():
    run = raw_run(50, 0.0)
    with pytest.raises(DataError, match="give adu_per_photon"):
        fit(run)
    calibration, without_peak = fit(run, nominal=40.0)
    assert without_peak == 2
    assert set(calibration.adu_per_photon[calibration.usable]) == {40.0}


def test_too_few_frames_for_pixels_says_what_to_do():
    with pytest.raises(DataError, match="fit_per"):
        fit(raw_run(5))


def test_all_masked_is_refused():
    run = raw_run(20)
    for per_pixel in (True, False):
        with pytest.raises(DataError, match="masked"):
            fit_calibration(
                run.sample(),
                run.detector.panel_numbers(),
                np.ones(run.detector.n_pixels, dtype=bool),
                per_pixel=per_pixel,
                nominal_adu=40.0,
            )


@pytest.mark.parametrize("a", [1.5, 2.0, 3.5])
def test_truncated_sigma_inverts_the_cut(a):
    measured = stats.truncnorm(-a, a).std()
    np.testing.assert_allclose(truncated_sigma(np.array([3 * measured]), np.array([3 * a])), [3.0], rtol=1e-3)


def test_truncated_sigma_of_nothing():
    assert truncated_sigma(np.array([0.0]), np.array([2.0])).tolist() == [0.0]
    assert np.isnan(truncated_sigma(np.array([np.nan]), np.array([2.0]))).all()


def test_zero_peaks_of_dark_frames():
    run = raw_run(200, 0.0)
    pixel = pixel_zero_peak(run.sample())
    assert np.abs(pixel.offset - run.readout.offset_adu).max() < 6 * 5 / np.sqrt(200)
    usable = ~run.detector.masked
    peak, histograms = panel_zero_peak(run.sample(), run.detector.panel_numbers(), usable, None)
    assert np.isnan(peak.offset[~usable]).all()
    assert histograms.counts.sum() == pytest.approx(200 * usable.sum(), rel=1e-3)
