from dataclasses import fields, replace

import h5py
import numpy as np
import pytest

from fewphoton.errors import InputFileError
from fewphoton.io.evaluation_files import read_evaluation, write_evaluation
from tests.data.test_evaluation import small_evaluation


@pytest.fixture
def path(tmp_path, provenance):
    write_evaluation(tmp_path / "evaluation.h5", small_evaluation(), provenance)
    return tmp_path / "evaluation.h5"


@pytest.mark.parametrize("with_reference", [True, False])
def test_round_trip(tmp_path, provenance, with_reference):
    written = small_evaluation()
    if with_reference:
        written = replace(written, reference_patterson=written.patterson + 1)
    write_evaluation(tmp_path / "e.h5", written, provenance)
    found = read_evaluation(tmp_path / "e.h5")
    assert (found.reference_patterson is not None) == with_reference
    for column in fields(found):
        expected = getattr(written, column.name)
        if expected is not None:
            np.testing.assert_array_equal(getattr(found, column.name), expected, err_msg=column.name)


def test_same_input_gives_same_bytes(path, tmp_path, provenance):
    write_evaluation(tmp_path / "again.h5", small_evaluation(), provenance)
    assert (tmp_path / "again.h5").read_bytes() == path.read_bytes()


def test_damage_is_named(path):
    with h5py.File(path, "a") as file:
        del file["sigma"]
        file["sigma"] = np.zeros(9)
    with pytest.raises(InputFileError, match="sigma"):
        read_evaluation(path)
    with h5py.File(path, "a") as file:
        del file["sigma"]
    with pytest.raises(InputFileError, match="sigma"):
        read_evaluation(path)


def test_foreign_and_truncated_files_are_refused(path, tmp_path):
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(InputFileError, match="another program"):
        read_evaluation(tmp_path / "foreign.h5")
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(InputFileError, match=r"evaluation\.h5"):
        read_evaluation(path)
