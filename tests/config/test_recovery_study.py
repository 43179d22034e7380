"""Studies and single shots in a run: cells, batches, contradictions."""

from __future__ import annotations

import pytest
import yaml

from fewphoton.config import RunConfig, load_section
from fewphoton.config.load import check_section
from fewphoton.config.recovery_study import (
    RecoveryStudyConfig,
    StudyRecoveriesConfig,
    batch_recoveries,
    shared_values,
    study_cells,
    study_recoveries,
)
from fewphoton.errors import ConfigError

GRID = {"spacing_angstrom": 0.5, "shape": [5, 5, 5]}
STUDY = {
    "n_atoms": [4, 6],
    "molecules": {"threonine": {"structure": "t.xyz"}},
    "wavelengths_angstrom": [0.35, 0.7],
    "white_levels": [1e-3, 1e-4],
    "photons_per_shot": [1e5],
    "examples": 3,
    "methods": {
        "ours": {},
        "greedy": {
            "method": "gespar",
            "gespar": {"grid": GRID},
            "only": {"n_atoms": [4], "noise_level": [1e-3]},
            "examples": 2,
        },
    },
    "time_budget_s": 5,
    "batch": 7,
}
MOLECULE = {
    "simulate_shot": {"random": {"n_atoms": 4}, "white_level": 1e-3, "grid": GRID},
    "methods": {"ours": {}},
}
FILE = {"folder": "f", "name": "t.xyz"}


def study(**changes):
    return check_section(RecoveryStudyConfig, STUDY | changes, "test")


def run(**ankylography):
    return load_section(RunConfig, yaml.safe_dump({"run": "x", "ankylography": ankylography}), "test.yaml")


def test_cells_are_all_combinations():
    cells = study_cells(study())
    assert len(set(cells)) == len(cells) == 3 * 2 * 3
    assert {(cell.noise_level, cell.photons_per_shot) for cell in cells} == {(1e-3, None), (1e-4, None), (0.0, 1e5)}
    assert {(cell.molecule, cell.n_atoms) for cell in cells} == {("random", 4), ("random", 6), ("threonine", None)}


def test_methods_take_part_where_they_are_wanted():
    every = study_recoveries(study())
    assert [one.number for one in every] == list(range(len(every)))
    assert len([one for one in every if one.method == "ours"]) == 3 * 18
    greedy = [one for one in every if one.method == "greedy"]
    assert {(one.cell.n_atoms, one.cell.noise_level, one.example) for one in greedy} == {(4, 1e-3, 0), (4, 1e-3, 1)}
    assert len(greedy) == 2 * 2
    # The first examples of all cells come first.
    assert [one.example for one in every] == sorted(one.example for one in every)


def test_batches_share_the_recoveries_out():
    config = study()
    assert config.n_batches == 9
    batches = [
        batch_recoveries(check_section(StudyRecoveriesConfig, STUDY | {"batch_number": number}, "test"))
        for number in range(9)
    ]
    assert [one for batch in batches for one in batch] == study_recoveries(config)
    assert [len(batch) for batch in batches] == [7] * 8 + [2]
    assert batch_recoveries(check_section(StudyRecoveriesConfig, STUDY, "test")) == study_recoveries(config)


def test_methods_are_compared_over_cells_that_all_have():
    assert shared_values(study()) == {"n_atoms": (4,), "noise_level": (1e-3,), "example": (0, 1)}
    assert shared_values(study(), ["ours"]) == {}
    apart = {name: {"only": {"n_atoms": [size]}} for name, size in (("a", 4), ("b", 6))}
    assert shared_values(study(methods=apart)) == {"n_atoms": ()}


def test_a_recovery_has_the_studys_time_and_its_own_seed():
    config = study().methods["greedy"].recovery(5.0, 77)
    assert (config.method, config.time_budget_s, config.seed) == ("gespar", 5.0, 77)
    assert config.gespar.grid.shape == (5, 5, 5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_atoms": [], "molecules": {}}, "a study needs n_atoms or molecules"),
        ({"n_atoms": [1]}, "n_atoms"),
        ({"n_atoms": [4, 4]}, "n_atoms: expected different values"),
        ({"white_levels": [], "photons_per_shot": []}, "a shot needs noise"),
        ({"molecules": {"random": {"structure": "t.xyz"}}}, "choose another name"),
        ({"molecules": {"a": {}}}, "exactly one of structure and structure_file"),
        ({"molecules": {"a": {"structure": "t.xyz", "structure_file": FILE}}}, "exactly one of structure and"),
        ({"methods": {}}, "methods"),
        ({"methods": {"ours": {"time_budget_s": 3}}}, "time_budget_s belongs to the study"),
        ({"methods": {"ours": {"tasks": 2}}}, "tasks belong to the study"),
        ({"methods": {"ours": {"only": {"n_atoms": [5]}}}}, "methods.ours.only.n_atoms: expected some of 4, 6"),
        ({"methods": {"ours": {"only": {"atoms": [5]}}}}, "methods.ours.only"),
        ({"methods": {"ours": {"fewphotn": {}}}}, "did you mean 'fewphoton'?"),
        ({"tasks": 8}, "8 tasks cannot share a batch of 7 recoveries"),
        ({"wavelength_angstrom": [1]}, "did you mean 'wavelengths_angstrom'?"),
    ],
)
def test_contradictions_are_refused(changes, message):
    with pytest.raises(ConfigError) as error:
        study(**changes)
    assert message in str(error.value)


def test_a_batch_beyond_the_last_is_refused():
    with pytest.raises(ConfigError, match="batch_number must be below 9, found 9"):
        check_section(StudyRecoveriesConfig, STUDY | {"batch_number": 9}, "test")


def test_a_run_of_single_shots_needs_no_dataset():
    config = run(molecules={"a": MOLECULE}, studies={"b": STUDY})
    assert not config.datasets
    assert config.ankylography.molecules["a"].scores().grid_spacing_angstrom == 0.5
    own = MOLECULE | {"score": {"grid_spacing_angstrom": 0.25}}
    assert run(molecules={"a": own}).ankylography.molecules["a"].scores().grid_spacing_angstrom == 0.25


def test_a_fetched_structure_is_named_once():
    shot = {"white_level": 1e-3}
    fetched = {"structure_file": FILE, "simulate_shot": shot, "methods": {"ours": {}}}
    config = run(molecules={"a": fetched})
    assert config.ankylography.molecules["a"].simulate_shot.structure.name == "t.xyz"
    again = load_section(RunConfig, config.model_dump_json(), "test.yaml")
    assert again == config
    for double in ({"structure": "other.xyz"}, {"random": {"n_atoms": 3}}):
        with pytest.raises(ConfigError, match="give the molecule once"):
            run(molecules={"a": fetched | {"simulate_shot": shot | double}})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "a run needs at least one dataset, or ankylography, or single_particles"),
        ({"ankylography": {}}, "ankylography needs molecules or studies"),
        ({"ankylography": {"molecule": {"a": MOLECULE}}}, "did you mean 'molecules'?"),
        ({"ankylography": {"molecules": {"a": MOLECULE | {"methods": {}}}}}, "ankylography.molecules.a.methods"),
        ({"ankylography": {"molecules": {"a/b": MOLECULE}}}, "ankylography.molecules"),
        (
            {"ankylography": {"molecules": {"a": MOLECULE}}, "datasets": {"studies": {"simulate": {"structure": "s"}}}},
            "'studies' is a folder of ankylography",
        ),
    ],
)
def test_mistakes_in_a_run_are_named(content, message):
    with pytest.raises(ConfigError) as error:
        load_section(RunConfig, yaml.safe_dump({"run": "x"} | content), "test.yaml")
    assert message in str(error.value)
