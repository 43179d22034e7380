"""A clone of the project in which snakemake --profile slurm is typed, and what Slurm and the processes tell of it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import yaml

from tests.slurm.virtual import ROOT, VirtualSlurm
from tests.workflow.test_workflow import small_run

RECONSTRUCTED = Path("results/small/tiles/reconstruct/collapse.n_frames~2+reconstruct.seed~0")
PATIENCE_SECONDS = 600


def configuration() -> dict:
    """The small run at one point, named by two parameters, with many more iterations than it needs and checkpoints."""
    content = small_run()
    content["sweep"] = {"collapse.n_frames": [2], "reconstruct.seed": [0]}
    content["stages"]["reconstruct"] |= {"max_iterations": 120, "tolerance": 0, "checkpoint_every": 5}
    return content


@dataclass(frozen=True)
class SlurmJob:
    """One line of squeue."""

    number: int
    state: str
    memory: str
    nodes: tuple[str, ...]
    rule: str


class Clone:
    """A working folder with all that a fresh clone has, and a profile edited as a site would."""

    def __init__(self, folder: Path, cluster: VirtualSlurm) -> None:
        self.folder, self.cluster = folder, cluster
        self._started: list[subprocess.Popen[str]] = []

    @classmethod
    def fresh(cls, folder: Path, cluster: VirtualSlurm) -> Clone:
        folder.mkdir()
        for name in ("Snakefile", "workflow", "profiles", "slurm", "envs"):
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
        (folder / "small.yaml").write_text(yaml.safe_dump(configuration()))
        clone = cls(folder, cluster)
        clone.edit_profile(
            reconstruct={"nodes": 2},
            groups={
                "simulate_rotation": "frames",
                "count_photons_of_a_part": "frames",
                "join_photons": "frames",
                "collapse": "frames",
                "simulate_reference": "reference",
                "assemble": "reference",
                "assemble_shuffled": "shuffled",
                "evaluate_shuffled": "shuffled",
            },
        )
        return clone

    def before_reconstruction(self, folder: Path, cluster: VirtualSlurm) -> Clone:
        """Return a copy for a cluster, in which the reconstruction and what follows it have yet to be done."""
        shutil.copytree(self.folder, folder)
        shutil.rmtree(folder / RECONSTRUCTED)
        return Clone(folder, cluster)

    def edit_profile(self, reconstruct: dict[str, Any], groups: dict[str, str] | None = None) -> None:
        """Set resources of reconstruct and groups of short jobs, and look after jobs more often."""
        path = self.folder / "slurm" / "config.yaml"
        profile = yaml.safe_load(path.read_text())
        profile["slurm-init-seconds-before-status-checks"] = 8
        profile.setdefault("set-resources", {}).setdefault("reconstruct", {}).update(reconstruct)
        profile.setdefault("groups", {}).update(groups or {})
        path.write_text(yaml.safe_dump(profile))

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = ["snakemake", *words, "--profile", "slurm", "--configfile", "small.yaml"]
        with (self.folder / "snakemake.log").open("a") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.cluster.environment, stdout=log, stderr=log, text=True
            )
        self._started.append(process)
        return process

    def end(self) -> None:
        """Leave no snakemake behind when a test has failed."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.wait()

    def start_reconstruction(self, *words: str) -> subprocess.Popen[str]:
        return self.start(str(RECONSTRUCTED / "volume.h5"), *words)

    def said(self) -> str:
        """All that snakemake and the stages wrote, for messages of failed tests."""
        logs = [self.folder / "snakemake.log", *sorted(self.folder.glob("results/**/*.log"))]
        logs += sorted(self.folder.glob(".snakemake/slurm_logs/**/*.log"))
        return "\n".join(f"{log}:\n{log.read_text()[-4000:]}" for log in logs)

    def finish(self, process: subprocess.Popen[str]) -> None:
        """Wait for a snakemake that has to succeed."""
        try:
            code = process.wait(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(self.said()) from None
        assert code == 0, self.said()

    def jobs(self) -> list[SlurmJob]:
        """The jobs that were submitted from here, oldest first, ended ones included."""
        told = self.cluster.ask("squeue", "--noheader", "--states=all", "--format=%i|%T|%m|%N|%k|%Z")
        rows = [line.split("|") for line in told.splitlines()]
        found = [
            SlurmJob(
                int(number),
                state,
                memory,
                tuple(self.cluster.ask("scontrol", "show", "hostnames", nodes).split()),
                rule.removeprefix("rule_").partition("_wildcards_")[0],
            )
            for number, state, memory, nodes, rule, folder in rows
            if Path(folder) == self.folder
        ]
        return sorted(found, key=lambda job: job.number)

    def running_job(self) -> SlurmJob:
        (job,) = (job for job in self.jobs() if job.state == "RUNNING")
        return job

    def cancel_jobs(self) -> None:
        self.cluster.ask("scancel", *(str(job.number) for job in self.jobs()))

    def reach_time_limit(self) -> None:
        """Let the time of the running job be over now; Slurm ends it when it next looks at time limits."""
        self.cluster.ask("scontrol", "update", f"JobId={self.running_job().number}", "EndTime=now")

    def set_node_down(self) -> None:
        """Set down a node of the running job other than that of its batch script, which has to be ended as well."""
        node = self.running_job().nodes[-1]
        self.cluster.ask("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")

    def ranks(self) -> list[int]:
        """Process numbers of the reconstruction's ranks."""
        return [process for process in _processes_in(self.folder) if _is_rank(process)]

    def asks_slurm(self) -> bool:
        """Whether snakemake waits for an answer of Slurm just now."""
        return any(_program(process) in ("scontrol", "squeue") for process in _processes_in(self.folder))

    def hold_ranks(self) -> list[float]:
        """Wait for a checkpoint, stop the ranks, and return the seconds of the iterations that the checkpoint has.

        Stopped ranks cannot finish, however fast the machine, before the test has done to their job what it wants.
        """
        checkpoint = self.folder / RECONSTRUCTED / "checkpoint.h5"
        self.wait_until(checkpoint.exists)
        ranks = self.ranks()
        for rank in ranks:
            os.kill(rank, signal.SIGSTOP)
        assert len(ranks) == 2, self.said()
        with h5py.File(checkpoint) as file:
            return list(file["records/seconds_total"][:])

    def release_ranks(self) -> None:
        for rank in self.ranks():
            os.kill(rank, signal.SIGCONT)

    def wait_until(self, happened: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not happened():
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.1)


def _processes_in(folder: Path) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").resolve(strict=True) == folder:
                found.append(int(entry.name))
        except OSError:  # it has ended, or belongs to somebody else
            continue
    return found


def _words(process: int) -> list[str]:
    try:
        return Path(f"/proc/{process}/cmdline").read_text().split("\0")
    except OSError:
        return []


def _program(process: int) -> str:
    return Path(next(iter(_words(process)), "")).name


def _is_rank(process: int) -> bool:
    return [Path(word).name for word in _words(process)[1:3]] == ["fewphoton", "reconstruct"]
