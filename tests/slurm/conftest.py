"""A Slurm of two virtual nodes for the session, and clones of the project whose profile knows them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "local_slurm.sh"
NOT_INSTALLED = 77


@pytest.fixture(scope="session")
def cluster(tmp_path_factory) -> Iterator[dict[str, str]]:
    """Environment of whoever submits to the virtual nodes."""
    folder = tmp_path_factory.mktemp("slurm") / "cluster"
    size = ("2", "8", "64000")
    started = subprocess.run([SCRIPT, "start", folder, *size], capture_output=True, text=True, timeout=60, check=False)
    if started.returncode == NOT_INSTALLED:
        pytest.skip(started.stderr.strip())
    assert started.returncode == 0, started.stderr
    try:
        path = [str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
        yield {
            **os.environ,
            "PATH": os.pathsep.join(path),
            # Before the job's own setting: BLAS of both ranks shares the processors with all other jobs.
            "OPENBLAS_NUM_THREADS": "1",
        }
    finally:
        subprocess.run([SCRIPT, "stop", folder], timeout=60, check=True)
