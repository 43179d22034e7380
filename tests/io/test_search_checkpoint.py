"""Checkpoints of searches: whole, foreign, truncated, of other searches."""

import json

import h5py
import numpy as np
import pytest

from fewphoton.errors import InputFileError
from fewphoton.io.search_checkpoint import SearchCheckpointFile


def parts(n_solutions=2, n_mended=3):
    rng = np.random.default_rng(0)
    return {
        "sweep": 150,
        "found_at": 100,
        "random": json.dumps(np.random.default_rng(3).bit_generator.state),
        "position": rng.random((4, 5, 3)),
        "kind": rng.integers(0, 3, (4, 5)),
        "cost": rng.random(4),
        "exchanges": np.array([1, 20, 7]),
        "solution_position": rng.random((n_solutions, 5, 3)),
        "solution_kind": rng.integers(0, 3, (n_solutions, 5)),
        "solution_occupancy": rng.random((n_solutions, 5)),
        "mended_position": rng.random((n_mended, 5, 3)),
        "mended_kind": rng.integers(0, 3, (n_mended, 5)),
    }


@pytest.fixture
def file(tmp_path):
    file = SearchCheckpointFile(tmp_path / "c.h5", {"config": {"seed": 1}, "rank": 0}, 4, 5)
    file.write(parts())
    return file


@pytest.mark.parametrize("n_mended", [0, 3])
def test_what_is_written_comes_back(tmp_path, n_mended):
    file = SearchCheckpointFile(tmp_path / "c.h5", {"b": 2, "a": 1}, 4, 5)
    assert file.read() is None
    written = parts(n_mended=n_mended)
    file.write(written)
    back = SearchCheckpointFile(tmp_path / "c.h5", {"a": 1, "b": 2}, 4, 5).read()
    assert set(back) == set(written)
    for name, values in written.items():
        np.testing.assert_array_equal(back[name], values, err_msg=name)
        assert np.asarray(back[name]).dtype == np.asarray(values).dtype
    file.write(written | {"sweep": 200})
    assert file.read()["sweep"] == 200
    file.remove()
    file.remove()
    assert file.read() is None
    assert not list(tmp_path.iterdir())


def test_checkpoints_of_other_searches_are_left_alone(file):
    before = file.path.read_bytes()
    assert SearchCheckpointFile(file.path, {"config": {"seed": 2}, "rank": 0}, 4, 5).read() is None
    assert file.path.read_bytes() == before


def test_leftovers_of_killed_writers_are_removed(file):
    leftover = file.path.with_name(".c.123-node_7.part.h5")
    leftover.write_bytes(b"half")
    assert file.read()["sweep"] == 150
    assert not leftover.exists()


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.95])
def test_truncated_files_are_typed_errors(file, kept):
    whole = file.path.read_bytes()
    file.path.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    with pytest.raises(InputFileError, match=r"c\.h5.*is no usable checkpoint.*Remove it"):
        file.read()


def test_foreign_files_are_typed_errors(file):
    with h5py.File(file.path, "r+") as handle:
        handle.attrs["fewphoton_kind"] = "volume"
    with pytest.raises(InputFileError, match=r"c\.h5.*is no usable checkpoint"):
        file.read()
    file.path.write_text("not HDF5")
    with pytest.raises(InputFileError, match=r"c\.h5.*is no usable checkpoint"):
        file.read()


@pytest.mark.parametrize("name", sorted(set(parts()) - {"sweep", "found_at", "random"}))
def test_missing_and_misshapen_parts_are_typed_errors(file, name):
    with h5py.File(file.path, "r+") as handle:
        del handle[name]
    with pytest.raises(InputFileError, match=rf"\[{name}\].*missing"):
        file.read()
    with h5py.File(file.path, "r+") as handle:
        handle[name] = np.zeros((2, 2, 2, 2), parts()[name].dtype)
    with pytest.raises(InputFileError, match=rf"\[{name}\].*wrong shape"):
        file.read()


@pytest.mark.parametrize("name", sorted(set(parts()) - {"sweep", "found_at", "random"}))
def test_parts_of_another_size_are_typed_errors(file, name):
    """One atom, replica, solution or mended molecule less in one part than in the others."""
    shape = parts()[name].shape
    for axis in range(len(shape)):
        file.write(parts() | {name: np.delete(parts()[name], 0, axis)})
        if shape[axis] in (2, 3) and axis == 0 and name in ("solution_position", "mended_position"):
            name_of_error = name.replace("position", "kind")
        else:
            name_of_error = name
        with pytest.raises(InputFileError, match=rf"\[{name_of_error}\].*wrong shape.*Remove it"):
            file.read()


@pytest.mark.parametrize(("n_replicas", "n_atoms"), [(3, 5), (4, 6)])
def test_checkpoints_of_another_size_of_search_are_typed_errors(file, n_replicas, n_atoms):
    same = SearchCheckpointFile(file.path, {"config": {"seed": 1}, "rank": 0}, n_replicas, n_atoms)
    with pytest.raises(InputFileError, match=r"\[position\].*wrong shape.*Remove it"):
        same.read()


@pytest.mark.parametrize("name", ["sweep", "found_at", "random", "identity"])
def test_missing_attributes_are_typed_errors(file, name):
    with h5py.File(file.path, "r+") as handle:
        del handle.attrs[name]
    with pytest.raises(InputFileError, match=rf"{name}.*Remove it"):
        file.read()


@pytest.mark.parametrize("name", ["position", "cost", "solution_position", "solution_occupancy", "mended_position"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_typed_errors(file, name, value):
    with h5py.File(file.path, "r+") as handle:
        handle[name][(0,) * handle[name].ndim] = value
    with pytest.raises(InputFileError, match=rf"c\.h5 \[{name}\]: holds values that are not finite.*Remove it"):
        file.read()


def test_floats_in_place_of_integers_are_typed_errors(file):
    file.write(parts() | {"kind": parts()["kind"] + 0.5})
    with pytest.raises(InputFileError, match=r"\[kind\].*wrong type"):
        file.read()
