"""Single particles as a workflow: from frames to densities, scores, figures and tables; patterns of a real run."""

from __future__ import annotations

from pathlib import Path

import gemmi
import numpy as np
import pytest
import yaml

from fewphoton.io.metrics import read_metrics, read_table
from tests.particle.patterns import EDGE, sphere_intensity
from tests.simulate.molecules import made_up_molecule, pdb_text
from tests.simulate.test_particle import SMALL
from tests.workflow.test_workflow import snakemake

pytestmark = pytest.mark.workflow

EMC = {
    "grid": {"voxels_per_cell": 1},
    "orientations": {"sampled": "rotation_group", "level": 3},
    "symmetry": "laue",
    "view_weights": "exposure",
    "start_width_voxels": 1.5,
    "max_iterations": 12,
}
QUICK = {
    "n_starts": 3,
    "steps": [{"method": "raar", "iterations": 80}, {"method": "error_reduction", "iterations": 30}],
}
GEOMETRY = f"""
frame_shape: [{EDGE}, {EDGE}]
beam: {{wavelength_angstrom: 8.0}}
panels:
- name: all
  slow_start: 0
  fast_start: 0
  n_slow: {EDGE}
  n_fast: {EDGE}
  corner_m: [0.0024, 0.0024, 0.5]
  slow_step_m: [0.0, -0.000075, 0.0]
  fast_step_m: [-0.000075, 0.0, 0.0]
"""


def small_run(folder: Path) -> dict:
    return {
        "run": "single",
        "data_dir": str(folder / "data"),
        "single_particles": {
            "particles": {
                "made_up": {
                    "structure_file": {"folder": "molecules", "name": "made_up.pdb"},
                    "simulate_particles": SMALL | {"box_angstrom": 44.0},
                    "n_frames": [250],
                    "photons_per_frame": [300.0],
                    "methods": {
                        "EMC": {"reconstruct": EMC},
                        "trained": {
                            "train_xrai": {"schedule": {"steps": 20, "batch_frames": 16}},
                            "refine_poses": {"rounds": 1, "rematch_rounds": 0},
                        },
                    },
                    "phase": QUICK,
                }
            },
            "patterns": {
                "spheres": {
                    "files": ["patterns.npy"],
                    "masks": ["mask.npy"],
                    "labels": ["labels.npy"],
                    "folder": "spheres",
                    "geometry": str(folder / "geometry.yaml"),
                    "count_photons": {"calibration": "photons"},
                    "select_patterns": {"n_repeats": 2, "n_shuffles": 1, "minimum_photons": 100},
                    "draw_patterns": {"half_width_pixel": 30, "n_patterns": 10},
                }
            },
            "merits": ["density_resolution_angstrom", "train_pose_error_median_deg"],
        },
    }


def write_data(folder: Path) -> None:
    for name in ("molecules", "spheres"):
        (folder / "data" / name).mkdir(parents=True)
    (folder / "data" / "molecules" / "made_up.pdb").write_text(pdb_text(made_up_molecule()) + "END\n")
    (folder / "geometry.yaml").write_text(GEOMETRY)
    rng = np.random.default_rng(0)
    turns = rng.uniform(0, 2 * np.pi, 30)
    means = [
        sphere_intensity(4e3, apart=(0.07 * np.cos(turn), 0.07 * np.sin(turn)) if number % 2 else (0.0, 0.0))
        for number, turn in enumerate(turns)
    ]
    place = folder / "data" / "spheres"
    np.save(place / "patterns.npy", rng.poisson(np.stack(means)).astype(np.int32))
    np.save(place / "mask.npy", np.pad(np.ones((4, 4), np.uint8), (EDGE - 4) // 2))
    np.save(place / "labels.npy", np.arange(30) % 2 == 0)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("single")
    write_data(folder)
    config = folder / "single.yaml"
    config.write_text(yaml.safe_dump(small_run(folder), sort_keys=False))
    snakemake(folder, config)
    return folder, config


def test_frames_become_a_density_that_is_scored(finished):
    place = finished[0] / "results/single"
    row, _ = read_table(place / "particles.csv")
    assert [row[name] for name in ("particle", "n_frames", "photons_per_frame", "method", "seed")] == [
        "made_up",
        "250",
        "300.0",
        "EMC",
        "0",
    ]
    assert float(row["train_pose_error_median_deg"]) < 30
    assert float(row["density_correlation_mean"]) > float(row["density_correlation_mean_other_hand"])
    run = place / "particles/made_up/frames~250+photons~300/EMC/0"
    assert read_metrics(run / "phase/metrics.json")["n_starts"] == 3
    density = gemmi.read_ccp4_map(str(run / "phase/density.ccp4"))
    assert density.grid.unit_cell.a == pytest.approx(44)
    assert len(read_table(run / "score/errors.csv")) == 250


def test_rows_tell_times_frames_kept_apart_and_where_they_come_from(finished):
    place = finished[0] / "results/single"
    rows = read_table(place / "particles.csv")
    assert [row["method"] for row in rows] == ["EMC", "trained"]
    times = ("train_xrai_seconds", "refine_poses_seconds")
    apart = [f"after_training_{frames}_pose_error_median_deg" for frames in ("train", "held_out")]
    for name in (*times, *apart):
        assert rows[0][name] == ""
        assert float(rows[1][name]) > 0
    folder = place / "particles/made_up/frames~250+photons~300/trained/0"
    assert read_metrics(folder / "score_training/metrics.json")["held_out_n_frames"] == 25
    assert len({row["provenance_sha256"] for row in rows}) == 2
    assert {len(row["provenance_sha256"]) for row in rows} == {64}


def test_patterns_are_selected(finished):
    place = finished[0] / "results/single/patterns/spheres"
    assert read_metrics(place / "select_patterns/metrics.json")["auc"] > 0.9
    assert (place / "figures/patterns.png").stat().st_size > 10_000


def test_figures_and_tables_stand_in_the_report(finished):
    folder, config = finished
    place = folder / "results/single/particles/made_up"
    drawn = {path.stem for path in place.glob("frames~250+photons~300/figures/*.png")}
    assert drawn == {"densities", "shell_correlations", "training"}
    cell, _ = read_table(place / "tables/train_pose_error_median_deg.csv")
    assert (cell["row"], cell["group"], cell["column"], cell["n_runs"]) == ("250", "300.0", "EMC", "1")
    snakemake(folder, config, "--report", "report.html")
    report = (folder / "report.html").read_text()
    for name in ("densities.png", "shell_correlations.png", "patterns.png", "particles.csv"):
        assert name in report


def test_nothing_is_left_to_do_and_a_change_reruns_only_what_depends_on_it(finished):
    folder, config = finished
    assert "Nothing to be done" in snakemake(folder, config, "--dry-run").stdout
    content = small_run(folder)
    content["single_particles"]["particles"]["made_up"]["phase"]["n_starts"] = 4
    changed = folder / "changed.yaml"
    changed.write_text(yaml.safe_dump(content, sort_keys=False))
    plan = snakemake(folder, changed, "--dry-run").stdout
    counted = {line.split()[0]: int(line.split()[1]) for line in plan.splitlines() if line.startswith("phase ")}
    assert counted == {"phase": 2}
    assert "score_particles" in plan
    planned = {line.split()[0] for line in plan.splitlines() if line.strip()}
    for untouched in ("reconstruct_particles", "simulate_particle_frames", "score_training", "select_patterns"):
        assert untouched not in planned


def test_every_method_gets_every_set_of_frames_it_can_read(tmp_path):
    """EMC has no frames without noise; the others have; refinement follows where it is asked for."""
    content = small_run(tmp_path)
    particle = content["single_particles"]["particles"]["made_up"]
    particle |= {"n_frames": [100, 200], "photons_per_frame": [None, 50.0], "seeds": [0, 1]}
    particle["methods"] = {
        "EMC": {"reconstruct": EMC},
        "X-RAI": {"train_xrai": {"preset": "faithful"}},
        "X-RAI-plus": {"train_xrai": {}, "refine_poses": {"rounds": 2}},
        "grid": {"match_patterns": {"level": 3}},
    }
    write_data(tmp_path)
    config = tmp_path / "many.yaml"
    config.write_text(yaml.safe_dump(content, sort_keys=False))
    plan = snakemake(tmp_path, config, "--dry-run", "--printshellcmds").stdout
    lines = [line.split() for line in plan.splitlines()]
    counted = {words[0]: int(words[1]) for words in lines if len(words) == 2 and words[1].isdigit()}
    wanted = {
        "simulate_particle_frames": 4,
        "reconstruct_particles": 4,
        "train_xrai": 16,
        "match_patterns": 8,
        "refine_poses": 8,
        "score_training": 8,
        "phase": 28,
        "score_particles": 28,
        "draw_training": 4,
        "draw_densities": 4,
        "draw_accuracy_table": 2,
    }
    assert {name: counted[name] for name in wanted} == wanted
    assert '"preset": "faithful"' in plan
    assert '"noise": "none"' in plan
