"""study-recoveries: the same shots for all methods, resumed batches, failures as rows, ranks; batches joined."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from fewphoton.config.load import check_section
from fewphoton.config.recovery_study import StudyRecoveriesConfig, TabulateRecoveriesConfig, batch_recoveries
from fewphoton.data import Molecule
from fewphoton.data.recovered_molecule import RecoveredMolecule
from fewphoton.errors import ConfigError, DataError
from fewphoton.io.metrics import read_table, write_table
from fewphoton.stages import study_recoveries, tabulate_recoveries
from fewphoton.stages.contract import Context
from tests.stages.reconstruct_runs import launcher

QUIET = Context(progress=False)
QUICK = {"fewphoton": {"max_sweeps": 30, "polish_every": 15, "replicas": 4}}
STUDY = {
    "n_atoms": [3, 4],
    "wavelengths_angstrom": [0.7],
    "white_levels": [1e-4],
    "examples": 2,
    "shot": {"n_detectors": 150, "largest_angle_deg": 90},
    "methods": {"ours": QUICK, "again": QUICK},
    "seed": 3,
}
TIMES = ("seconds", "cpu_seconds")


def done(path, context=QUIET, **changes):
    """Run a study and return its rows without the times."""
    config = check_section(StudyRecoveriesConfig, STUDY | changes, "test")
    study_recoveries.run(study_recoveries.Inputs(), study_recoveries.Outputs(path), config, context)
    return [{name: value for name, value in row.items() if name not in TIMES} for row in read_table(path)]


class Recorder:
    """In place of a method: keeps its shots, and returns atoms in a row."""

    def __init__(self, fails=None, stops_after=None):
        self.shots, self.configs, self.fails, self.stops_after = [], [], fails, stops_after

    def __call__(self, shot, config, say, *, threads):
        if config.time_budget_s is not None and config.time_budget_s < 1e-6:
            return []
        if self.stops_after is not None and len(self.shots) >= self.stops_after:
            raise KeyboardInterrupt
        self.shots.append(shot)
        self.configs.append(config)
        if self.fails is not None:
            raise self.fails
        names = tuple(name for name, count in shot.composition.items() for _ in range(count))
        place = np.arange(3.0 * len(names)).reshape(-1, 3)
        molecule = Molecule(names, place, np.ones(len(names)), np.zeros(len(names)))
        return [RecoveredMolecule(molecule, 1.5, None)]


@pytest.fixture
def recorder(monkeypatch):
    def install(**options):
        found = Recorder(**options)
        monkeypatch.setattr(study_recoveries, "recover", found)
        return found

    return install


def test_small_molecules_are_solved_and_scored(tmp_path):
    rows = done(tmp_path / "table.csv")
    assert len(rows) == 8
    assert [row["n_atoms"] for row in rows] == ["3", "3", "4", "4"] * 2
    ours = [row for row in rows if row["method"] == "ours"]
    assert sum(row["solved"] == "True" for row in ours) >= 3
    for row in ours:
        assert row["failure"] == ""
        assert float(row["reduced_chi2"]) > 0.5
        assert float(row["bound_rms_angstrom"]) > 0
        assert row["noise_level"] == "0.0001"
    # Nothing but the seed of the search could make two methods of equal parameters differ, and that is the same.
    same = [{name: value for name, value in row.items() if name != "method"} for row in rows]
    assert same[::2] == same[1::2]


def test_rows_tell_where_they_come_from(tmp_path, recorder):
    recorder()

    def digests(**changes):
        return [row["provenance_sha256"] for row in done(tmp_path / "t.csv", methods={"ours": QUICK}, **changes)]

    first = digests()
    assert len(set(first)) == 4
    # What else the study does, and how it is shared out, is no part of a row.
    assert set(digests(n_atoms=[3, 4, 5])) > set(first)
    assert digests(batch=2, batch_number=1) == first[2:]
    for changes in ({"seed": 4}, {"shot": STUDY["shot"] | {"n_detectors": 160}}, {"score": {"match_angstrom": 0.4}}):
        assert not set(digests(**changes)) & set(first)


def test_all_methods_get_the_same_shots(tmp_path, recorder):
    seen = recorder()
    rows = done(tmp_path / "t.csv", white_levels=[1e-4, 1e-3], wavelengths_angstrom=[0.7, 1.0])
    for first, second in zip(seen.shots[::2], seen.shots[1::2], strict=True):
        np.testing.assert_array_equal(first.intensity_electron2, second.intensity_electron2)
    assert len({row["molecule_seed"] for row in rows}) == len({row["noise_seed"] for row in rows}) == 2
    # At ten times the noise the same molecule has the same draws, sqrt(10) times as large.
    cells = {
        (row["noise_level"], row["wavelength_angstrom"], row["n_atoms"], row["example"], row["method"]): number
        for number, row in enumerate(rows)
    }
    low, high = (seen.shots[cells[level, "0.7", "4", "1", "ours"]] for level in ("0.0001", "0.001"))
    assert high.white_sigma_electron2 / low.white_sigma_electron2 == pytest.approx(np.sqrt(10))
    other = seen.shots[cells["0.0001", "0.7", "4", "0", "ours"]]
    assert not np.allclose(other.intensity_electron2, low.intensity_electron2, rtol=0.1)


def test_named_molecules_turn_from_example_to_example(tmp_path, recorder):
    (tmp_path / "m.xyz").write_text("3\n\nO 0 0 0\nH 1 0 0\nH 0 1.1 0\n")
    seen = recorder()
    rows = done(
        tmp_path / "t.csv",
        n_atoms=[],
        molecules={"water": {"structure": str(tmp_path / "m.xyz")}},
        white_levels=[],
        photons_per_shot=[1e5],
    )
    assert [(row["molecule"], row["composition"], row["molecule_seed"]) for row in rows] == [("water", "H2 O1", "")] * 4
    assert len({row["orientation_seed"] for row in rows}) == 2
    assert rows[0]["photons_per_shot"] == "100000.0"
    assert float(rows[0]["noise_level"]) == 0
    assert not np.allclose(seen.shots[0].intensity_electron2, seen.shots[2].intensity_electron2, rtol=0.1)


def test_methods_get_the_studys_time_and_a_seed_of_the_example(tmp_path, recorder):
    seen = recorder()
    rows = done(tmp_path / "t.csv", time_budget_s=9.0, methods={"a": QUICK, "b": QUICK | {"seed": 2}})
    assert {config.time_budget_s for config in seen.configs} == {9.0}
    assert [str(config.seed) for config in seen.configs] == [row["method_seed"] for row in rows]
    assert len({config.seed for config in seen.configs}) == 4


def test_scores_know_the_grid_of_the_shots(tmp_path):
    grid = {"spacing_angstrom": 0.9, "shape": [6, 6, 6]}
    shot = STUDY["shot"] | {"grid": grid}
    method = {"fewphoton": QUICK["fewphoton"] | {"grid": grid}}
    rows = done(tmp_path / "t.csv", shot=shot, methods={"ours": method}, n_atoms=[3], examples=1)
    assert rows[0]["on_right_sites"] in ("True", "False")


def test_an_interrupted_batch_goes_on(tmp_path, recorder):
    recorder()
    expected = done(tmp_path / "whole.csv")
    first = recorder(stops_after=3)
    with pytest.raises(KeyboardInterrupt):
        done(tmp_path / "table.csv")
    assert not (tmp_path / "table.csv").exists()
    (log,) = tmp_path.glob("table.partial.*")
    # A line that was being written when the program died is done again.
    log.write_text(log.read_text()[:-20])
    second = recorder()
    assert done(tmp_path / "table.csv") == expected
    assert (len(first.shots), len(second.shots)) == (3, 8 - 2)
    assert not list(tmp_path.glob("*.partial.*"))


def test_recoveries_of_other_parameters_are_not_taken_over(tmp_path, recorder):
    recorder(stops_after=3)
    with pytest.raises(KeyboardInterrupt):
        done(tmp_path / "table.csv")
    other = recorder()
    done(tmp_path / "table.csv", seed=4)
    assert len(other.shots) == 8


def test_failures_become_rows(tmp_path, recorder):
    recorder(fails=DataError("too few detectors"))
    rows = done(tmp_path / "table.csv")
    assert {row["failure"] for row in rows} == {"DataError: too few detectors"}
    assert {(row["solved"], row["error"], row["n_matched"]) for row in rows} == {("False", "1.0", "0")}
    recorder(fails=ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        done(tmp_path / "crash.csv")


def test_a_real_failure_becomes_a_row(tmp_path):
    small = {"method": "gespar", "gespar": {"grid": {"spacing_angstrom": 1.0, "shape": [1, 1, 2]}}}
    rows = done(tmp_path / "table.csv", methods={"GESPAR": small}, n_atoms=[4], examples=1)
    assert "Error: " in rows[0]["failure"]
    assert rows[0]["solved"] == "False"


def test_batches_join_to_the_whole_table(tmp_path, recorder):
    recorder()
    whole = done(tmp_path / "whole.csv")
    parts = [done(tmp_path / f"{number}.csv", batch=3, batch_number=number) for number in range(3)]
    assert [len(part) for part in parts] == [3, 3, 2]
    assert [row for part in parts for row in part] == whole
    inputs = tabulate_recoveries.Inputs(tuple(str(tmp_path / f"{number}.csv") for number in range(3)))
    outputs = tabulate_recoveries.Outputs(tmp_path / "table.csv", tmp_path / "cells.csv")
    tabulate_recoveries.run(inputs, outputs, TabulateRecoveriesConfig(), QUIET)
    assert len(read_table(outputs.table)) == 8
    cells = read_table(outputs.cells)
    assert [(row["method"], row["n_atoms"], row["n_runs"]) for row in cells] == [
        (method, size, "2") for method in ("again", "ours") for size in ("3", "4")
    ]
    assert 0 < float(cells[0]["success_rate_high"]) < 1


def test_tables_of_something_else_are_refused(tmp_path):
    write_table(tmp_path / "other.csv", [{"a": 1}])
    outputs = tabulate_recoveries.Outputs(tmp_path / "table.csv", tmp_path / "cells.csv")
    inputs = tabulate_recoveries.Inputs((str(tmp_path / "other.csv"),))
    with pytest.raises(DataError, match=r"other\.csv: the table has no column method"):
        tabulate_recoveries.run(inputs, outputs, TabulateRecoveriesConfig(), QUIET)


def test_a_molecule_that_was_not_fetched_is_named(tmp_path):
    file = {"structure_file": {"folder": "f", "name": "t.xyz"}}
    with pytest.raises(ConfigError, match=r"molecules\.t: the stage needs `structure`"):
        done(tmp_path / "table.csv", molecules={"t": file})


def test_progress_tells_each_recovery(tmp_path, recorder, capsys):
    recorder()
    done(tmp_path / "table.csv", Context(progress=True), n_atoms=[3], examples=1)
    told = capsys.readouterr().err
    assert "ours: random of 3 atoms, 0.7 Å, N = 0.0001, example 0: not solved" in told
    assert "2/2" in told


@pytest.mark.mpi
def test_ranks_share_a_batch_and_change_nothing(tmp_path):
    expected = done(tmp_path / "serial.csv")
    config = tmp_path / "study.json"
    config.write_text(json.dumps(STUDY))
    words = ["study-recoveries", "--table", str(tmp_path / "ranks.csv"), "--config", str(config), "--threads", "1"]
    command = [launcher(), "-n", "2", sys.executable, "-m", "fewphoton", *words, "--expect-ranks", "2", "--quiet"]
    subprocess.run(command, check=True, timeout=300)
    rows = read_table(tmp_path / "ranks.csv")
    assert [{name: value for name, value in row.items() if name not in TIMES} for row in rows] == expected
    assert not list(tmp_path.glob("*.partial.*"))
    numbers = [one.number for one in batch_recoveries(check_section(StudyRecoveriesConfig, STUDY, "test"))]
    assert len(rows) == len(numbers)
