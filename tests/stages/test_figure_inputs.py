from dataclasses import dataclass
from pathlib import Path

import pytest

from fewphoton.errors import ConfigError, DataError
from fewphoton.stages.figure_inputs import errors_name_files, file_labels, given_paths, labelled_files, needed


@dataclass(frozen=True)
class Inputs:
    frames: Path | None = None
    still_truth: Path | None = None
    shells: tuple[str, ...] = ()


def test_one_path_several_and_none():
    assert given_paths(None) == ()
    assert given_paths(Path("a.h5")) == (Path("a.h5"),)
    assert given_paths(("a.csv", "b.csv")) == ("a.csv", "b.csv")


def test_what_a_figure_needs_is_named_as_on_the_command_line():
    assert needed(Inputs(shells=("a.csv",)), "shells", "veto") == ("a.csv",)
    for name, flag in (("still_truth", "--still-truth"), ("shells", "--shells")):
        with pytest.raises(ConfigError, match=f"figure 'veto' needs {flag}"):
            needed(Inputs(), name, "veto")


@pytest.mark.parametrize(
    ("inputs", "named"),
    [(Inputs(Path("a.h5"), shells=("b.csv", "c.csv")), "a.h5, b.csv, c.csv"), (Inputs(), "no file")],
)
def test_errors_name_the_figure_and_its_files(inputs, named):
    with (
        pytest.raises(DataError, match=f"^figure 'veto' from {named}: there is no frame$"),
        errors_name_files(inputs, "veto"),
    ):
        raise DataError("there is no frame")


def test_labels_are_names_of_files_or_of_folders():
    distinct, alike = ["run/a.csv", "run/b.csv"], ["one/a.csv", "two/a.csv"]
    assert file_labels(distinct, ()) == ("a", "b")
    assert file_labels(alike, ()) == file_labels(alike, (), folders=True) == ("one", "two")
    assert file_labels(distinct, (), folders=True) == ("run", "run")
    assert file_labels(alike, ("x", "y")) == ("x", "y")
    with pytest.raises(ConfigError, match="one for each of the 2 input files, found 1"):
        file_labels(alike, ("x",))


def test_files_have_distinct_labels():
    paths = ["one/a.csv", "two/a.csv"]
    assert labelled_files(paths, ()) == {"one": Path("one/a.csv"), "two": Path("two/a.csv")}
    with pytest.raises(ConfigError, match="distinct names of the files, found x, x"):
        labelled_files(paths, ("x", "x"))
