"""reconstruct as people run it: serial, on two MPI ranks, killed and started again."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fewphoton.cli import main
from fewphoton.evaluate.integrate import integrate
from fewphoton.io.iterate_traces import read_iterate_trace
from fewphoton.io.metrics import read_metrics, read_table
from fewphoton.io.orientation_files import read_orientation_file
from fewphoton.io.photon_files import write_photon_file
from fewphoton.io.provenance import Provenance
from fewphoton.io.volumes import read_volume_file
from tests.stages.reconstruct_runs import EVERYTHING, arguments, killed_after, launcher, write_inputs

OUTPUTS = ("volume.h5", "orientations.h5")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_inputs(tmp_path_factory.mktemp("reconstruct"))


@pytest.fixture(scope="module")
def serial(folder) -> Path:
    assert main(arguments(folder, "serial", "--quiet")) == 0
    return folder / "serial"


def test_outputs_tell_the_run(serial):
    metrics = read_metrics(serial / "metrics.json")
    assert metrics["iterations"] == 12
    assert metrics["converged"] is False
    assert [int(row["iteration"]) for row in read_table(serial / "iterations.csv")] == list(range(1, 13))
    found = read_volume_file(serial / "volume.h5")
    assert found.halves is not None
    assert found.crystal.space_group == "P 21 21 21"
    assert len(read_orientation_file(serial / "orientations.h5")) == 400


def test_the_last_traced_iterate_is_the_result(serial):
    found = read_volume_file(serial / "volume.h5")
    trace = read_iterate_trace(serial / "trace.h5")
    expected = integrate(found.volume, found.crystal, 1.0)
    np.testing.assert_array_equal(trace.iteration, np.arange(1, 13))
    np.testing.assert_array_equal(trace.hkl, expected.hkl)
    np.testing.assert_allclose(trace.intensity[-1], expected.intensity, rtol=1e-12)
    assert (np.diff(trace.seconds) > 0).all()
    assert not np.allclose(trace.intensity[0], trace.intensity[-1], rtol=0.1)


def test_spheres_that_overlap_are_refused_before_any_iteration(folder, capsys):
    assert main([*arguments(folder, "overlap", "--quiet"), "--set", "trace_radius_voxels=3"]) == 1
    assert "overlap" in capsys.readouterr().err
    assert not (folder / "overlap" / "volume.h5").exists()


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_change_nothing_but_rounding(folder, serial, ranks):
    words = arguments(folder, f"ranks{ranks}", "--expect-ranks", str(ranks), "--quiet")
    subprocess.run([launcher(), "-n", str(ranks), sys.executable, "-m", "fewphoton", *words], check=True, timeout=300)
    one, many = (read_volume_file(place / "volume.h5").volume for place in (serial, folder / f"ranks{ranks}"))
    np.testing.assert_allclose(many.values, one.values, atol=1e-6 * one.values.max())
    first, second = (read_orientation_file(place / "orientations.h5") for place in (serial, folder / f"ranks{ranks}"))
    assert np.mean(first.best_orientation == second.best_orientation) > 0.99


@pytest.mark.mpi
def test_a_singleton_start_is_refused(folder):
    words = arguments(folder, "singleton", "--expect-ranks", "2", "--quiet")
    done = subprocess.run(
        [sys.executable, "-m", "fewphoton", *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert "has 1 rank(s), expected 2" in done.stderr
    assert not (folder / "singleton" / "volume.h5").exists()


@pytest.mark.mpi
def test_a_failing_rank_ends_the_job(folder):
    words = arguments(folder, "failing", "--expect-ranks", "2", "--quiet")
    words[words.index("--frames") + 1] = str(folder / "missing.h5")
    done = subprocess.run(
        [launcher(), "-n", "2", sys.executable, "-m", "fewphoton", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 0
    assert "missing.h5" in done.stderr


def test_killed_and_restarted_gives_the_same_bytes(folder, serial):
    words = [sys.executable, "-m", "fewphoton", *arguments(folder, "killed", iterations=12)]
    checkpoint = folder / "killed" / "checkpoint.h5"
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert checkpoint.exists()
    subprocess.run(words, check=True, timeout=300, stderr=subprocess.DEVNULL)
    for name in OUTPUTS:
        assert (folder / "killed" / name).read_bytes() == (serial / name).read_bytes()


@pytest.mark.parametrize("damage", ["foreign", "truncated"])
def test_a_broken_checkpoint_is_a_typed_error_and_its_removal_helps(folder, serial, damage, capsys):
    place = folder / f"broken-{damage}"
    place.mkdir()
    whole = (serial / "checkpoint.h5").read_bytes()
    (place / "checkpoint.h5").write_bytes(b"no checkpoint" if damage == "foreign" else whole[: len(whole) // 2])
    assert main(arguments(folder, place.name, "--quiet")) == 1
    message = capsys.readouterr().err
    assert "InputFileError" in message
    assert "checkpoint.h5" in message
    assert "Remove the checkpoint" in message
    assert not (place / "volume.h5").exists()
    (place / "checkpoint.h5").unlink()
    assert main(arguments(folder, place.name, "--quiet")) == 0
    assert (place / "volume.h5").read_bytes() == (serial / "volume.h5").read_bytes()


@pytest.fixture(scope="module")
def with_everything(folder) -> Path:
    assert main(arguments(folder, "everything", "--quiet", options=EVERYTHING)) == 0
    return folder / "everything"


def test_options_are_told(with_everything):
    rows = read_table(with_everything / "iterations.csv")
    assert [int(row["stage"]) for row in rows] == [0] * 3 + [1] * 9
    assert [int(row["orientations"]) for row in rows] == [80] * 3 + [160] * 9
    assert [int(row["frames"]) for row in rows] == [180] * 2 + [360] * 10
    assert [bool(row["held_out_log_likelihood_per_photon"]) for row in rows] == [False, False, False, True] * 3
    assert any(float(row["extrapolation"]) > 0 for row in rows)
    assert {int(row["windowed"]) for row in rows} == {0, 1}
    assert all((float(row["window_fraction"]) < 0.7) == (int(row["windowed"]) == 1) for row in rows)
    assert all(float(row["dropped_mass"]) <= 1e-6 for row in rows)
    assert read_metrics(with_everything / "metrics.json")["stopped_by"] == "iterations"
    assert read_iterate_trace(with_everything / "trace.h5").symmetrized


@pytest.mark.parametrize("number", [1, 3, 5, 7, 10])
def test_options_resume_to_the_same_bytes(folder, with_everything, number):
    place = killed_after(folder, f"resumed{number}", number, EVERYTHING)
    assert main(arguments(folder, place.name, "--quiet", options=EVERYTHING)) == 0
    for name in OUTPUTS:
        assert (place / name).read_bytes() == (with_everything / name).read_bytes()
    found, whole = (read_iterate_trace(where / "trace.h5") for where in (place, with_everything))
    np.testing.assert_array_equal(found.iteration, whole.iteration)
    np.testing.assert_array_equal(found.intensity, whole.intensity)
    assert (np.diff(found.seconds) > 0).all()


@pytest.mark.mpi
@pytest.mark.parametrize("number", [0, 2, 7])
def test_options_on_two_ranks_from_the_start_and_from_a_serial_checkpoint(folder, with_everything, number):
    name = f"two-ranks-from-{number}"
    if number:
        killed_after(folder, name, number, EVERYTHING)
    words = arguments(folder, name, "--expect-ranks", "2", "--quiet", options=EVERYTHING)
    subprocess.run([launcher(), "-n", "2", sys.executable, "-m", "fewphoton", *words], check=True, timeout=300)
    one, many = (read_volume_file(place / "volume.h5").volume for place in (with_everything, folder / name))
    np.testing.assert_allclose(many.values, one.values, atol=1e-3 * one.values.max())
    first, second = (read_orientation_file(place / "orientations.h5") for place in (with_everything, folder / name))
    assert np.mean(first.best_orientation == second.best_orientation) > 0.99


def test_a_checkpoint_of_other_parameters_is_not_used(folder, serial):
    place = folder / "other"
    place.mkdir()
    shutil.copy(serial / "checkpoint.h5", place / "checkpoint.h5")
    assert main([*arguments(folder, "other", "--quiet"), "--set", "seed=9"]) == 0
    found, former = (read_volume_file(where / "volume.h5").volume for where in (place, serial))
    assert not np.array_equal(found.values, former.values)


def test_recorded_angles_are_not_used(folder, serial):
    from fewphoton.data import FrameTable, PhotonFrames
    from fewphoton.io.photon_files import read_photon_file

    photons, detector, beam = read_photon_file(folder / "frames.h5")
    blind = PhotonFrames(
        photons.indptr, photons.pixel, photons.count, photons.n_pixels, FrameTable.unknown(photons.n_frames)
    )
    other = folder / "blind"
    other.mkdir()
    with write_photon_file(other / "frames.h5", detector, beam, Provenance("test", {}, {})) as writer:
        writer.append(blind)
    shutil.copy(folder / "crystal.yaml", other / "crystal.yaml")
    assert main(arguments(other, "out", "--quiet")) == 0
    found, former = (read_volume_file(where / "volume.h5").volume for where in (other / "out", serial))
    np.testing.assert_array_equal(found.values, former.values)


@pytest.mark.parametrize("content", [b"", b"not HDF5"])
def test_corrupt_photon_file_is_a_typed_error(folder, tmp_path, content, capsys):
    (tmp_path / "frames.h5").write_bytes(content)
    shutil.copy(folder / "crystal.yaml", tmp_path / "crystal.yaml")
    assert main(arguments(tmp_path, "out", "--quiet")) == 1
    assert "InputFileError" in capsys.readouterr().err
    assert not (tmp_path / "out" / "volume.h5").exists()
