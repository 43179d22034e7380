"""reconstruct over all rotations and evaluate-rotations as people run them: serial, on two ranks, to the figure."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fewphoton.cli import main
from fewphoton.data import Crystal, PhotonFrames
from fewphoton.io.crystal_description import write_crystal
from fewphoton.io.metrics import read_metrics, read_table
from fewphoton.io.orientation_files import read_orientation_file
from fewphoton.io.photon_files import write_photon_file
from fewphoton.io.provenance import Provenance
from fewphoton.io.volumes import read_volume_file, write_volume_file
from tests.emc.snapshots import particle_intensity, snapshots
from tests.stages.test_reconstruct import launcher

CONFIG = {
    "grid": {"voxels_per_cell": 1},
    "orientations": {"sampled": "rotation_group", "level": 3},
    "symmetry": "laue",
    "view_weights": "exposure",
    "start_width_voxels": 1.0,
    "max_iterations": 8,
    "tolerance": 0,
    "seed": 2,
    "refine": [{"level": 5, "iterations": 2}],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("rotations")
    data = snapshots(
        particle_intensity(1, radius_angstrom=6.0),
        Crystal((30.0, 30.0, 30.0, 90, 90, 90), "P 1"),
        1,
        n_frames=200,
        photons_per_frame=200,
        n_pixels=14,
        q_max_inv_angstrom=0.2,
        wavelength_angstrom=3.0,
        seed=4,
    )
    provenance = Provenance("test", {}, {})
    axis = np.array([0.0, 1.0, 0.0])
    write_crystal(place / "crystal.yaml", data.crystal, axis)
    write_volume_file(place / "truth.h5", data.truth, data.crystal, axis, provenance)
    for name, quaternion in (("frames.h5", data.quaternion), ("blind.h5", None)):
        frames = data.frames
        table = replace(frames.table, quaternion=quaternion)
        known = PhotonFrames(frames.indptr, frames.pixel, frames.count, frames.n_pixels, table)
        with write_photon_file(place / name, data.detector, data.beam, provenance) as writer:
            writer.append(known)
    return place


def words(folder, name, *extra, frames="frames.h5", **options):
    out = folder / name
    files = ["--frames", str(folder / frames), "--crystal", str(folder / "crystal.yaml")]
    for flag in ("volume.h5", "orientations.h5", "iterations.csv", "metrics.json", "checkpoint.h5"):
        files += [f"--{flag.split('.')[0]}", str(out / flag)]
    return ["reconstruct", *files, "--config-json", json.dumps(CONFIG | options), "--threads", "1", "--quiet", *extra]


@pytest.fixture(scope="module")
def serial(folder):
    assert main(words(folder, "serial")) == 0
    return folder / "serial"


def evaluation(folder, run, *extra, frames="frames.h5"):
    out = run / f"evaluate_{Path(frames).stem}"
    files = ["--volume", str(run / "volume.h5"), "--orientations", str(run / "orientations.h5")]
    files += ["--frames", str(folder / frames), *extra]
    for flag in ("metrics.json", "shells.csv", "errors.csv"):
        files += [f"--{flag.split('.')[0]}", str(out / flag)]
    return main(["evaluate-rotations", *files, "--quiet"]), out


@pytest.fixture(scope="module")
def scored(folder, serial):
    code, out = evaluation(folder, serial, "--truth", str(folder / "truth.h5"))
    assert code == 0
    return out


def test_the_reconstruction_is_scored_against_the_truth(scored, serial):
    metrics = read_metrics(scored / "metrics.json")
    assert metrics["frames_within_two_steps"] > 0.85
    assert metrics["frames_within_two_steps"] > 3 * metrics["frames_within_two_steps_chance"]
    assert metrics["frames_within_two_steps_up_to_turn"] >= metrics["frames_within_two_steps"]
    assert metrics["cc_truth_mean"] > 0.6
    assert metrics["cc_truth_mean"] > metrics["cc_truth_chance_mean"] + 0.4
    assert 0 < metrics["cc_half_shared_orientations_mean"] <= 1
    rows = read_table(scored / "shells.csv")
    assert len(rows) == 12
    assert float(rows[-1]["q_high_inv_angstrom"]) == pytest.approx(metrics["q_max_inv_angstrom"])
    errors = read_table(scored / "errors.csv")
    assert len(errors) == 200
    found = read_orientation_file(serial / "orientations.h5")
    assert metrics["sampling_step_deg"] == pytest.approx(found.spacing_deg)
    assert np.mean([float(row["rotation_error_deg"]) for row in errors]) < 2 * found.spacing_deg


def test_iterations_tell_their_stages(serial):
    rows = read_table(serial / "iterations.csv")
    assert [int(row["stage"]) for row in rows] == [0] * 8 + [1] * 2


@pytest.mark.mpi
def test_two_ranks_change_nothing_but_rounding(folder, serial):
    command = words(folder, "ranks2", "--expect-ranks", "2")
    subprocess.run([launcher(), "-n", "2", sys.executable, "-m", "fewphoton", *command], check=True, timeout=300)
    one, many = (read_volume_file(place / "volume.h5").volume for place in (serial, folder / "ranks2"))
    np.testing.assert_allclose(many.values, one.values, atol=2e-3 * one.values.max())
    first, second = (read_orientation_file(place / "orientations.h5") for place in (serial, folder / "ranks2"))
    assert np.mean(first.best_orientation == second.best_orientation) > 0.98


def test_true_orientations_are_not_used(folder, serial):
    assert main(words(folder, "blind", frames="blind.h5")) == 0
    one, other = (read_volume_file(place / "volume.h5").volume for place in (serial, folder / "blind"))
    np.testing.assert_array_equal(one.values, other.values)


def test_without_truth_there_are_half_sets_only(folder, serial):
    code, out = evaluation(folder, serial, frames="blind.h5")
    assert code == 0
    metrics = read_metrics(out / "metrics.json")
    assert "frames_within_one_step" not in metrics
    assert "cc_half_shared_orientations_mean" in metrics
    assert "cc_truth_mean" not in metrics


def test_figure_of_rotations(folder, scored, tmp_path):
    files = [f"--{name.split('.')[0]}={scored / name}" for name in ("shells.csv", "errors.csv", "metrics.json")]
    assert main(["draw-figure", *files, "--figure", str(tmp_path / "r.png"), "--set", "figure=rotations"]) == 0
    assert (tmp_path / "r.png").stat().st_size > 10_000


def test_what_does_not_belong_together_is_refused(folder, serial, tmp_path, capsys):
    code, _ = evaluation(folder, serial, "--truth", str(folder / "truth.h5"), frames="blind.h5")
    assert code == 1
    assert "no true orientations" in capsys.readouterr().err
    names = [f"--{name}={tmp_path / name}" for name in ("metrics", "shells", "reflections", "patterson", "evaluation")]
    files = [f"--volume={serial / 'volume.h5'}", f"--orientations={serial / 'orientations.h5'}"]
    assert main(["evaluate", *files, f"--frames={folder / 'frames.h5'}", *names, "--quiet"]) == 1
    assert "evaluate-rotations" in capsys.readouterr().err


def test_a_sample_that_does_not_fit_is_refused_before_it_is_made(folder, capsys):
    sampling = {"sampled": "rotation_group", "level": 60}
    assert main(words(folder, "large", orientations=sampling)) == 1
    message = capsys.readouterr().err
    assert "ConfigError" in message
    assert "10800600 orientations" in message
    assert "GB" in message
