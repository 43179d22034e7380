"""Configurations: near misses, sweeps, contradictions, and the generated schema."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from fewphoton.config import ReconstructConfig, RunConfig, load_run, load_section, sweep_grids, sweep_points
from fewphoton.config.load import run_schema
from fewphoton.config.papers import PapersConfig
from fewphoton.config.reconstruct import PRESETS
from fewphoton.config.sweep import drawn_axes, frame_chain
from fewphoton.config.sweep_values import SweepRange
from fewphoton.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
FILE = {"folder": "f", "name": "a.pdb"}
ROTATED = {"stages": {"reconstruct": {"orientations": {"sampled": "rotation_group"}}}}
CRYSTAL = {"cell": [5, 5, 5, 90, 90, 90], "space_group": "P 2 3"}


def run(**changes):
    content = {"run": "x", "datasets": {"a": {"simulate": {"structure": "s.cif"}}}, **changes}
    return load_section(RunConfig, yaml.safe_dump(content), "test.yaml")


SHIPPED = sorted((ROOT / "config").glob("*.yaml"))
OF_PAPERS = [path for path in SHIPPED if path.stem.startswith("figures_")]


@pytest.mark.parametrize("path", [path for path in SHIPPED if path not in OF_PAPERS], ids=lambda path: path.stem)
def test_shipped_configurations_are_valid(path):
    run = load_run(path)
    assert run.datasets or run.ankylography or run.single_particles


@pytest.mark.parametrize("path", OF_PAPERS, ids=lambda path: path.stem)
def test_shipped_runs_of_papers_name_scales_that_are_there(path):
    papers = load_section(PapersConfig, path.read_text(encoding="utf-8"), str(path))
    assert (ROOT / papers.catalogue).exists()
    for paper in papers.papers.values():
        content = yaml.safe_load((ROOT / paper.config).read_text(encoding="utf-8"))
        assert paper.scale is None or paper.scale in content["scales"]


def test_schema_is_in_step():
    stored = (ROOT / "config" / "schema.json").read_text(encoding="utf-8")
    assert stored == run_schema(), "config/schema.json is stale: run python scripts/export_schema.py"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"datasts": {}}, "did you mean 'datasets'?"),
        ({"stages": {"reconstrct": {}}}, "stages: unknown key 'reconstrct'; did you mean 'reconstruct'?"),
        ({"stages": {"reconstruct": {"grid": {"voxel_per_cell": 4}}}}, "did you mean 'voxels_per_cell'?"),
        ({"stages": {"collapse": {"n_frames": 3, "collapse_deg": 1.0}}}, "exactly one of n_frames and collapse_deg"),
        ({"stages": {"collapse": {"n_frames": 0}}}, "stages.collapse.n_frames"),
        ({"stages": {"reconstruct": {"beta_start": 0.1, "beta_factor": 1}}}, "beta_factor above 1"),
        ({"datasets": {"a": {}}}, "simulate_particles and simulate_serial; found none"),
        ({"datasets": {"a": {"simulate_serial": {}}}}, "simulate_serial needs its structure"),
        (
            {"datasets": {"a": {"simulate_particles": {"photons_per_frame": 9}, "structure_file": FILE}}},
            "a: needs reconstruct.orientations.sampled: rotation_group",
        ),
        (
            {"datasets": {"a": {"simulate_particles": {"photons_per_frame": 9}, "structure_file": FILE}}, **ROTATED},
            "a: particles need reconstruct.grid.voxels_per_cell: 1",
        ),
        (
            {"datasets": {"a": {"simulate": {"structure": "s.cif"}, "structure_file": FILE}}},
            "structure_file goes with simulate_stills, simulate_particles, simulate_serial",
        ),
        ({"datasets": {}}, "datasets"),
        ({"datasets": {"a b": {"simulate": {"structure": "s.cif"}}}}, "datasets"),
        ({"datasets": {"a": {"raw": {"files": [], "geometry": "g", "crystal": CRYSTAL}}}}, "raw.files"),
        (
            {"datasets": {"a": {"simulate": {"structure": "s", "diffuse_fraction": 0.7, "background_fraction": 0.4}}}},
            "no photons for the Bragg peaks",
        ),
        ({"sweep": {"collapse.n_frame": [1]}}, "did you mean 'collapse.n_frames'?"),
        ({"sweep": {"thin.photons_per_frame": [1]}}, "no parameter of a stage that runs"),
        ({"sweep": {"collapse.n_frames": []}}, "list of different values"),
        ({"sweep": {"collapse.n_frames": [2, 2]}}, "list of different values"),
        ({"sweep": {"collapse.n_frames": [2, -1]}}, "greater than or equal to 1"),
        (
            {"sweep": {"a": {"collapse.n_frames": [2]}, "b": {"reconstruct.seed": [2]}}},
            "must name the same parameters",
        ),
        ({"sweep": {"a": {"collapse.n_frame": [2]}}}, "did you mean 'collapse.n_frames'?"),
        ({"stages": {"count_photons": {"jobs": 2, "job": 1}}}, "jobs are numbered by the workflow"),
        ({"stages": {"count_photons": {"jobs": 2, "job": 2}}}, "job 2 is none of 2 jobs"),
        (
            {
                "single_particles": {
                    "patterns": {"a": {"files": ["a.h5"], "geometry": "a.yaml", "count_photons": {"jobs": 2}}}
                }
            },
            "patterns are counted by one job",
        ),
        ({"sweep": {"collapse.n_frames": {"first": 2, "last": 2}}}, "two different numbers"),
        ({"sweep": {"collapse.n_frames": {"first": 1, "last": 3, "step": -1}}}, "does not lead from 1 to 3"),
        ({"sweep": {"collapse.n_frames": {"first": 1, "last": 3, "step": 1, "number": 3}}}, "not both"),
        ({"sweep": {"collapse.n_frames": {"first": 0, "last": 3, "number": 3, "spacing": "geometric"}}}, "above 0"),
        (
            {"sweep": {"collapse.n_frames": {"first": 1, "last": 2, "number": 3}}},
            "n_frames: Input should be a valid integer",
        ),
        ({"sweep": {"collapse.n_frames, reconstruct.seed": [[2, 1], [3]]}}, "rows of 2 values"),
        ({"sweep": {"collapse.n_frames, reconstruct.seed": [[2, 1], [2, 1]]}}, "list of different values"),
        ({"sweep": {"collapse.n_frames, reconstruct.sed": [[2, 1]]}}, "did you mean 'reconstruct.seed'?"),
        ({"sweep": {"collapse.n_frames, reconstruct.seed": [[2, 1]], "reconstruct.seed": [3]}}, "named twice"),
        ({"scale": "full"}, "there are no scales"),
        ({"scales": {"full": {}}}, "scale must be one of full; found None"),
        ({"scale": "ful", "scales": {"full": {}}}, "scale must be one of full; found 'ful'"),
        (
            {"scale": "a", "scales": {"a": {}, "b": {"stages": {"collapse": {"n_frame": 3}}}}},
            "scale b: stages.collapse: unknown key 'n_frame'; did you mean 'n_frames'?",
        ),
    ],
)
def test_mistakes_are_named_with_the_way_out(changes, message):
    with pytest.raises(ConfigError, match=r"test\.yaml") as error:
        run(**changes)
    assert message in str(error.value)


def test_sweeps_combine_and_stages_see_only_what_bears_on_them():
    config = run(sweep={"reconstruct.seed": [0, 1], "collapse.n_frames": [5, 50]})
    points = sweep_points(config)
    assert [point.folder for point in points] == [
        f"collapse.n_frames~{n}+reconstruct.seed~{seed}" for n in (5, 50) for seed in (0, 1)
    ]
    assert {point.until("collapse").folder for point in points} == {"collapse.n_frames~5", "collapse.n_frames~50"}
    assert {point.until("count_photons").folder for point in points} == {"base"}
    assert points[3].section(config, "collapse")["n_frames"] == 50
    assert points[3].section(config, "reconstruct")["seed"] == 1
    assert points[3].section(config, "evaluate") == config.stages.evaluate.model_dump(mode="json")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"first": 1, "last": 3}, [1, 2, 3]),
        ({"first": 3, "last": 1}, [3, 2, 1]),
        ({"first": 2, "last": 9, "step": 3}, [2, 5, 8]),
        ({"first": 0.1, "last": 0.4, "step": 0.1}, [0.1, 0.2, 0.3, 0.4]),
        ({"first": 20, "last": 320, "number": 5, "spacing": "geometric"}, [20, 40, 80, 160, 320]),
        ({"first": 1, "last": 2, "number": 3}, [1, 1.5, 2]),
        ({"first": 100.0, "last": 1.0, "number": 3, "spacing": "geometric"}, [100.0, 10.0, 1.0]),
    ],
)
def test_ranges_hold_both_ends(given, expected):
    found = SweepRange(**given).values()
    assert found == expected
    assert [type(value) for value in found] == [type(value) for value in expected]


def test_ranges_and_rows_make_points_as_lists_do():
    listed = run(sweep={"collapse.n_frames": [5, 10], "reconstruct.seed": [0, 1, 2]})
    ranged = {"collapse.n_frames": {"first": 5, "last": 10, "step": 5}, "reconstruct.seed": {"first": 0, "last": 2}}
    assert sweep_points(run(sweep=ranged)) == sweep_points(listed)
    together = run(sweep={"reconstruct.seed, collapse.n_frames": [[0, 5], [1, 50]], "evaluate.n_shells": [8, 9]})
    assert [point.folder for point in sweep_points(together)] == [
        "collapse.n_frames~5+reconstruct.seed~0+evaluate.n_shells~8",
        "collapse.n_frames~5+reconstruct.seed~0+evaluate.n_shells~9",
        "collapse.n_frames~50+reconstruct.seed~1+evaluate.n_shells~8",
        "collapse.n_frames~50+reconstruct.seed~1+evaluate.n_shells~9",
    ]
    named = run(
        sweep={
            "few": {"reconstruct.seed, collapse.n_frames": [[0, 5], [1, 50]]},
            "more": {"reconstruct.seed": {"first": 0, "last": 1}, "collapse.n_frames": [500]},
        }
    )
    assert {name: len(points) for name, points in sweep_grids(named).items()} == {"few": 2, "more": 2}


def test_sweeping_the_angle_replaces_the_number():
    (point, _) = sweep_points(run(sweep={"collapse.collapse_deg": [0.5, 1.0]}))
    assert point.section(run(), "collapse") | {"pixel_binning": 1} == {
        "n_frames": None,
        "collapse_deg": 0.5,
        "drop_incomplete": False,
        "pixel_binning": 1,
    }


def test_without_a_sweep_there_is_one_point():
    (point,) = sweep_points(run())
    assert point.folder == "base"


def test_optional_stages_run_where_they_are_configured():
    assert frame_chain(run()) == ["collapse"]
    stages = {"thin": {"photons_per_frame": 3}, "add_background": {"percent": 10}}
    assert frame_chain(run(stages=stages)) == ["collapse", "thin", "add_background"]


def test_unreadable_files_are_typed_errors(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        load_run(tmp_path / "none.yaml")
    # A key without end, a date that is none, and more than the parser can hold.
    for text, message in (("a: [1", "not valid YAML"), ("run: 2020-13-45", "not valid YAML"), ("[" * 9999, "nested")):
        (tmp_path / "bad.yaml").write_text(text)
        with pytest.raises(ConfigError, match=rf"bad\.yaml: {message}"):
            load_run(tmp_path / "bad.yaml")


def test_the_chosen_scale_is_laid_over_the_rest():
    scales = {
        "full": {"sweep": {"collapse.n_frames": [7]}},
        "small": {"run": "y", "stages": {"reconstruct": {"grid": {"n_voxels": 61}}}},
    }
    stages = {"reconstruct": {"grid": {"voxels_per_cell": 5, "n_voxels": 366}, "seed": 4}}
    full, small = (run(scale=name, scales=scales, stages=stages) for name in ("full", "small"))
    assert (full.run, full.stages.reconstruct.grid.n_voxels) == ("x", 366)
    assert full.sweep == {"collapse.n_frames": [7]}
    grid = small.stages.reconstruct.grid
    assert (small.run, grid.n_voxels, grid.voxels_per_cell, small.stages.reconstruct.seed) == ("y", 61, 5, 4)


def test_grids_of_a_sweep_are_joined():
    first = {"collapse.n_frames": [5, 50], "reconstruct.seed": [0]}
    second = {"collapse.n_frames": [50], "reconstruct.seed": [0, 1]}
    config = run(sweep={"a": first, "b": second})
    assert [point.folder for point in sweep_points(config)] == [
        "collapse.n_frames~5+reconstruct.seed~0",
        "collapse.n_frames~50+reconstruct.seed~0",
        "collapse.n_frames~50+reconstruct.seed~1",
    ]
    assert {name: len(points) for name, points in sweep_grids(config).items()} == {"a": 2, "b": 2}
    assert {name: len(points) for name, points in sweep_grids(run()).items()} == {"all": 1}


@pytest.mark.parametrize("base", ["none", "recommended"])
def test_a_swept_preset_fills_in_what_is_not_given(base):
    stages = {"reconstruct": {"preset": base, "seed": 3}}
    config = run(sweep={"reconstruct.preset": ["none", "recommended", "annealed"]}, stages=stages)
    plain, recommended, annealed = (point.section(config, "reconstruct") for point in sweep_points(config))
    assert (plain["acceleration"], plain["symmetry"], plain["beta_start"]) == ("none", "none", 1.0)
    assert (recommended["acceleration"], recommended["symmetry"]) == ("squarem", "laue")
    assert (annealed["acceleration"], annealed["beta_start"], annealed["seed"]) == ("none", "automatic", 3)


def test_every_preset_is_valid_and_given_keys_win():
    for preset in PRESETS:
        assert ReconstructConfig(preset=preset).preset == preset
    assert ReconstructConfig(preset="recommended", symmetry="none").symmetry == "none"


def test_exposures_that_share_a_pattern_must_fill_batches():
    simulate = {"structure": "s", "exposures_per_pattern": 20, "frames_per_batch": 1000, "chunk_frames": 250}
    with pytest.raises(ConfigError, match=r"chunk_frames \(250\) must be a multiple of exposures_per_pattern"):
        run(datasets={"a": {"simulate": simulate}})


@pytest.mark.parametrize(
    ("sweep", "several", "expected"),
    [
        ({}, False, ("photons_per_frame_mean", "dataset", None)),
        ({"collapse.n_frames": [2, 4]}, True, ("photons_per_frame_mean", "dataset", None)),
        ({"reconstruct.seed": [1, 2]}, False, ("reconstruct.seed", "dataset", None)),
        (
            {"collapse.n_frames": [2, 4], "reconstruct.seed": [1, 2]},
            False,
            ("collapse.n_frames", "dataset", None),
        ),
        (
            {"reconstruct.preset": ["none", "march"], "collapse.n_frames": [2, 4], "evaluate.n_shells": [5, 6]},
            True,
            ("collapse.n_frames", "evaluate.n_shells", "reconstruct.preset"),
        ),
        (
            {"collapse.n_frames": [2], "reconstruct.beta_start": [0.5, 1.0], "reconstruct.preset": ["none", "march"]},
            True,
            ("reconstruct.beta_start", "reconstruct.preset", "dataset"),
        ),
    ],
)
def test_what_varies_is_drawn_along_the_axis_as_lines_and_as_panels(sweep, several, expected):
    assert drawn_axes(sweep_points(run(sweep=sweep)), several) == expected


PARTICLE = {"simulate_particles": {"structure": "s.pdb", "photons_per_frame": 9}, "methods": {"m": {"train_xrai": {}}}}


def particles(**changes):
    section = {"single_particles": {"particles": {"p": PARTICLE | changes}}}
    return load_section(RunConfig, yaml.safe_dump({"run": "x", **section}), "test.yaml")


def test_sets_of_frames_are_all_combinations():
    particle = particles(n_frames=[10, 20], photons_per_frame=[None, 100]).single_particles.particles["p"]
    sets = particle.frame_sets()
    assert list(sets) == [f"frames~{n}+photons~{photons}" for n in (10, 20) for photons in ("none", "100")]
    assert [one.noise for one in sets.values()] == ["none", "poisson"] * 2
    assert sets["frames~20+photons~100"].photons_per_frame == 100
    assert list(particles().single_particles.particles["p"].frame_sets()) == ["frames~1000"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": {"m": {}}}, "begins with exactly one of"),
        ({"methods": {"m": {"train_xrai": {}, "match_patterns": {}}}}, "begins with exactly one of"),
        ({"methods": {"m": {"reconstruct": {}}}}, "sampled: rotation_group"),
        ({"structure_file": FILE}, "give the structure once"),
        ({"seeds": [1, 1]}, "values must differ"),
        ({"methods": {"m": {"train_xrai": {"sed": 1}}}}, "did you mean 'seed'?"),
    ],
)
def test_contradictions_of_single_particles_are_refused(changes, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        particles(**changes)


def test_folders_of_single_particles_are_no_datasets():
    section = {"particles": {"p": PARTICLE}}
    with pytest.raises(ConfigError, match="'particles' is a folder of single_particles"):
        run(datasets={"particles": {"simulate": {"structure": "s.cif"}}}, single_particles=section)
