"""The workflow itself: format, lint, plans, and a small run from raw ADU to the report."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import gemmi
import pyarrow.parquet
import pytest
import yaml

from fewphoton.io.metrics import read_table
from fewphoton.io.photon_files import open_photon_file
from fewphoton.io.volumes import read_ccp4_map, read_volume_file
from tests.simulate.molecules import made_up_molecule, pdb_text
from tests.simulate.test_particle import SMALL

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.workflow


def environment() -> dict[str, str]:
    """Return an environment in which programs of this Python are found first."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def run(*words: str, folder: Path | None = None, check: bool = True, **variables: str) -> subprocess.CompletedProcess:
    surroundings = environment() | {"COLUMNS": "120"} | variables
    done = subprocess.run(words, cwd=folder or ROOT, env=surroundings, capture_output=True, text=True, timeout=900)
    if check and done.returncode != 0:
        logs = "\n".join(f"{log}:\n{log.read_text()}" for log in (folder or ROOT).glob("results/**/*.log"))
        pytest.fail(f"{' '.join(words)}\n{done.stdout}\n{done.stderr}\n{logs[-6000:]}")
    return done


def snakemake(folder: Path, config: Path, *words: str, check: bool = True) -> subprocess.CompletedProcess:
    command = ["snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    return run(*command, "--configfile", str(config), "--cores", "2", *words, folder=folder, check=check)


def small_run() -> dict:
    detector = {"tile_pixels": 32, "pixel_size_m": 6e-4, "distance_m": 0.074, "gap_pixels": 1}
    simulation = {
        "structure": str(ROOT / "config" / "structures" / "dimolybdenum_i43d.cif"),
        "detector": detector,
        "n_batches": 20,
        "frames_per_batch": 120,
        "rotation_per_frame_deg": 0.15,
        "n_turns": 1,
        "photons_per_frame": 20,
        "size_broadening_inv_angstrom": 0.0045,
        "seed": 3,
    }
    reference = {**simulation, "photons_per_frame": 400, "seed": 4, "readout": None}
    return {
        "run": "small",
        "parquet": True,
        "datasets": {"tiles": {"simulate": simulation, "reference": reference}},
        "stages": {
            "count_photons": {"fit_frames": 200, "jobs": 2},
            "reconstruct": {
                "grid": {"voxels_per_cell": 4, "n_voxels": 61},
                "axis_margin_pixels": 2,
                "start_width_voxels": 1,
                "max_iterations": 25,
                "tolerance": 1e-4,
                "tasks": 2,
            },
            "evaluate": {"peak_radius_voxels": 1, "patterson_voxels": 27, "n_shells": 5},
        },
        "sweep": {"collapse.n_frames": [2, 4]},
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("run")
    config = folder / "small.yaml"
    config.write_text(yaml.safe_dump(small_run()))
    snakemake(folder, config)
    return folder, config


def test_format_and_lint():
    run("snakefmt", "--check", "Snakefile", "workflow")
    assert "good condition" in run("snakemake", "--lint").stderr


# Runs over several papers are planned in test_papers.
CONFIGURATIONS = [path for path in sorted((ROOT / "config").glob("*.yaml")) if not path.stem.startswith("figures_")]


@pytest.mark.parametrize("config", CONFIGURATIONS, ids=lambda path: path.stem)
def test_every_configuration_can_be_planned(config, tmp_path):
    (tmp_path / "config").symlink_to(ROOT / "config")
    plan = snakemake(tmp_path, config, "--dry-run", "--quiet", "rules").stdout
    reconstructed = ("reconstruct", "evaluate", "draw_patterson")
    swept = ("thin", "reconstruct", "evaluate", "draw_sweep")
    studied = ("reconstruct", "score_iterates", "draw_convergence_study")
    separated = ("sparsify", "find_peaks", "draw_peak_comparison")
    rotated = ("fetch_frame", "simulate_particles", "reconstruct")
    shots = ("simulate_shot", "recover_molecule", "study_recoveries", "compare_recoveries")
    single = ("simulate_particle_frames", "reconstruct_particles", "phase", "score_particles", "select_patterns")
    trained = ("simulate_particle_frames", "train_xrai", "match_patterns", "refine_poses", "draw_accuracy_table")
    known = (reconstructed, swept, separated, rotated, studied, shots, single, trained)
    assert any(all(rule in plan for rule in rules) for rules in known)


def test_a_misspelt_key_stops_before_any_job(tmp_path):
    content = small_run()
    content["stages"]["reconstruct"]["max_iteration"] = 3
    config = tmp_path / "wrong.yaml"
    config.write_text(yaml.safe_dump(content))
    done = snakemake(tmp_path, config, check=False)
    assert done.returncode != 0
    assert "did you mean 'max_iterations'?" in done.stdout + done.stderr
    assert not (tmp_path / "results").exists()


def test_the_background_shape_goes_to_points_that_look_for_background(tmp_path):
    content = small_run()
    content["datasets"]["tiles"]["background"] = str(tmp_path / "shape.h5")
    content["sweep"] = {"reconstruct.background": ["none", "per_frame"]}
    config = tmp_path / "background.yaml"
    config.write_text(yaml.safe_dump(content))
    (tmp_path / "shape.h5").touch()
    plan = snakemake(tmp_path, config, "--dry-run", "--printshellcmds").stdout
    commands = [line for line in plan.splitlines() if "fewphoton reconstruct " in line]
    assert sorted("--background" in command for command in commands) == [False, True]


@pytest.mark.parametrize(("scale", "voxels"), [("full", 366), ("reduced", 183)])
def test_the_paper_can_be_planned_at_every_scale(tmp_path, scale, voxels):
    (tmp_path / "config").symlink_to(ROOT / "config")
    config = ROOT / "config" / "paper_emc.yaml"
    plan = snakemake(tmp_path, config, "--config", f"scale={scale}", "--dry-run", "--printshellcmds").stdout
    assert f'"n_voxels": {voxels}' in plan
    folder = "paper_emc" if scale == "reduced" else "paper_emc_full"
    assert f"results/{folder}/published.csv" in plan
    assert "rule count_photons" not in plan


def test_an_unknown_scale_stops_before_any_job(tmp_path):
    config = ROOT / "config" / "paper_emc.yaml"
    done = snakemake(tmp_path, config, "--config", "scale=huge", "--dry-run", check=False)
    assert done.returncode != 0
    assert "scale must be one of full, reduced; found 'huge'" in done.stdout + done.stderr


def test_raw_adu_become_a_patterson_map(finished):
    rows = read_table(finished[0] / "results/small/metrics.csv")
    assert [row["collapse.n_frames"] for row in rows] == ["2", "4"]
    typed = pyarrow.parquet.read_table(finished[0] / "results/small/metrics.parquet").to_pylist()
    assert [list(row) for row in typed] == [list(row) for row in rows]
    assert [row["r_high_low_low_q"] for row in typed] == [float(row["r_high_low_low_q"]) for row in rows]
    for row in rows:
        assert float(row["frames_oriented_fraction"]) > 0.8
        assert float(row["r_high_low_low_q"]) < 0.5 * float(row["r_high_low_low_q_chance_mean"])
        assert float(row["cc_truth"]) > 0.9
    assert float(rows[1]["photons_per_frame_mean"]) == pytest.approx(80, rel=0.05)


def test_outputs_open_in_other_programs(finished):
    folder = finished[0] / "results/small/tiles/evaluate/collapse.n_frames~4"
    mtz = gemmi.read_mtz_file(str(folder / "reflections.mtz"))
    assert mtz.spacegroup.hm == "I -4 3 d"
    assert mtz.cell.a == pytest.approx(21.47)
    values, cell = read_ccp4_map(folder / "patterson.ccp4")
    assert values.shape == (27, 27, 27)
    assert values.max() == values[0, 0, 0]
    assert cell[0] == pytest.approx(21.47)


def test_counted_photons_are_the_simulated_ones(finished):
    folder = finished[0] / "results/small/tiles"
    with open_photon_file(folder / "simulate/true_photons.h5") as truth:
        true_total = sum(part.totals().sum() for part in truth.chunks())
    with open_photon_file(folder / "count_photons/base/frames.h5") as counted:
        total = sum(part.totals().sum() for part in counted.chunks())
        assert counted.n_frames >= 2395
    assert total == pytest.approx(true_total, rel=0.01)


def test_report_holds_figures_and_table(finished):
    folder, config = finished
    snakemake(folder, config, "--report", "report.html")
    report = (folder / "report.html").read_text()
    for name in ("powder.png", "r_factor.png", "convergence.png", "orientations.png", "patterson.png", "metrics.csv"):
        assert name in report


def test_nothing_is_left_to_do_and_a_change_reruns_only_what_depends_on_it(finished, tmp_path):
    folder, config = finished
    assert "Nothing to be done" in snakemake(folder, config, "--dry-run").stdout
    content = small_run()
    content["stages"]["evaluate"]["n_shells"] = 6
    changed = tmp_path / "changed.yaml"
    changed.write_text(yaml.safe_dump(content))
    plan = snakemake(folder, changed, "--dry-run", "--quiet", "rules").stdout
    assert "evaluate" in plan
    assert "draw_patterson" in plan
    for untouched in ("simulate_rotation", "count_photons", "collapse ", "reconstruct", "assemble"):
        assert untouched not in plan


def snapshots_run(folder: Path) -> Path:
    """Write the configuration of a short run: particles from a fetched file, on the grid that reconstruct takes."""
    (folder / "data" / "molecules").mkdir(parents=True)
    (folder / "data" / "molecules" / "made_up.pdb").write_text(pdb_text(made_up_molecule()) + "END\n")
    content = {
        "run": "turned",
        "data_dir": str(folder / "data"),
        "datasets": {
            "particle": {
                "structure_file": {"folder": "molecules", "name": "made_up.pdb"},
                "simulate_particles": SMALL | {"photons_per_frame": 200.0, "box_angstrom": 60.0},
            }
        },
        "stages": {
            "reconstruct": {
                "grid": {"voxels_per_cell": 1},
                "orientations": {"sampled": "rotation_group", "level": 1},
                "max_iterations": 2,
            }
        },
    }
    config = folder / "turned.yaml"
    config.write_text(yaml.safe_dump(content))
    return config


def test_snapshots_in_random_orientations_become_volumes(tmp_path):
    snakemake(tmp_path, snapshots_run(tmp_path))
    folder = tmp_path / "results" / "turned" / "particle"
    found = read_volume_file(folder / "reconstruct" / "base" / "volume.h5")
    truth = read_volume_file(folder / "simulate" / "truth.h5")
    assert found.volume.n == truth.volume.n
    assert found.crystal.cell == truth.crystal.cell == (60, 60, 60, 90, 90, 90)
    with open_photon_file(folder / "collapse" / "base" / "frames.h5") as reader:
        assert reader.table.quaternion.shape == (40, 4)


@pytest.mark.real_data
def test_silicon_is_oriented_from_100_real_photons_a_frame(data_dir, tmp_path):
    content = yaml.safe_load((ROOT / "config" / "silicon.yaml").read_text())
    content["data_dir"] = str(data_dir)
    content["sweep"] = {"thin.photons_per_frame": [100]}
    config = tmp_path / "silicon.yaml"
    config.write_text(yaml.safe_dump(content))
    snakemake(tmp_path, config)
    (row,) = read_table(tmp_path / "results/silicon/metrics.csv")
    assert float(row["frames_oriented_fraction"]) >= 0.9
    assert float(row["r_high_low_low_q"]) < 0.15
    assert float(row["r_high_low_low_q"]) < 0.4 * float(row["r_high_low_low_q_chance_mean"])
