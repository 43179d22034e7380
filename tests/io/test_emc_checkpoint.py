"""Checkpoints: whole, foreign, truncated, of other inputs."""

import h5py
import numpy as np
import pytest

from fewphoton.emc.iteration_record import IterationRecord
from fewphoton.emc.schedule import Step, StepRecord, step_record
from fewphoton.errors import InputFileError
from fewphoton.io.emc_checkpoint import CheckpointFile


@pytest.fixture
def records():
    plain = [IterationRecord(n, 0.1 / n, -1.0, 2.0, 3.0, 1.0, 0.1, 0.2, 0.3) for n in (1, 2)]
    return tuple(step_record(one, Step(n, 0, n, 1.0, 1.0, False), 10, 20, 1.5, 0.3) for n, one in enumerate(plain))


@pytest.fixture
def volume():
    return np.random.default_rng(0).random((30, 30, 30))


def test_what_is_written_comes_back(tmp_path, records, volume):
    file = CheckpointFile(tmp_path / "c.h5", {"a": 1})
    assert file.read() is None
    file.write(volume, records, {"fallback": volume + 1, "length": np.array([2.5])})
    back = file.read()
    assert back.volume.tobytes() == volume.tobytes()
    assert {name: values.tobytes() for name, values in back.memory.items()} == {
        "fallback": (volume + 1).tobytes(),
        "length": np.array([2.5]).tobytes(),
    }
    rows = [StepRecord(**row) for row in back.records]
    assert repr(rows) == repr(list(records))
    assert isinstance(rows[0].frames, int)
    file.write(volume, ())
    assert file.read().records == []
    file.remove()
    assert file.read() is None


def test_checkpoints_belong_to_their_inputs(tmp_path, records, volume):
    CheckpointFile(tmp_path / "c.h5", {"a": 1}).write(volume, records)
    assert CheckpointFile(tmp_path / "c.h5", {"a": 2}).read() is None


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.9])
def test_truncated_files_are_typed_errors(tmp_path, records, volume, kept):
    file = CheckpointFile(tmp_path / "c.h5", {"a": 1})
    file.write(volume, records)
    whole = file.path.read_bytes()
    file.path.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    with pytest.raises(InputFileError, match=r"c\.h5.*Remove the checkpoint"):
        file.read()


@pytest.mark.parametrize("part", ["volume", "memory", "records"])
def test_missing_parts_are_typed_errors(tmp_path, records, volume, part):
    file = CheckpointFile(tmp_path / "c.h5", {"a": 1})
    file.write(volume, records)
    with h5py.File(file.path, "r+") as handle:
        del handle[part]
    with pytest.raises(InputFileError, match=r"c\.h5"):
        file.read()


def test_columns_of_unequal_length_and_wrong_types_are_typed_errors(tmp_path, records, volume):
    file = CheckpointFile(tmp_path / "c.h5", {"a": 1})
    file.write(volume, records)
    with h5py.File(file.path, "r+") as handle:
        del handle["records/change"]
        handle["records/change"] = np.zeros(3)
    with pytest.raises(InputFileError, match="differ in length"):
        file.read()
    file.write(volume.astype(int), records)
    with pytest.raises(InputFileError, match="wrong type"):
        file.read()


@pytest.mark.parametrize("name", ["volume", "memory/photons"])
@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_values_that_are_not_finite_are_refused(tmp_path, records, volume, name, value):
    file = CheckpointFile(tmp_path / "c.h5", {"a": 1})
    file.write(volume, records, {"photons": volume + 1})
    with h5py.File(file.path, "r+") as content:
        content[name][2, 3, 4] = value
    with pytest.raises(InputFileError, match=rf"\[{name}\]: holds values that are not finite.*Remove the checkpoint"):
        file.read()


def test_what_killed_runs_left_while_they_saved_is_removed_and_nothing_else(tmp_path, records, volume):
    file = CheckpointFile(tmp_path / "c.h5", {"a": 1})
    file.write(volume, records)
    others = {".c.d.12-a.part.h5", ".d.12-a.part.h5", ".c.x-a.part.h5", "c.12-a.part.h5", "c.h5"}
    for name in {".c.12-a.part.h5", ".c.3456-node_7.part.h5", *others} - {"c.h5"}:
        (tmp_path / name).write_bytes(b"cut off")
    assert file.read() is not None
    assert {item.name for item in tmp_path.iterdir()} == others
    assert CheckpointFile(tmp_path / "nowhere" / "c.h5", {}).read() is None
