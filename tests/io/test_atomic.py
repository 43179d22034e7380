import errno
import os
import platform
import re
import subprocess
import sys

import pytest

from fewphoton.errors import OutputFileError
from fewphoton.io.atomic import remove_leftovers, write_text, written_aside


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


def test_a_link_stays_and_the_file_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "far.txt").write_text("former")
    (tmp_path / "near.txt").symlink_to(tmp_path / "scratch" / "far.txt")
    (tmp_path / "new.txt").symlink_to(tmp_path / "scratch" / "none yet" / "new.txt")
    for name in ("near.txt", "new.txt"):
        write_text(tmp_path / name, "second")
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / name).read_text() == "second"
    assert [path.name for path in (tmp_path / "scratch").glob("*.txt")] == ["far.txt"]
    assert {path.name for path in tmp_path.iterdir()} == {"scratch", "near.txt", "new.txt"}
    (tmp_path / "loop.txt").symlink_to(tmp_path / "loop.txt")
    with pytest.raises(OutputFileError, match=r"loop\.txt: cannot be written"):
        write_text(tmp_path / "loop.txt", "x")


def test_writers_of_two_machines_do_not_share_a_temporary_name(tmp_path):
    with written_aside(tmp_path / "a.txt") as aside:
        assert aside.name == f".a.{os.getpid()}-{re.sub(r'[^a-zA-Z0-9_]', '_', platform.node())}.part.txt"
        aside.write_text("x")


def test_only_what_dead_writers_left_is_removed(tmp_path):
    """Another run in the same folder may be writing: what belongs to a living process of this machine stays."""
    host = re.sub(r"[^a-zA-Z0-9_]", "_", platform.node())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as living:
        for owner in (
            f"{living.pid}-{host}",
            f"{living.pid}-another_{host}",
            f"{2**22 + 9}-{host}",
            f"{os.getpid()}-{host}",
        ):
            (tmp_path / f".c.{owner}.part.h5").write_text("half")
        remove_leftovers(tmp_path / "c.h5")
        assert [path.name for path in tmp_path.iterdir()] == [f".c.{living.pid}-{host}.part.h5"]
        living.communicate(b"\n")
    remove_leftovers(tmp_path / "c.h5")
    assert list(tmp_path.iterdir()) == []
