"""A Slurm of virtual nodes on this machine, and what is done to it from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "local_slurm.sh"
NOT_INSTALLED = 77
CPUS, MEGABYTES = "8", "64000"


@dataclass(frozen=True)
class VirtualSlurm:
    """A running cluster: its folder, and the environment of whoever submits to it."""

    folder: Path
    environment: dict[str, str]

    @classmethod
    def started(cls, folder: Path, n_nodes: int) -> VirtualSlurm:
        """Start a cluster below a new folder, or skip the test where Slurm is not installed."""
        command = [SCRIPT, "start", folder, str(n_nodes), CPUS, MEGABYTES]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode == NOT_INSTALLED:
            pytest.skip(done.stderr.strip())
        assert done.returncode == 0, done.stderr
        path = [str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
        environment = {
            **os.environ,
            "PATH": os.pathsep.join(path),
            # Before the job's own setting: BLAS of both ranks shares the processors with all other jobs.
            "OPENBLAS_NUM_THREADS": "1",
        }
        return cls(folder, environment)

    def stop(self) -> None:
        subprocess.run([SCRIPT, "stop", self.folder], timeout=60, check=True)

    def stop_controller(self) -> None:
        subprocess.run([SCRIPT, "stop-controller", self.folder], timeout=90, check=True)

    def start_controller(self) -> None:
        subprocess.run([SCRIPT, "start-controller", self.folder], timeout=60, check=True)

    def ask(self, *command: str) -> str:
        """Return what one of Slurm's commands prints."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout
