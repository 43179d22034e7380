import h5py
import numpy as np
import pytest
from scipy import stats

from fewphoton.config import CountPhotonsConfig
from fewphoton.errors import ConfigError, DataError, FewphotonError, InputFileError
from fewphoton.io.calibration_files import write_calibration_file
from fewphoton.io.geometry_yaml import write_geometry_yaml
from fewphoton.io.metrics import read_metrics
from fewphoton.io.photon_files import read_photon_file
from fewphoton.io.raw_frames import write_raw_frames
from fewphoton.simulate.readout import make_gain_stage_readout, render_gain_stages
from fewphoton.stages.contract import Context
from fewphoton.stages.count_photons import Inputs, Outputs, run
from tests.conftest import flat_detector
from tests.photons.raw_runs import raw_run


@pytest.fixture
def place(tmp_path, beam, provenance):
    """Write a run to files and count it."""

    class Place:
        folder = tmp_path

        def write(self, made, name="raw.h5", raw=None, table=None):
            frames = made.raw if raw is None else raw
            rows = made.photons.table if table is None else table
            path = tmp_path / name
            with write_raw_frames(
                path, made.detector.frame_shape, frames.dtype, len(frames), rows, provenance
            ) as writer:
                writer.append(frames.reshape(-1, *made.detector.frame_shape))
            write_geometry_yaml(tmp_path / "geometry.yaml", made.detector, beam, None)
            return str(path)

        def count(self, *raw, calibration_file=None, threads=1, **config):
            inputs = Inputs(raw, tmp_path / "geometry.yaml", calibration_file)
            outputs = Outputs(tmp_path / "out" / "frames.h5", tmp_path / "out" / "metrics.json")
            run(inputs, outputs, CountPhotonsConfig(**config), Context(threads, progress=False))
            return (*read_photon_file(outputs.frames)[:2], read_metrics(outputs.metrics))

    return Place()


def test_photons_of_a_simulated_run_come_back(place, capsys):
    made = raw_run(300, 20.0, hot_pixels=2, dead_pixels=2, bad=(40, 41, 123), read_noise_adu=4.0)
    frames, detector, metrics = place.count(place.write(made), threshold_photons=0.5)
    kept = np.setdiff1d(np.arange(300), [40, 41, 123])
    np.testing.assert_array_equal(frames.table.source_index, kept)
    np.testing.assert_array_equal(frames.table.batch, made.photons.table.batch[kept])
    np.testing.assert_allclose(frames.table.omega_start_deg, made.photons.table.omega_start_deg[kept])
    usable = ~detector.masked
    differ = frames.to_dense()[:, usable] != made.photons.to_dense()[kept][:, usable]
    assert differ.sum() <= 3
    assert not frames.to_dense()[:, detector.masked].any()
    made_bad = np.concatenate([made.readout.hot, made.readout.dead])
    assert detector.masked[made_bad].all()
    assert metrics["n_frames_read"] == 300
    assert metrics["n_frames_kept"] == 297
    assert metrics["n_frames_rejected_total"] == 3
    assert metrics["photons_per_frame_mean"] == pytest.approx(frames.totals().mean())
    assert metrics["masked_pixels"] == detector.masked.sum()
    bad = ("hot_pixels", "dead_pixels", "noisy_pixels")
    assert sum(metrics[name] for name in bad) == detector.masked.sum() - made.detector.masked.sum()
    assert metrics["gain_adu_per_photon_median"] == pytest.approx(40.0, rel=0.03)
    assert metrics["read_noise_adu_median"] == pytest.approx(4.0, rel=0.03)
    assert "40, 41, 123" in capsys.readouterr().err


def test_error_rates_are_those_of_the_metrics(place):
    made = raw_run(1500, 60.0, read_noise_adu=11.0, gain_spread=0.0)
    threshold = 0.55
    frames, detector, metrics = place.count(
        place.write(made), threshold_photons=threshold, adu_per_photon=40.0, fit_frames=1500, max_total_sigma=1e3
    )
    found, true = frames.to_dense(), made.photons.to_dense()
    usable = ~detector.masked
    empty = (true == 0) & usable
    n_false = int((found[empty] > 0).sum())
    expected = metrics["expected_false_photons_per_frame"] * empty.sum() / usable.sum()
    # The fitted noise and gain carry errors of a percent, which the tail of a Gaussian magnifies tenfold.
    assert n_false == pytest.approx(expected, rel=0.15)
    single = (true == 1) & usable
    n_missed = int((found[single] == 0).sum())
    assert n_missed / single.sum() == pytest.approx(metrics["expected_missed_photon_fraction"], rel=0.15)
    assert stats.norm.sf(0.45 * 40 / 11) == pytest.approx(metrics["expected_missed_photon_fraction"], rel=0.15)


def test_chunks_and_threads_do_not_change_the_result(place):
    path = place.write(raw_run(90))
    one, _, first = place.count(path, chunk_frames=256)
    two, _, second = place.count(path, chunk_frames=7, threads=2)
    np.testing.assert_array_equal(one.to_dense(), two.to_dense())
    assert first == pytest.approx(second)


def test_same_input_gives_same_bytes(place):
    path = place.write(raw_run(60))
    place.count(path)
    before = (place.folder / "out" / "frames.h5").read_bytes()
    place.count(path, threads=2)
    assert (place.folder / "out" / "frames.h5").read_bytes() == before


def test_frames_without_photons_are_kept_and_counted(place):
    made = raw_run(100, 0.5, read_noise_adu=3.0)
    frames, _, metrics = place.count(place.write(made), adu_per_photon=40.0)
    assert frames.n_frames == 100
    assert metrics["n_zero_photon_frames"] == (made.photons.totals() == 0).sum() > 30


def test_several_files_are_one_run(place):
    made = raw_run(90)
    names = [
        place.write(made, f"raw_{n}.h5", made.raw[part], made.photons.table.take(part))
        for n, part in enumerate((slice(0, 35), slice(35, 90)))
    ]
    whole = place.count(place.write(made), adu_per_photon=40.0, chunk_frames=16)[0]
    parts = place.count(*names, adu_per_photon=40.0, chunk_frames=16)[0]
    np.testing.assert_array_equal(whole.to_dense(), parts.to_dense())
    np.testing.assert_array_equal(parts.table.source_index, np.arange(90))


def test_series_come_from_the_configuration_where_files_are_silent(place):
    made = raw_run(40)
    frames, _, _ = place.count(
        place.write(made), exposures_per_batch=15, omega_start_deg=10.0, omega_step_deg=0.5, adu_per_photon=40.0
    )
    np.testing.assert_array_equal(frames.table.batch, np.arange(40) // 15)
    np.testing.assert_allclose(frames.table.omega_end_deg, 10.5 + 0.5 * np.arange(40))


def test_given_numbers(place):
    made = raw_run(40, offset_spread_adu=0.0, read_noise_adu=3.0)
    frames, detector, metrics = place.count(
        place.write(made),
        calibration="given",
        offset_adu=1000.0,
        adu_per_photon=40.0,
        read_noise_adu=3.0,
        threshold_photons=0.5,
    )
    usable = ~detector.masked
    np.testing.assert_array_equal(frames.to_dense()[:, usable], made.photons.to_dense()[:, usable])
    assert metrics["read_noise_adu_median"] == 3.0


def test_given_file(place, provenance):
    made = raw_run(40, read_noise_adu=3.0)
    path = place.folder / "calibration.h5"
    columns = {"offset_adu": made.readout.offset_adu, "adu_per_photon": made.readout.adu_per_photon}
    write_calibration_file(path, columns | {"read_noise_adu": np.full(made.detector.n_pixels, 3.0)}, provenance)
    frames, detector, _ = place.count(
        place.write(made), calibration_file=path, calibration="given", threshold_photons=0.5
    )
    usable = ~detector.masked
    np.testing.assert_array_equal(frames.to_dense()[:, usable], made.photons.to_dense()[:, usable])


def test_dark_frames(place):
    made, dark = raw_run(40, read_noise_adu=3.0), raw_run(100, 0.0, read_noise_adu=3.0)
    dark_path = place.write(dark, "dark.h5")
    frames, detector, metrics = place.count(
        place.write(made), calibration_file=dark_path, calibration="dark", adu_per_photon=40.0, threshold_photons=0.5
    )
    usable = ~detector.masked
    np.testing.assert_array_equal(frames.to_dense()[:, usable], made.photons.to_dense()[:, usable])
    assert metrics["read_noise_adu_median"] == pytest.approx(3.0, rel=0.05)
    with h5py.File(place.folder / "out" / "frames.h5") as file:
        assert "dark0:dark.h5" in file["provenance/inputs"].asstr()[()]


def test_dark_frames_of_another_detector_are_refused(place):
    other = raw_run(20, 0.0, detector=flat_detector())
    dark_path = place.write(other, "dark.h5")
    with pytest.raises(InputFileError, match="another shape"):
        place.count(place.write(raw_run(20)), calibration_file=dark_path, calibration="dark", adu_per_photon=40.0)


def test_jungfrau(place, provenance):
    made = raw_run(60)
    rng = np.random.default_rng(3)
    stages = make_gain_stage_readout(made.detector.n_pixels, 20.0, rng)
    raw = render_gain_stages(made.photons, stages, 10.0, rng)
    path = place.folder / "calibration.h5"
    columns = {"pedestal_adu": stages.pedestal_adu, "gain_adu_per_kev": stages.gain_adu_per_kev}
    write_calibration_file(path, columns, provenance)
    frames, detector, metrics = place.count(
        place.write(made, raw=raw),
        calibration_file=path,
        calibration="jungfrau",
        photon_energy_kev=10.0,
        threshold_photons=0.5,
    )
    usable = ~detector.masked
    np.testing.assert_array_equal(frames.to_dense()[:, usable], made.photons.to_dense()[:, usable])
    assert metrics["gain_adu_per_photon_median"] == 10.0


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32"])
def test_counts_as_they_are(place, dtype):
    made = raw_run(30)
    counts = made.photons.to_dense().astype(dtype)
    frames, _, metrics = place.count(place.write(made, raw=counts), calibration="photons")
    np.testing.assert_array_equal(frames.to_dense(), made.photons.to_dense())
    assert metrics["photons_per_frame_mean"] == pytest.approx(made.photons.totals().mean())
    with h5py.File(place.folder / "out" / "frames.h5") as file:
        assert "counts taken as they are" in file["provenance/notes"].asstr()[()]


def test_bad_reads_are_counted(place):
    made = raw_run(60)
    raw = made.raw.astype(np.int32)
    raw[5, 10:14] = -5136
    frames, _, metrics = place.count(place.write(made, raw=raw), minimum_valid_adu=-1000.0, adu_per_photon=40.0)
    assert metrics["bad_reads"] == 4
    clean, _, _ = place.count(place.write(made), adu_per_photon=40.0)
    others = np.setdiff1d(np.arange(made.detector.n_pixels), np.arange(10, 14))
    np.testing.assert_array_equal(frames.to_dense()[:, others], clean.to_dense()[:, others])


def test_silent_pixels_are_masked(place):
    made = raw_run(400, 60.0, read_noise_adu=5.0)
    photons = made.photons.to_dense()
    photons[:, 90:] = np.random.default_rng(0).poisson(0.15, photons[:, 90:].shape)
    photons[:, made.detector.masked] = 0
    raw = np.rint(made.readout.offset_adu + np.random.default_rng(1).normal(0, 5, photons.shape))
    silent = 24 * 40 + 8
    photons[:, silent] = 0
    raw = (raw + made.readout.adu_per_photon * photons).astype(np.uint16)
    _, detector, metrics = place.count(place.write(made, raw=raw), threshold_photons=0.5)
    assert detector.masked[silent]
    assert metrics["dead_pixels"] == 1


@pytest.mark.parametrize(
    ("change", "config", "error"),
    [
        (lambda made: None, {"calibration": "given"}, ConfigError),
        (lambda made: made.raw.fill(1000), {"adu_per_photon": 40.0}, DataError),
        (
            lambda made: None,
            {"calibration": "given", "offset_adu": 0, "adu_per_photon": 4, "read_noise_adu": 1},
            DataError,
        ),
    ],
    ids=["settings missing", "nothing ever changes", "every frame rejected"],
)
def test_faults_leave_no_file(place, change, config, error):
    made = raw_run(40)
    change(made)
    with pytest.raises(error):
        place.count(place.write(made), **config)
    assert not (place.folder / "out" / "frames.h5").exists()
    assert not (place.folder / "out" / "metrics.json").exists()


def test_data_errors_name_the_file(place):
    with pytest.raises(DataError, match=r"raw\.h5.*give adu_per_photon"):
        place.count(place.write(raw_run(40, 0.0)))


def test_masked_detector_is_refused(place, beam):
    made = raw_run(20)
    path = place.write(made)
    everything = made.detector.with_mask(np.ones(made.detector.n_pixels, dtype=bool))
    write_geometry_yaml(place.folder / "geometry.yaml", everything, beam, None)
    for config in ({}, {"calibration": "photons"}, {"fit_per": "panel"}):
        with pytest.raises(DataError, match="masked"):
            place.count(path, **config)


def test_truncated_raw_file_is_refused(place):
    path = place.write(raw_run(40))
    content = (place.folder / "raw.h5").read_bytes()
    (place.folder / "raw.h5").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputFileError, match=r"raw\.h5"):
        place.count(path)


def test_another_detector_is_refused(place, beam):
    path = place.write(raw_run(20))
    write_geometry_yaml(place.folder / "geometry.yaml", flat_detector(), beam, None)
    with pytest.raises(FewphotonError, match="another detector"):
        place.count(path)
