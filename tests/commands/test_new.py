"""new: what it writes is checked and planned without a change, guesses are right, nothing is overwritten unasked."""

from __future__ import annotations

import builtins
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from fewphoton.cli import main
from fewphoton.commands.input_guesses import frame_patterns
from fewphoton.commands.run_text import usual_binning, usual_grid
from fewphoton.config.load import load_run
from fewphoton.io.calibration_files import write_calibration_file
from tests.commands.experiments import CELL, SPACE_GROUP, write_experiment
from tests.conftest import ROOT

CELL_WORDS = ["--cell", *map(str, CELL), "--space-group", SPACE_GROUP]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    data = tmp_path / "données 1"
    data.mkdir()
    write_experiment(data)
    monkeypatch.chdir(tmp_path)
    return data


def test_a_configuration_is_made_of_what_lies_beside_the_frames(folder, tmp_path, capsys):
    assert main(["new", "mine.yaml", "--raw", str(folder), *CELL_WORDS, "--yes"]) == 0
    run = load_run("mine.yaml")
    source = run.datasets["raw"].raw
    assert run.run == "mine"
    assert source.files == (str(folder / "raw.h5"),)
    assert source.geometry == folder / "geometry.yaml"
    assert source.crystal.cell == tuple(CELL)
    assert source.crystal.rotation_axis == (0, 1, 0)
    assert run.stages.count_photons.calibration == "photons"
    # 1200 pixels of 0.02 photons: two or three frames make 50 photons.
    assert run.stages.collapse.n_frames in (2, 3)
    assert main(["check", "mine.yaml", "--no-figures"]) == 0
    comments = [line for line in Path("mine.yaml").read_text().splitlines() if line.lstrip().startswith("#")]
    assert len(comments) > 10
    assert "no problem was found" in capsys.readouterr().out


@pytest.mark.workflow
def test_snakemake_plans_what_was_written(folder, tmp_path):
    assert main(["new", "mine.yaml", "--raw", str(folder / "raw.h5"), *CELL_WORDS, "--yes"]) == 0
    command = [str(Path(sys.executable).parent / "snakemake"), "--snakefile", str(ROOT / "Snakefile")]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [*command, "--directory", str(tmp_path), "--configfile", "mine.yaml", "--dry-run", "--quiet", "rules"],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for rule in ("count_photons", "collapse", "reconstruct", "evaluate"):
        assert rule in done.stdout


def test_nothing_is_overwritten_unless_forced(folder, capsys):
    Path("mine.yaml").write_text("precious")
    words = ["new", "mine.yaml", "--raw", str(folder / "raw.h5"), *CELL_WORDS, "--yes"]
    assert main(words) == 1
    assert "--force" in capsys.readouterr().err
    assert Path("mine.yaml").read_text() == "precious"
    assert main([*words, "--force"]) == 0
    assert Path("mine.yaml").read_text() != "precious"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--space-group", SPACE_GROUP], "give --cell or --crystal"),
        (["--cell", *map(str, CELL)], "give --space-group"),
        (["--cell", "21", "22", "23", "90", "90", "90", "--space-group", SPACE_GROUP], "contradicts"),
        ([*CELL_WORDS, "--ub", *map(str, np.eye(3).ravel())], "UB matrix does not describe"),
        ([*CELL_WORDS, "--geometry", "nowhere.poni"], "nowhere.poni: no such file"),
        (["--crystal", "nowhere.cell"], "nowhere.cell: no such file"),
    ],
)
def test_what_is_wanting_is_named_and_nothing_written(words, message, folder, capsys):
    assert main(["new", "mine.yaml", "--raw", str(folder / "raw.h5"), *words, "--yes"]) == 1
    assert message in capsys.readouterr().err
    assert not Path("mine.yaml").exists()


def test_calibrations_tell_their_kind(folder, provenance):
    frame = np.ones((40, 30), dtype=np.float32)
    columns = {"offset_adu": frame, "adu_per_photon": frame, "read_noise_adu": frame}
    write_calibration_file("gain.h5", columns, provenance)
    np.save("dark.npy", np.ones((3, 40, 30), dtype=np.uint16))
    words = ["new", "mine.yaml", "--raw", str(folder / "raw.h5"), *CELL_WORDS, "--yes", "--force", "--calibration"]
    for name, kind in (("gain.h5", "given"), ("dark.npy", "dark")):
        assert main([*words, name]) == 0
        run = load_run("mine.yaml")
        assert run.stages.count_photons.calibration == kind
        assert run.datasets["raw"].raw.calibration == Path(name).absolute()
        assert main(["check", "mine.yaml", "--no-figures"]) == 0
    np.save("dark.npy", np.ones((3, 4, 5), dtype=np.uint16))
    assert main([*words, "dark.npy"]) == 1


def test_signal_separation_needs_no_crystal(folder):
    words = ["--separation", "--mask", "mask.npy", "--run", "spots", "--dataset", "lysozyme 3"]
    assert main(["new", "mine.yaml", "--raw", str(folder / "raw.h5"), *words, "--yes"]) == 0
    run = load_run("mine.yaml")
    assert run.run == "spots"
    assert run.datasets["lysozyme_3"].frames.mask == str(Path("mask.npy").absolute())


def test_questions_are_asked_until_answers_fit(folder, monkeypatch, capsys):
    crystal = {"cell": CELL, "space_group": SPACE_GROUP, "ub_inv_angstrom": (np.eye(3) / CELL[0]).tolist()}
    (folder / "crystal.yaml").write_text(yaml.safe_dump(crystal))
    asked, answers = [], iter(["nowhere.geom", "", ""])
    monkeypatch.setattr(builtins, "input", lambda question: asked.append(question) or next(answers))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    assert main(["new", "mine.yaml", "--raw", str(folder / "raw.h5")]) == 0
    assert "nowhere.geom: no such file" in capsys.readouterr().err
    assert f"[{folder / 'crystal.yaml'}]" in asked[-1]
    source = load_run("mine.yaml").datasets["raw"].raw
    np.testing.assert_allclose(source.crystal.ub_inv_angstrom, np.eye(3) / CELL[0], atol=1e-9)


def test_series_of_frames_become_globs(tmp_path):
    for name in (
        *(f"run_{n:04d}.cbf.gz" for n in range(3)),
        "x_master.h5",
        "x_data_000001.h5",
        "x_data_000002.h5",
        "dark.npy",
        "notes.txt",
    ):
        (tmp_path / name).touch()
    found = [Path(pattern).name for pattern in frame_patterns(tmp_path)]
    assert found == ["run_*.cbf.gz", "dark.npy", "x_master.h5"]


@pytest.mark.parametrize(
    ("longest", "q_max", "expected"), [(21.47, 0.6, (10, None)), (21.47, 1.04, (6, None)), (94.0, 1.0, (4, 0.399))]
)
def test_volumes_keep_a_usual_size(longest, q_max, expected):
    voxels, limit = usual_grid((longest, 10.0, 10.0, 90, 90, 90), q_max)
    assert (voxels, limit) == expected
    assert 2 * (limit or q_max) * longest * voxels + 1 <= 302


@pytest.mark.parametrize(
    ("shape", "expected"), [((1679, 1475), 3), ((1475, 1679), 3), ((256, 384), 1), ((8000, 8000), 16)]
)
def test_binned_pixels_stay_finer_than_voxels(shape, expected):
    # An edge of 2 * 1.245 * 12 * 8 + 1 = 240 voxels.
    binning = usual_binning(shape, (5.4, 8.1, 12.0, 90, 90, 90), 1.245, 8)
    assert binning == expected
    assert min(shape) / binning >= min(2 * 240, min(shape))
