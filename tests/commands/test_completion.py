"""Shell completion: the shells themselves complete commands, options and files."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path

import pytest

from fewphoton.cli import main


@pytest.fixture(scope="module")
def scripts(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("completion")
    found = {}
    for shell in ("bash", "zsh"):
        found[shell] = folder / f"fewphoton.{shell}"
        with found[shell].open("w") as handle, contextlib.redirect_stdout(handle):
            assert main(["completion", shell]) == 0
    return found


def completed_by_bash(script: Path, *words: str, folder: Path) -> list[str]:
    function = script.read_text().rsplit("-F ", 1)[1].split()[0]
    text = (
        f"source {script}; COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; {function}; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", text], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_bash_completes_commands_options_and_files(scripts, tmp_path):
    (tmp_path / "frames.h5").touch()
    bash = scripts["bash"]
    assert completed_by_bash(bash, "fewphoton", "doc", folder=tmp_path) == ["doctor"]
    assert set(completed_by_bash(bash, "fewphoton", "rec", folder=tmp_path)) == {"reconstruct", "recover-molecule"}
    assert "--checkpoint" in completed_by_bash(bash, "fewphoton", "reconstruct", "--ch", folder=tmp_path)
    assert "frames.h5" in completed_by_bash(bash, "fewphoton", "collapse", "--frames", "fr", folder=tmp_path)
    assert completed_by_bash(bash, "fewphoton", "completion", "z", folder=tmp_path) == ["zsh"]


def test_zsh_takes_the_script(scripts, tmp_path):
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    shutil.copy(scripts["zsh"], tmp_path / "_fewphoton")
    text = f"fpath=({tmp_path} $fpath); autoload -Uz compinit; compinit -u -D; print -r -- $_comps[fewphoton]"
    done = subprocess.run(["zsh", "-f", "-c", text], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "_fewphoton"
    assert "--checkpoint" in scripts["zsh"].read_text()
