"""Signal separation as a workflow: simulated stills to peaks, hits, rebuilt frames, quality and figures; sweeps."""

from __future__ import annotations

from pathlib import Path

import fabio
import numpy as np
import pytest
import yaml

from fewphoton.io.cxi_peaks import read_cxi_peaks
from fewphoton.io.metrics import read_table
from fewphoton.io.raw_frames import open_raw_frames
from fewphoton.io.still_truth import read_still_truth
from tests.workflow.test_workflow import ROOT, snakemake

pytestmark = pytest.mark.workflow

DETECTOR = {
    "modules": [2, 1],
    "module_pixels": [60, 128],
    "gap_pixels": [4, 0],
    "pixel_size_m": 6e-4,
    "distance_m": 0.06,
    "beam_stop_radius_m": 2e-3,
}


def small_run() -> dict:
    stills = {
        "structure": str(ROOT / "config" / "structures" / "dimolybdenum_i43d.cif"),
        "wavelength_angstrom": 0.71,
        "detector": DETECTOR,
        "background": {"mean_photons": 0.5},
        "n_frames": 8,
        "hit_fraction": 0.6,
        "photons_per_crystal": 8000,
        "seed": 2,
    }
    return {
        "run": "separated",
        "datasets": {
            "stills": {
                "simulate_stills": stills,
                "integrate_spots": {"n_shells": 3, "disc_radius_px": 2, "ring_inner_px": 3, "ring_outer_px": 5},
            }
        },
        "stages": {
            "sparsify": {"n_bins": 40, "error_model": "poisson_tail", "noise": 0},
            "densify": {"seed": 4},
            "find_peaks": {"n_bins": 40, "error_model": "poisson_tail", "noise": 0, "method": "sums"},
            "veto": {"minimum_peaks": 3},
        },
        "sweep": {"sparsify.cutoff_pick": [1.0, 2.5], "find_peaks.method": ["rings", "sums"]},
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("separation")
    config = folder / "separated.yaml"
    config.write_text(yaml.safe_dump(small_run()))
    snakemake(folder, config)
    return folder, config


def test_one_row_a_point(finished):
    rows = read_table(finished[0] / "results/separated/separation.csv")
    points = {(row["sparsify.cutoff_pick"], row["find_peaks.method"]) for row in rows}
    assert points == {("1.0", "rings"), ("1.0", "sums"), ("2.5", "rings"), ("2.5", "sums")}
    kept = {row["sparsify.cutoff_pick"]: float(row["kept_fraction"]) for row in rows}
    assert 0 < kept["2.5"] < kept["1.0"] < 0.3


def test_hits_are_told_from_blanks(finished):
    folder = finished[0] / "results/separated/stills"
    truth = read_still_truth(folder / "simulate_stills/truth.h5")
    kept = np.loadtxt(folder / "veto/find_peaks.method~sums/kept_frames.txt", dtype=int)
    np.testing.assert_array_equal(np.flatnonzero(truth.shots.is_hit), kept)
    peaks, n_frames = read_cxi_peaks(folder / "find_peaks/find_peaks.method~sums/peaks.cxi")
    assert n_frames == 8
    assert not peaks.counts(8)[~truth.shots.is_hit].any()


def test_rebuilt_frames_hold_the_strong_pixels(finished):
    folder = finished[0] / "results/separated/stills"
    with open_raw_frames([str(folder / "simulate_stills/raw.h5")]) as raw:
        original = raw.read(np.arange(8))
    with fabio.open(str(folder / "densify/sparsify.cutoff_pick~2.5/frames.h5")) as image:
        rebuilt = np.stack([image.get_frame(number).data for number in range(8)])
    gaps = original[0] == 65535
    np.testing.assert_array_equal(rebuilt[:, gaps], 65535)
    strong = (original >= 20) & ~gaps
    assert strong.sum() > 20
    np.testing.assert_array_equal(rebuilt[strong], original[strong])
    assert rebuilt[:, ~gaps].mean() == pytest.approx(original[:, ~gaps].mean(), rel=0.03)


def test_quality_of_spots_falls_with_the_cut_off(finished):
    rows = read_table(finished[0] / "results/separated/spot_quality.csv")
    assert [row["frames"] for row in rows] == ["original", "densified", "densified"]
    assert [row["densify_point"][-4:] for row in rows[1:]] == ["~1.0", "~2.5"]
    assert float(rows[1]["cc_original"]) > 0.999
    assert len({row["n_integrated"] for row in rows}) == 1


def test_figures_are_drawn(finished):
    folder = finished[0] / "results/separated/stills/figures"
    names = {path.stem for path in folder.glob("*.png")}
    assert names == {
        "error_models",
        "signal_separation",
        "pick_share",
        "peak_counts",
        "peak_comparison",
        "veto",
        "spot_quality",
    }
    assert {path.stem for path in folder.glob("*.csv")} == names


def test_nothing_is_left_to_do_and_a_new_point_runs_alone(finished):
    folder, config = finished
    assert "Nothing to be done" in snakemake(folder, config, "--dry-run").stdout
    content = small_run()
    content["sweep"]["sparsify.cutoff_pick"].append(2.0)
    more = folder / "more.yaml"
    more.write_text(yaml.safe_dump(content))
    plan = snakemake(folder, more, "--dry-run").stdout
    counted = [line.split() for line in plan.splitlines() if line.startswith(("sparsify ", "find_peaks ", "densify "))]
    assert {name: int(number) for name, number in counted} == {"sparsify": 1, "densify": 1}
