import errno

import pytest

from fewphoton.errors import OutputFileError
from fewphoton.io.atomic import write_text, written_aside


def test_a_file_appears_whole(tmp_path):
    write_text(tmp_path / "new" / "a.txt", "first")
    write_text(tmp_path / "new" / "a.txt", "second")
    assert (tmp_path / "new" / "a.txt").read_text() == "second"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.txt"]


def test_an_error_keeps_the_former_file_and_leaves_nothing(tmp_path):
    write_text(tmp_path / "a.txt", "former")
    with pytest.raises(KeyError), written_aside(tmp_path / "a.txt") as aside:  # noqa: PT012
        aside.write_text("half")
        raise KeyError
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "former"


def test_a_full_disk_is_a_typed_error(tmp_path):
    with pytest.raises(OutputFileError, match=r"a\.txt: cannot be written.*free space"):  # noqa: SIM117, PT012
        with written_aside(tmp_path / "a.txt") as aside:
            aside.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_typed_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputFileError, match="cannot be written"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_nothing_written_is_an_error(tmp_path):
    with pytest.raises(OutputFileError, match="nothing was written"), written_aside(tmp_path / "a.txt"):
        pass
