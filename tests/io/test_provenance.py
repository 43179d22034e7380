"""The commit in the records is the last one that changed the package."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import fewphoton
from fewphoton.io.provenance import source_commit


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@b.example")
    done = subprocess.run(["git", "-C", str(folder), *who, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "clone" / "src" / "fewphoton"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    monkeypatch.setattr(fewphoton, "__file__", str(folder / "__init__.py"))
    return folder


def test_commits_of_other_files_make_no_other_program(package):
    clone = package.parents[1]
    git(clone, "init", "--quiet")
    git(clone, "add", "src")
    git(clone, "commit", "--quiet", "--message", "package")
    first = git(clone, "rev-parse", "HEAD")
    (clone / "mine.yaml").write_text("run: mine")
    git(clone, "add", "mine.yaml")
    git(clone, "commit", "--quiet", "--message", "configuration")
    assert git(clone, "rev-parse", "HEAD") != first
    assert source_commit.__wrapped__() == first
    (package / "__init__.py").write_text("version = 2")
    git(clone, "commit", "--quiet", "--all", "--message", "package again")
    assert source_commit.__wrapped__() == git(clone, "rev-parse", "HEAD") != first


def test_an_installed_copy_has_no_commit(package):
    assert source_commit.__wrapped__() == "unknown"
    git(package.parents[1], "init", "--quiet")
    assert source_commit.__wrapped__() == "unknown"
