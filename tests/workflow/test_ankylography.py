"""Single-shot recovery as a workflow: a molecule by two methods, a study in batches, tables and figures."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from fewphoton.io.metrics import read_table
from tests.workflow.test_workflow import ROOT, snakemake

pytestmark = pytest.mark.workflow

GRID = {"spacing_angstrom": 0.8, "shape": [5, 5, 5]}
QUICK = {"max_sweeps": 20, "polish_every": 10, "replicas": 4}
WATER = "4\nammonia-like\nN 0 0 0\nH 1.1 0 0\nH 0 1.1 0.3\nH -0.3 0 1.1\n"
METHODS = {
    "fewphoton": {"fewphoton": {**QUICK, "grid": GRID}},
    "GESPAR": {"method": "gespar", "gespar": {"grid": GRID, "n_restarts": 2}},
}


def small_run(folder: Path) -> dict:
    return {
        "run": "shots",
        "data_dir": str(folder / "data"),
        "ankylography": {
            "published": str(folder / "published.csv"),
            "molecules": {
                "four": {
                    "structure_file": {"folder": "molecules", "name": "four.xyz"},
                    "simulate_shot": {
                        "wavelength_angstrom": 0.7,
                        "n_detectors": 150,
                        "largest_angle_deg": 90,
                        "white_level": 1e-4,
                        "grid": GRID,
                    },
                    "methods": METHODS,
                }
            },
            "studies": {
                "few": {
                    "n_atoms": [3, 4],
                    "molecules": {"named": {"structure_file": {"folder": "molecules", "name": "four.xyz"}}},
                    "wavelengths_angstrom": [0.7, 1.0],
                    "white_levels": [1e-4],
                    "examples": 1,
                    "shot": {"n_detectors": 150, "largest_angle_deg": 90},
                    "methods": {
                        "fewphoton": {"fewphoton": QUICK},
                        "GESPAR": METHODS["GESPAR"] | {"only": {"wavelength_angstrom": [0.7]}},
                    },
                    "time_budget_s": 20,
                    "batch": 5,
                }
            },
        },
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("shots")
    (folder / "data" / "molecules").mkdir(parents=True)
    (folder / "data" / "molecules" / "four.xyz").write_text(WATER)
    (folder / "published.csv").write_text(
        "figure,published,study,molecule,noise_level,most_atoms\n"
        "1,one molecule,,four,,\n2,three atoms,few,random,0.0001,3\n3,elsewhere,few,random,0.5,\n"
    )
    config = folder / "shots.yaml"
    config.write_text(yaml.safe_dump(small_run(folder), sort_keys=False))
    snakemake(folder, config)
    return folder, config


def test_every_method_is_scored(finished):
    rows = read_table(finished[0] / "results/shots/molecules.csv")
    assert [(row["molecule"], row["label"]) for row in rows] == [("four", name) for name in METHODS]
    assert (rows[0]["solved"], rows[0]["on_right_sites"]) == ("True", "True")
    assert all(row["n_atoms"] == "4" and float(row["seconds"]) > 0 for row in rows)
    assert len({row["provenance_sha256"] for row in rows}) == len(METHODS)


def test_batches_become_one_table(finished):
    folder = finished[0] / "results/shots/studies/few"
    assert sorted(path.name for path in (folder / "batches").iterdir()) == ["0.csv", "1.csv"]
    rows = read_table(folder / "recoveries.csv")
    assert len(rows) == 9
    assert {len(row["provenance_sha256"]) for row in rows} == {64}
    assert {row["wavelength_angstrom"] for row in rows if row["method"] == "GESPAR"} == {"0.7"}
    cells = read_table(folder / "cells.csv")
    assert len(cells) == 9
    assert {row["molecule"] for row in cells} == {"named", "random"}


def test_published_results_stand_beside_ours(finished):
    rows = read_table(finished[0] / "results/shots/published_recoveries.csv")
    assert [(row["figure"], row["method"], row["n_runs"]) for row in rows] == [
        *(("1", name, "1") for name in METHODS),
        ("2", "fewphoton", "2"),
        ("2", "GESPAR", "1"),
        ("3", "", "0"),
    ]


def test_figures_are_drawn_and_stand_in_the_report(finished):
    folder, config = finished
    place = folder / "results/shots"
    assert {path.stem for path in place.glob("molecules/four/figures/*.png")} == {"balls", "site_stems"}
    drawn = {path.stem for path in place.glob("studies/few/figures/*.png")}
    assert drawn == {"error_by_noise", "error_by_wavelength", "error_by_method", "precision", "time_to_solution"}
    snakemake(folder, config, "--report", "report.html")
    report = (folder / "report.html").read_text()
    for name in ("balls.png", "precision.png", "published_recoveries.csv", "cells.csv", "molecules.csv"):
        assert name in report


def test_nothing_is_left_to_do_and_a_change_reruns_only_what_depends_on_it(finished):
    folder, config = finished
    assert "Nothing to be done" in snakemake(folder, config, "--dry-run").stdout
    content = small_run(folder)
    content["ankylography"]["molecules"]["four"]["methods"]["GESPAR"]["gespar"]["n_restarts"] = 1
    changed = folder / "changed.yaml"
    changed.write_text(yaml.safe_dump(content, sort_keys=False))
    plan = snakemake(folder, changed, "--dry-run").stdout
    counted = {line.split()[0]: int(line.split()[1]) for line in plan.splitlines() if line.startswith("recover_mol")}
    assert counted == {"recover_molecule": 1}
    assert "simulate_shot" not in plan


@pytest.mark.parametrize(
    ("scale", "folder"),
    [("brief", "paper_ankylography_brief"), ("reduced", "paper_ankylography"), ("full", "paper_ankylography_full")],
)
def test_the_paper_can_be_planned_at_every_scale(tmp_path, scale, folder):
    (tmp_path / "config").symlink_to(ROOT / "config")
    config = ROOT / "config" / "paper_ankylography.yaml"
    plan = snakemake(tmp_path, config, "--config", f"scale={scale}", "--dry-run", "--printshellcmds").stdout
    for name in ("published_recoveries.csv", "molecules.csv", "threonine_on_grid/figures/site_stems.png"):
        assert f"results/{folder}/{name}" in plan.replace("/molecules/threonine", "/threonine")
    assert "study_recoveries" in plan
