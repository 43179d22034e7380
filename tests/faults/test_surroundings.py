"""Stages where folders have odd names, clocks are wrong, nothing can be written, and two do the same at once."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fewphoton.cli import main
from tests.faults.chain import CHAIN, Command

ODD_NAME = "Kristall läuft 結晶 #1 100% 'x'"
PAST, FUTURE = 0, 4_000_000_000
BY_STAGE = {command.stage: command for command in CHAIN}
EVERY_STAGE = pytest.mark.parametrize("command", CHAIN, ids=lambda command: command.stage)

# Writes of more than some hundred bytes fail from then on, as on a full disk.
FULL_DISK = """
import json, resource, sys
from fewphoton.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))
for words in json.loads(sys.argv[1]):
    print(main(words), flush=True)
"""


@pytest.fixture
def source(undisturbed) -> Path:
    return undisturbed[0]


def given(command: Command, source: Path, folder: Path) -> None:
    """Link the inputs of a command into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in command.inputs.values():
        (folder / name).symlink_to(source / name)


@EVERY_STAGE
def test_names_links_and_clocks_make_no_difference(source, tmp_path, command: Command):
    """Inputs are links to files of another time, in a folder that is a link, and two outputs are links elsewhere."""
    far = tmp_path / ODD_NAME / "far"
    given(command, source, far)
    folder = tmp_path / f"{ODD_NAME} link"
    folder.symlink_to(far)
    for number, name in enumerate(command.inputs.values()):
        os.utime(source / name, (FUTURE, FUTURE) if number % 2 else (PAST, PAST))
    elsewhere = tmp_path / "scratch"
    elsewhere.mkdir()
    for number, name in enumerate(list(command.outputs.values())[:2]):
        (folder / name).symlink_to(elsewhere / name)
        if number:
            (elsewhere / name).write_text("of a former run")
    assert main(command.words(folder)[3:]) == 0
    assert command.written(folder) == command.written(source)
    assert {path.name for path in elsewhere.iterdir()} == set(list(command.outputs.values())[:2])
    assert not list(far.rglob("*.part*"))


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder in which nothing can be written, by root neither."""
    folder.mkdir()
    if os.geteuid() == 0:
        mounting = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)]
        done = subprocess.run(mounting, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"root writes into any folder, and here may not mount one: {done.stderr}")
    else:
        folder.chmod(0o555)
    try:
        yield
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", str(folder)], check=True)
        else:
            folder.chmod(0o755)


@pytest.mark.parametrize("stage", ["collapse", "reconstruct"])
def test_a_read_only_folder_is_a_typed_error(source, tmp_path, capsys, stage):
    command = BY_STAGE[stage]
    given(command, source, tmp_path)
    words = command.words(tmp_path)[3:]
    for flag, name in command.outputs.items():
        words[words.index(f"--{flag}") + 1] = str(tmp_path / "fixed" / "deep" / name)
    with read_only(tmp_path / "fixed"):
        assert main(words) == 1
    told = capsys.readouterr().err
    assert f"OutputFileError: {tmp_path / 'fixed'}" in told
    assert "Check free space and permissions" in told


def test_a_full_disk_is_a_typed_error_of_every_stage_and_leaves_the_former(source, tmp_path):
    lines = []
    for command in CHAIN:
        folder = tmp_path / command.stage
        given(command, source, folder)
        for name in command.outputs.values():
            (folder / name).write_text("former")
        lines.append(command.words(folder)[3:])
    words = [sys.executable, "-c", FULL_DISK, json.dumps(lines)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.split() == ["1"] * len(CHAIN), done.stderr
    assert done.stderr.count("OutputFileError") == len(CHAIN)
    assert "Traceback" not in done.stderr
    for command in CHAIN:
        folder = tmp_path / command.stage
        kept = {name for name in command.outputs.values() if (folder / name).read_text(errors="replace") == "former"}
        small = {name for name in command.outputs.values() if (source / name).stat().st_size < 300}
        assert kept | small == set(command.outputs.values())
        assert {path.name for path in folder.iterdir()} == {*command.inputs.values(), *command.outputs.values()}


@pytest.mark.parametrize("stage", ["collapse", "reconstruct"])
def test_two_that_write_the_same_files_at_once_leave_them_whole(source, tmp_path, stage):
    command = BY_STAGE[stage]
    given(command, source, tmp_path)
    words = command.words(tmp_path)
    both = [subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert command.written(tmp_path) == command.written(source)
    allowed = {*command.inputs.values(), *command.outputs.values(), command.checkpoint}
    assert {path.name for path in tmp_path.iterdir()} <= allowed
