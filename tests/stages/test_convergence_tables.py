"""score-iterates, tabulate-convergence and compare-published through the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fewphoton.cli import main
from fewphoton.data import Crystal, IntensityVolume, IterateTrace
from fewphoton.emc.symmetry import symmetrized
from fewphoton.evaluate.integrate import integrate
from fewphoton.evaluate.iterates import TracedPeaks
from fewphoton.io.iterate_traces import write_iterate_trace
from fewphoton.io.metrics import read_metrics, read_table, write_table
from fewphoton.io.provenance import Provenance
from fewphoton.io.volumes import write_volume_file

CRYSTAL = Crystal((10, 11, 12, 90, 90, 90), "P 2 2 2")
PROVENANCE = Provenance("test", {}, {})


@pytest.fixture
def reference(tmp_path):
    rng = np.random.default_rng(3)
    volume = IntensityVolume(rng.random((25, 25, 25)), np.ones((25, 25, 25)), 4)
    write_volume_file(tmp_path / "reference.h5", volume, CRYSTAL, np.array([0.0, 1.0, 0.0]), PROVENANCE)
    return tmp_path / "reference.h5", integrate(volume, CRYSTAL, 1.0)


def score(tmp_path, trace, reference):
    write_iterate_trace(tmp_path / "trace.h5", trace, PROVENANCE)
    words = ["score-iterates", "--trace", str(tmp_path / "trace.h5"), "--reference", str(reference)]
    return main([*words, "--iterates", str(tmp_path / "i.csv"), "--metrics", str(tmp_path / "m.json"), "--quiet"])


def test_iterates_are_scored_against_the_reference(tmp_path, reference):
    path, peaks = reference
    noise = np.random.default_rng(4).uniform(-1, 1, len(peaks.hkl))
    intensity = np.array([peaks.intensity * (1 + part * noise) for part in (0.9, 0.02, 0.3, 0.0201, 0.02)])
    trace = IterateTrace(
        np.arange(1, 6), np.arange(5) * 2.0, peaks.hkl, intensity, np.ones(len(peaks.hkl)), radius_hkl=0.25
    )
    assert score(tmp_path, trace, path) == 0
    r = [float(row["r_high_low_low_q"]) for row in read_table(tmp_path / "i.csv")]
    assert r[0] > r[2] > r[4] > 0
    found = read_metrics(tmp_path / "m.json")
    assert (found["iterations_to_final_r"], found["seconds_to_final_r"]) == (4, 6.0)
    assert found["r_high_low_low_q_last_iterate"] == r[4]
    assert found["iterations_traced"] == 5


def test_averaged_iterates_are_compared_with_an_averaged_reference(tmp_path):
    rng = np.random.default_rng(5)
    weight = (rng.random((25, 25, 25)) < 0.8).astype(float)
    measured = IntensityVolume(rng.random((25, 25, 25)) * weight, weight, 4)
    write_volume_file(tmp_path / "reference.h5", measured, CRYSTAL, np.array([0.0, 1.0, 0.0]), PROVENANCE)
    averaged = symmetrized(measured, CRYSTAL)
    peaks = TracedPeaks(CRYSTAL, 25, 4, 1.0)
    r = {}
    for mark in (True, False):
        trace = peaks.trace(np.array([1]), np.ones(1), peaks.sums(averaged.values)[None], averaged, mark)
        assert score(tmp_path, trace, tmp_path / "reference.h5") == 0
        r[mark] = read_metrics(tmp_path / "m.json")["r_high_low_low_q_last_iterate"]
    assert r[True] == pytest.approx(0, abs=1e-12)
    assert r[False] > 1e-3


def test_spheres_below_a_voxel_are_refused(tmp_path, reference, capsys):
    path, peaks = reference
    ones = np.ones(len(peaks.hkl))
    assert score(tmp_path, IterateTrace(np.array([1]), np.ones(1), peaks.hkl, ones[None], ones, 0.1), path) == 1
    assert "smaller than a voxel" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"no HDF5"])
def test_a_foreign_trace_is_a_typed_error(tmp_path, reference, content, capsys):
    (tmp_path / "trace.h5").write_bytes(content)
    words = ["score-iterates", "--trace", str(tmp_path / "trace.h5"), "--reference", str(reference[0])]
    assert main([*words, "--iterates", str(tmp_path / "i.csv"), "--metrics", str(tmp_path / "m.json")]) == 1
    assert "InputFileError" in capsys.readouterr().err


def tabulate(tmp_path, cases, **config):
    """``cases``: preset, seed, share of frames oriented, R of the iterates."""
    rows, files = [], []
    for number, (preset, seed, oriented, r) in enumerate(cases):
        rows.append(
            {
                "dataset": "a",
                "thin.photons_per_frame": 20,
                "reconstruct.preset": preset,
                "reconstruct.seed": seed,
                "iterations": len(r),
                "converged": True,
                "frames_oriented_fraction": oriented,
                "frames_oriented_fraction_chance": 0.01,
                "unused": 1,
            }
        )
        files.append(str(tmp_path / f"{number}.csv"))
        write_table(
            files[-1],
            [{"iteration": n + 1, "seconds": 0.5 * (n + 1), "r_high_low_low_q": value} for n, value in enumerate(r)],
        )
    write_table(tmp_path / "table.csv", rows)
    words = ["tabulate-convergence", "--table", str(tmp_path / "table.csv"), "--iterates", *files]
    code = main([*words, "--convergence", str(tmp_path / "c.csv"), "--config-json", json.dumps(config)])
    return code, read_table(tmp_path / "c.csv") if code == 0 else []


def test_presets_are_measured_by_the_plain_iteration_of_their_seed(tmp_path):
    code, rows = tabulate(
        tmp_path,
        [
            ("none", 1, 0.5, [0.4, 0.2, 0.103, 0.1]),
            ("none", 2, 0.5, [0.4, 0.3, 0.05]),
            ("recommended", 1, 0.5, [0.3, 0.08]),
            ("recommended", 2, 0.5, [0.08, 0.08]),
        ],
    )
    assert code == 0
    plain, other, quick, never = rows
    assert (plain["iterations_to_plain_r"], plain["seconds_to_plain_r"]) == ("3", "1.5")
    assert other["iterations_to_plain_r"] == "3"
    assert (quick["iterations_to_plain_r"], quick["iterations_to_final_r"]) == ("2", "2")
    assert (never["iterations_to_plain_r"], never["iterations_to_final_r"]) == ("", "1")
    assert [row["failed"] for row in rows] == ["False"] * 4
    assert "unused" not in plain
    assert plain["reconstruct.seed"] == "1"


def test_failed_seeds_stay_in_the_table_and_set_no_standard(tmp_path):
    cases = [("none", 1, 0.4, [0.5, 0.2]), ("recommended", 1, 0.9, [0.5, 0.19]), ("squarem", 1, "", [0.3])]
    _, rows = tabulate(tmp_path, cases)
    assert [row["failed"] for row in rows] == ["True", "False", ""]
    assert [row["iterations_to_plain_r"] for row in rows] == ["", "", ""]
    _, rows = tabulate(tmp_path, cases, failed_below_best=0.4)
    assert [row["failed"] for row in rows] == ["False", "False", ""]
    assert rows[1]["iterations_to_plain_r"] == "2"


def test_all_presets_can_fail_on_the_same_frames(tmp_path):
    _, rows = tabulate(tmp_path, [("none", 1, 0.09, [0.5]), ("squarem", 1, 0.08, [0.5]), ("march", 1, 0.11, [0.5])])
    assert [row["failed"] for row in rows] == ["True", "True", "False"]


def test_each_row_needs_its_iterates(tmp_path, capsys):
    tabulate(tmp_path, [("none", 1, 0.4, [0.1]), ("none", 2, 0.4, [0.1])])
    words = ["tabulate-convergence", "--table", str(tmp_path / "table.csv"), "--iterates", str(tmp_path / "0.csv")]
    assert main([*words, "--convergence", str(tmp_path / "d.csv")]) == 1
    assert "1 tables of iterates for 2 rows" in capsys.readouterr().err


def test_a_table_without_r_is_a_typed_error(tmp_path, capsys):
    assert tabulate(tmp_path, [("none", 1, 0.4, [])])[0] == 1
    assert "holds no iterate" in capsys.readouterr().err
    write_table(tmp_path / "0.csv", [{"iteration": 1}])
    words = ["tabulate-convergence", "--table", str(tmp_path / "table.csv"), "--iterates", str(tmp_path / "0.csv")]
    assert main([*words, "--convergence", str(tmp_path / "d.csv")]) == 1
    assert "is no table of iterates" in capsys.readouterr().err


OURS = [
    {"dataset": "a", "collapse.n_frames": 15, "reconstruct.preset": "none", "iterations": 90, "converged": True},
    {"dataset": "a", "collapse.n_frames": 15, "reconstruct.preset": "squarem", "iterations": 9, "converged": True},
    {"dataset": "a", "collapse.n_frames": 7, "reconstruct.preset": "none", "iterations": 3, "converged": False},
]


def published(tmp_path, rows):
    write_table(tmp_path / "ours.csv", OURS)
    write_table(tmp_path / "theirs.csv", rows)
    words = ["compare-published", "--table", str(tmp_path / "ours.csv"), "--published", str(tmp_path / "theirs.csv")]
    return main([*words, "--comparison", str(tmp_path / "c.csv")])


def test_published_values_stand_beside_ours(tmp_path):
    rows = [{"collapse.n_frames": 15.0, "iterations": 2200}, {"collapse.n_frames": 100, "iterations": 400}]
    assert published(tmp_path, rows) == 0
    found = read_table(tmp_path / "c.csv")
    assert [(row["reconstruct.preset"], row["iterations"], row["iterations_published"]) for row in found] == [
        ("none", "90", "2200"),
        ("squarem", "9", "2200"),
        ("", "", "400"),
    ]
    assert found[0]["converged"] == "True"
    assert found[2]["collapse.n_frames"] == "100"


def test_published_columns_must_be_known(tmp_path, capsys):
    assert published(tmp_path, [{"collapse.n_frames": 15, "iteration": 2200}]) == 1
    assert "iteration" in capsys.readouterr().err
