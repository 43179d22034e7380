import h5py
import numpy as np
import pytest

from fewphoton.errors import InputFileError
from fewphoton.io.frame_labels import read_labels


def test_labels_of_every_kind_join(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["labels"] = np.array([1.0, 0.0, np.nan])
    np.save(tmp_path / "b.npy", np.array([1, -1], dtype=np.int64))
    (tmp_path / "c.txt").write_text("0\n1\n\n")
    names = [f"{tmp_path}/a.h5::/labels", f"{tmp_path}/b.npy", f"{tmp_path}/c.txt"]
    found = read_labels(names, 7)
    assert found.dtype == np.int8
    assert found.tolist() == [1, 0, -1, 1, -1, 0, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0\n1\n", "labels of other frames.*expected 3 labels; found 2"),
        ("0\n1\n2\n", r"label 2 is none.*found 2\.0"),
        ("0\nsingle\n1\n", "cannot be read as labels"),
        (None, "cannot be read as labels"),
    ],
)
def test_other_texts_are_typed_errors(content, message, tmp_path):
    path = tmp_path / "labels.txt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputFileError, match=message):
        read_labels([str(path)], 3)


def test_arrays_of_another_kind_are_typed_errors(tmp_path):
    np.save(tmp_path / "two.npy", np.zeros((3, 2)))
    np.save(tmp_path / "text.npy", np.array(["a", "b"]))
    with pytest.raises(InputFileError, match="holds no labels"):
        read_labels([str(tmp_path / "two.npy")], 3)
    with pytest.raises(InputFileError, match="cannot be read as labels"):
        read_labels([str(tmp_path / "text.npy")], 2)
