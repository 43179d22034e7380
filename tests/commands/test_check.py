"""check: what it understood of known inputs is true, and all problems are listed at once."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import yaml

from fewphoton.cli import main
from fewphoton.commands.frame_glimpse import glimpse_raw
from fewphoton.data import Crystal
from fewphoton.data.physical_constants import KEV_ANGSTROM
from fewphoton.simulate.rotation_experiment import euler_zyz
from tests.commands.experiments import CELL, SPACE_GROUP, write_experiment
from tests.conftest import ROOT

TURNED = euler_zyz((31.0, 47.0, 13.0))


@pytest.fixture
def experiment(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_experiment(tmp_path)
    crystal = {"cell": CELL, "space_group": SPACE_GROUP, "rotation_axis": [0, 1, 0]}
    crystal["ub_inv_angstrom"] = (TURNED / 21.47).tolist()
    raw = {"files": [str(tmp_path / "raw.h5")], "geometry": str(tmp_path / "geometry.yaml"), "crystal": crystal}
    write(tmp_path, {"run": "mine", "datasets": {"one": {"raw": raw}}})
    return tmp_path


def write(folder: Path, content: dict) -> None:
    (folder / "run.yaml").write_text(yaml.safe_dump(content))


def changed(folder: Path, **raw: object) -> dict:
    content = yaml.safe_load((folder / "run.yaml").read_text())
    content["datasets"]["one"]["raw"].update(raw)
    return content


def check(folder: Path, capsys, *words: str) -> tuple[int, dict]:
    status = main(["check", str(folder / "run.yaml"), "--json", *words])
    return status, json.loads(capsys.readouterr().out)


def test_what_is_understood_is_what_was_written(experiment, capsys):
    status, record = check(experiment, capsys)
    assert (status, record["problems"]) == (0, [])
    found = record["datasets"][0]
    assert (found["n_frames"], found["frame_shape"], found["dtype"]) == (40, [40, 30], "uint16")
    assert (found["omega_first_deg"], found["omega_last_deg"], found["omega_step_deg"]) == (0, 10, 0.25)
    assert found["n_series"] == 2
    assert found["wavelength_angstrom"] == 0.71073
    assert found["photon_energy_kev"] == pytest.approx(KEV_ANGSTROM / 0.71073)
    assert (found["beam_slow_px"], found["beam_fast_px"]) == pytest.approx((19.5, 14.5))
    assert found["masked_radius_mm"] == pytest.approx(np.hypot(2.5, 2.5), rel=1e-6)
    assert (found["fast_axis"], found["slow_axis"]) == ("to the right (-x)", "down (-y)")
    assert found["cell"] == CELL
    assert found["oriented"]
    # The spots of a degree, counted here one by one: |s0 + R UB h| passes 1 / wavelength on the detector.
    assert found["n_predicted"] == crossings_on_usable_pixels()
    picture = Path(found["figure"])
    assert picture == Path("results/mine/check/one.png")
    assert picture.read_bytes().startswith(b"\x89PNG")


def crossings_on_usable_pixels() -> int:
    crystal = Crystal(tuple(CELL), SPACE_GROUP)
    hkl = crystal.lattice_points(2 * np.sin(np.arctan2(np.hypot(20, 15), 50) / 2) / 0.71073)
    points = hkl[crystal.space_group_allows(hkl)] @ TURNED.T / 21.47
    steps = np.deg2rad(np.linspace(0, 1, 401))
    count = 0
    k = 1 / 0.71073
    # A degree moves a lattice point by less than 0.02 / angstrom.
    near = np.abs(np.linalg.norm(points + np.array([0, 0, k]), axis=1) - k) < 0.02
    for g in points[near]:
        x = g[0] * np.cos(steps) + g[2] * np.sin(steps)
        z = -g[0] * np.sin(steps) + g[2] * np.cos(steps)
        rays = np.column_stack([x, np.full_like(x, g[1]), z + k])
        excess = np.linalg.norm(rays, axis=1) - k
        for place in np.flatnonzero(np.sign(excess[1:]) != np.sign(excess[:-1])):
            ray = rays[place]
            column = np.floor(15 - 50 * ray[0] / ray[2])
            row = np.floor(20 - 50 * ray[1] / ray[2])
            centre = np.hypot(row + 0.5 - 20, column + 0.5 - 15)
            count += bool(0 <= row < 40 and 0 <= column < 30 and centre >= 3 and (row, column) != (0, 0))
    return count


def test_frames_are_summed_over_one_degree_without_flagged_pixels(experiment):
    frames = glimpse_raw([str(experiment / "raw.h5")])
    assert (frames.first_shown, frames.n_shown) == (0, 4)
    assert np.isnan(frames.mean[0])
    assert np.isfinite(frames.mean[1:]).all()
    assert frames.flagged_fraction == pytest.approx(1 / 1200)
    assert frames.counts_photons
    one = glimpse_raw([str(experiment / "raw.h5")], 7)
    assert (one.first_shown, one.n_shown) == (7, 1)
    np.testing.assert_array_equal(one.mean[1:], np.rint(one.mean[1:]))


def test_all_problems_are_told_at_once(experiment, capsys):
    content = changed(experiment, geometry=str(experiment / "nowhere.poni"), calibration="missing.h5")
    content["datasets"]["one"]["raw"]["crystal"]["ub_inv_angstrom"] = np.eye(3).tolist()
    content["datasets"]["two"] = {"raw": {**content["datasets"]["one"]["raw"], "files": ["gone_*.h5"]}}
    content["published"] = "table.csv"
    write(experiment, content)
    status, record = check(experiment, capsys)
    assert status == 1
    told = "\n".join(record["problems"])
    for part in ("nowhere.poni: no such file", "UB matrix does not describe", "two: gone_*.h5", "published: table.csv"):
        assert part in told


def test_a_file_from_the_future_is_a_problem(experiment, capsys):
    os.utime(experiment / "raw.h5", (4_000_000_000, 4_000_000_000))
    status, record = check(experiment, capsys)
    assert status == 1
    (problem,) = record["problems"]
    assert f"{experiment / 'raw.h5'}: was changed at 2096-10-" in problem
    assert f"touch {experiment / 'raw.h5'}" in problem


def test_a_missing_crystal_and_a_missing_file_are_told_together(experiment, capsys):
    content = changed(experiment, geometry="nowhere.poni")
    del content["datasets"]["one"]["raw"]["crystal"]
    content["stages"] = {"colapse": {}}
    write(experiment, content)
    status, record = check(experiment, capsys)
    assert status == 1
    told = "\n".join(record["problems"])
    for part in ("datasets.one.raw.crystal: Field required", "did you mean 'collapse'", "nowhere.poni: no such file"):
        assert part in told
    assert "fewphoton new" in told
    assert record["datasets"][0]["n_frames"] == 40


def test_energies_that_differ_are_a_problem(experiment, capsys):
    content = changed(experiment)
    content["stages"] = {"count_photons": {"photon_energy_kev": 12.0}}
    write(experiment, content)
    status, record = check(experiment, capsys, "--no-figures")
    assert status == 1
    assert "17.44 keV" in record["problems"][0]
    assert "12 keV" in record["problems"][0]
    assert not (experiment / "results").exists()
    content["stages"]["count_photons"]["photon_energy_kev"] = 17.44
    write(experiment, content)
    assert check(experiment, capsys, "--no-figures")[0] == 0


def test_a_goniometer_axis_that_contradicts_the_geometry(experiment, capsys):
    content = changed(experiment)
    content["datasets"]["one"]["raw"]["crystal"]["rotation_axis"] = [1, 0, 0]
    write(experiment, content)
    status, record = check(experiment, capsys, "--no-figures")
    assert status == 1
    assert "goniometer axis" in record["problems"][0]


def test_a_mask_of_another_shape(experiment, capsys):
    np.save(experiment / "mask.npy", np.zeros((7, 5), dtype=np.uint8))
    raw = changed(experiment)["datasets"]["one"]["raw"]
    frames = {"files": raw["files"], "geometry": raw["geometry"], "mask": str(experiment / "mask.npy")}
    write(experiment, {"run": "mine", "datasets": {"one": {"frames": frames}}})
    status, record = check(experiment, capsys, "--no-figures")
    assert status == 1
    assert "mask.npy: does not fit the frames; expected (40, 30); found (7, 5)" in record["problems"][0]
    mask = np.zeros((40, 30), dtype=np.uint8)
    mask[:, 10:20] = 1
    np.save(experiment / "mask.npy", mask)
    assert check(experiment, capsys, "--no-figures")[1]["datasets"][0]["usable_fraction"] < 0.67


@pytest.mark.parametrize(("kind", "status"), [("dark", 1), ("given", 1), ("fit", 0)])
def test_calibrations_are_opened_as_their_kind(kind, status, experiment, capsys):
    np.save(experiment / "dark.npy", np.zeros((3, 9, 9)))
    content = changed(experiment, calibration=str(experiment / "dark.npy"))
    content["stages"] = {"count_photons": {"calibration": kind}}
    write(experiment, content)
    assert check(experiment, capsys, "--no-figures")[0] == status


def test_text_for_people(experiment, capsys):
    assert main(["check", str(experiment / "run.yaml"), "--no-figures"]) == 0
    text = capsys.readouterr().out
    assert "40 of 40 x 30 pixels (slow x fast), uint16" in text
    assert "no problem was found" in text
    write(experiment, changed(experiment, geometry="nowhere.poni"))
    assert main(["check", str(experiment / "run.yaml"), "--no-figures", "--dataset", "one"]) == 1
    assert "1. one: nowhere.poni: no such file" in capsys.readouterr().out
    assert main(["check", str(experiment / "run.yaml"), "--dataset", "three"]) == 1


def test_the_demo_is_understood(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    assert main(["check", "config/config.yaml", "--figures", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["datasets"][0]
    assert found["n_frames"] == 60_000
    assert found["n_panels"] == 6
    assert not found["beam_on_panel"]
    assert (tmp_path / "mmpad.png").is_file()


def test_runs_of_papers_and_scales(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    papers = {"run": "all", "papers": {"emc": {"config": "config/paper_emc.yaml", "scale": "full"}}}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(papers))
    status, record = check(tmp_path, capsys, "--no-figures")
    assert (status, record["run"]) == (0, "all")
    # Tiles of 128 pixels of 150 um at full scale, of 64 and 300 um at reduced scale.
    assert record["datasets"][0]["pixel_size_um"] == pytest.approx([150, 150])
    assert main(["check", "config/paper_emc.yaml", "--scale", "reduced", "--no-figures", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["datasets"][0]["pixel_size_um"] == pytest.approx([300, 300])
    papers["papers"]["emc"]["config"] = "config/nowhere.yaml"
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(papers))
    assert "nowhere.yaml: cannot read" in check(tmp_path, capsys)[1]["problems"][0]


def test_molecules_of_single_shots_are_looked_for(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    data = tmp_path / "small_molecules"
    data.mkdir()
    monkeypatch.setenv("FEWPHOTON_DATA", str(tmp_path))
    assert main(["check", "config/paper_ankylography.yaml", "--json"]) == 1
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert f"ankylography.molecules.threonine_on_grid: {data / 'threonine.xyz'}: no such file" in problems[0]
    # Gly-Gly-Ala lies in the repository.
    assert not any("gly_gly_ala" in problem for problem in problems)
    (data / "threonine.xyz").write_text("1\n\nC 0 0 0\n")
    assert main(["check", "config/paper_ankylography.yaml", "--json"]) == 1
    assert "another content than was published" in json.loads(capsys.readouterr().out)["problems"][0]


@pytest.mark.real_data
def test_particles_and_real_patterns_are_opened(data_dir, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("FEWPHOTON_DATA", str(data_dir))
    assert main(["check", "config/single_particles.yaml", "--json", "--figures", str(tmp_path)]) == 0
    particle, patterns = json.loads(capsys.readouterr().out)["datasets"]
    assert (particle["source"], particle["n_frame_sets"]) == ("simulate_particles", 2)
    assert particle["photon_energy_kev"] == pytest.approx(4.6)
    assert (patterns["n_frames"], patterns["frame_shape"]) == (50, [128, 128])
    assert (tmp_path / "pnccd.png").is_file()


@pytest.mark.real_data
def test_silicon_is_predicted_where_it_is_measured(data_dir, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("FEWPHOTON_DATA", str(data_dir))
    from fewphoton.commands.check import inspect

    _, reports, problems = inspect(Path("config/silicon.yaml"), None, None)
    report = reports[0]
    assert problems == report.problems == []
    mean = report.frames.mean.reshape(report.frames.frame_shape)
    for slow, fast in zip(
        report.spots.slow_px.round().astype(int), report.spots.fast_px.round().astype(int), strict=True
    ):
        assert mean[slow - 8 : slow + 9, fast - 8 : fast + 9].sum() > 100 * mean.mean() * 17**2
