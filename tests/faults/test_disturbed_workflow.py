"""The workflow where two run in one folder, where snakemake is killed, and where clocks are wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.workflow.test_workflow import environment, run, snakemake, snapshots_run

pytestmark = pytest.mark.workflow
FUTURE = 4_000_000_000
COMPARED = ("simulate/frames.h5", "reconstruct/base/volume.h5", "reconstruct/base/orientations.h5")


def written(folder: Path) -> dict[str, bytes]:
    return {name: (folder / "results/turned/particle" / name).read_bytes() for name in COMPARED}


@pytest.fixture(scope="module")
def from_the_future(tmp_path_factory) -> tuple[Path, Path]:
    """A run that nothing disturbs, and its configuration; its input was written by a machine whose clock is ahead."""
    folder = tmp_path_factory.mktemp("untouched")
    config = snapshots_run(folder)
    os.utime(folder / "data/molecules/made_up.pdb", (FUTURE, FUTURE))
    snakemake(folder, config)
    return folder, config


@contextmanager
def begun(folder: Path, config: Path) -> Iterator[None]:
    """A snakemake that has made its first file, and goes on."""
    command = ["snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder, "--configfile", config]
    process = subprocess.Popen(
        [Path(sys.executable).parent / command[0], *command[1:], "--cores", "1"],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        first = folder / "results/turned/particle" / COMPARED[0]
        end = time.monotonic() + 120
        while not first.exists():
            assert process.poll() is None, "snakemake ended before its first file"
            assert time.monotonic() < end
            time.sleep(0.05)
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_second_run_stops_at_the_lock_and_a_killed_one_is_unlocked(from_the_future, tmp_path):
    config = snapshots_run(tmp_path)
    with begun(tmp_path, config):
        second = snakemake(tmp_path, config, check=False)
        assert second.returncode != 0
        assert "cannot be locked" in second.stderr
    assert snakemake(tmp_path, config, check=False).returncode != 0
    state = run("fewphoton", "status", "results/turned", folder=tmp_path, check=False)
    assert "snakemake --unlock" in state.stdout
    snakemake(tmp_path, config, "--unlock")
    snakemake(tmp_path, config)
    assert written(tmp_path) == written(from_the_future[0])


def test_a_small_input_from_the_future_is_not_taken_again(from_the_future):
    assert "Nothing to be done" in snakemake(*from_the_future, "--dry-run").stdout
