"""The sweep of config/silicon_sweep.yaml through a Slurm of virtual nodes, untouched and with snakemake killed twice.

Run ``python -m benchmarks.cluster.silicon_sweep`` in the project's root of a checkout without changes, where Slurm and
munge are installed (``scripts/install_test_programs.sh``); FEWPHOTON_DATA names the folder with the scan where there is
no network. The commit is cloned into two folders, and the line of docs/cluster.md is typed in each. In the second,
snakemake is killed (SIGKILL) at two random instants: the first time its jobs are cancelled, the second time they are
left until they end; then its lock is removed and the same line typed again. Both tables of metrics, in all columns that
tell no time, and all volumes and orientations have to be the same.

The stages are those of the ``fewphoton`` that is found on the PATH. What the runs share of the processors is counted in
wall seconds, so that times hold for this machine and its other work only.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fewphoton.config.sweep import JOIN
from fewphoton.io.metrics import read_table

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "local_slurm.sh"
LINE = ("snakemake", "--profile", "slurm", "--configfile", "config/silicon_sweep.yaml")
RESULTS = Path("results/silicon_sweep")
COMPARED = ("volume.h5", "orientations.h5")
TIMED = ("second", "slowest_to_mean_rank")
"""What names of columns hold that tell time, or ratios of times."""
MEGABYTES_OF_A_NODE = 32_000
HEADINGS = ("photons per frame", "seed", "frames within 1°, %", "R high-low", "with shuffled angles", "same bytes")


@dataclass
class Run:
    """A clone in which the sweep runs, and what happened there."""

    folder: Path
    environment: dict[str, str]
    seconds: float = 0.0
    events: list[str] = field(default_factory=list)

    @classmethod
    def cloned(cls, folder: Path, environment: dict[str, str]) -> Run:
        subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
        return cls(folder, environment)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        with (self.folder / "snakemake.log").open("ab") as log:
            return subprocess.Popen(
                [*LINE, *words],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def finish(self) -> None:
        """Type the line and wait for the end of the sweep."""
        began = time.monotonic()
        if code := self.start().wait():
            raise SystemExit(f"snakemake ended with status {code}; see {self.folder / 'snakemake.log'}")
        self.seconds += time.monotonic() - began

    def kill_after(self, seconds: float, cancel: bool) -> None:
        """Type the line, kill snakemake later, cancel its jobs or let them end, and remove its lock."""
        began = time.monotonic()
        process = self.start()
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            # With the short jobs that it runs itself.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        else:
            raise SystemExit(f"snakemake ended before it was to be killed after {seconds:.0f} s; see {self.folder}")
        states = self.open_jobs()
        running = sum(state == "RUNNING" for state in states.values())
        if cancel and states:
            # Some may have ended since they were listed, which scancel calls an error.
            subprocess.run(["scancel", *states], env=self.environment, check=False)
        while self.open_jobs():
            time.sleep(0.5)
        self.start("--unlock").wait()
        self.seconds += time.monotonic() - began
        done = len(list(self.folder.glob(f"{RESULTS}/*/reconstruct/*/volume.h5")))
        self.events.append(
            f"killed after {seconds:.0f} s with {running} running and {len(states) - running} waiting jobs, which "
            f"{'were cancelled' if cancel else 'went on to their ends'}; {done} volumes were there then"
        )

    def open_jobs(self) -> dict[str, str]:
        """States of the jobs that were submitted from here and have not ended, by number."""
        command = ["squeue", "--noheader", "--states=pending,running,completing", "--format=%i|%T|%Z"]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True)
        rows = [line.split("|") for line in done.stdout.splitlines()]
        return {number: state for number, state, folder in rows if Path(folder) == self.folder}

    def n_jobs(self) -> int:
        """Number of jobs that Slurm got from here."""
        return (self.folder / "snakemake.log").read_text().count("has been submitted with SLURM jobid")

    def table(self) -> list[dict[str, str]]:
        """The table of metrics without what tells time."""
        rows = read_table(self.folder / RESULTS / "metrics.csv")
        return [{name: value for name, value in row.items() if not any(word in name for word in TIMED)} for row in rows]

    def point_folder(self, row: dict[str, str]) -> Path:
        point = JOIN.join(f"{name}~{row[name]}" for name in ("thin.photons_per_frame", "thin.seed"))
        return self.folder / RESULTS / row["dataset"] / "reconstruct" / point


@contextmanager
def virtual_slurm(folder: Path, n_nodes: int, n_processors: int) -> Iterator[dict[str, str]]:
    """Start a Slurm below a folder, and give the environment of who submits to it."""
    subprocess.run([SCRIPT, "start", folder, str(n_nodes), str(n_processors), str(MEGABYTES_OF_A_NODE)], check=True)
    try:
        path = os.pathsep.join([str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
        yield {**os.environ, "PATH": path}
    finally:
        subprocess.run([SCRIPT, "stop", folder], check=True)


def compare(untouched: Run, killed: Run) -> tuple[list[tuple[str, ...]], list[str]]:
    """Return a row for each point, and what differs."""
    differences = []
    rows, others = untouched.table(), killed.table()
    if len(rows) != len(others) or list(rows[0]) != list(others[0]):
        differences.append("the tables have different rows or columns")
    lines = []
    for row, other in zip(rows, others, strict=False):
        found = [name for name, value in row.items() if other.get(name) != value]
        for name in COMPARED:
            files = (run.point_folder(row) / name for run in (untouched, killed))
            first, second = (file.read_bytes() for file in files)
            found += [name] if first != second else []
        if found:
            differences.append(f"{untouched.point_folder(row).name}: {', '.join(found)}")
        lines.append(
            (
                row["thin.photons_per_frame"],
                row["thin.seed"],
                f"{100 * float(row['frames_oriented_fraction']):.1f}",
                f"{float(row['r_high_low_low_q']):.3f}",
                f"{float(row['r_high_low_low_q_shuffled_orientations']):.3f}",
                "no" if found else "yes",
            )
        )
    return lines, differences


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--processors", type=int, default=2, help="of each virtual node")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32), help="of the instants")
    parser.add_argument("--folder", type=Path, help="new folder for everything; it is kept (default: a temporary one)")
    options = parser.parse_args()
    if subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, check=True).stdout:
        raise SystemExit("the checkout has changes that a clone would not have; commit them first")
    head = subprocess.run(["git", "describe", "--always"], cwd=ROOT, capture_output=True, text=True, check=True)
    folder = Path(tempfile.mkdtemp(prefix="silicon_sweep_")) if options.folder is None else options.folder.resolve()
    folder.mkdir(exist_ok=True)
    draw = random.Random(options.seed)
    with virtual_slurm(folder / "slurm", options.nodes, options.processors) as environment:
        untouched = Run.cloned(folder / "untouched", environment)
        untouched.finish()
        killed = Run.cloned(folder / "killed", environment)
        for cancel in (True, False):
            killed.kill_after(draw.uniform(0.05, 0.45) * untouched.seconds, cancel)
        killed.finish()
        jobs = untouched.n_jobs(), killed.n_jobs()
    lines, differences = compare(untouched, killed)
    print(f"commit {head.stdout.strip()}, seed of the instants {options.seed}, everything in {folder}\n")
    for cells in (HEADINGS, ["---"] * len(HEADINGS), *lines):
        print(f"| {' | '.join(cells)} |")
    print(
        f"\nuntouched: {jobs[0]} jobs, {untouched.seconds:.0f} s; killed twice: {jobs[1]} jobs, {killed.seconds:.0f} s"
    )
    print(*killed.events, sep="\n")
    print(*differences or ["nothing differs"], sep="\n")
    for name in ("metrics.csv", "figures/sweep.png"):
        shutil.copy(untouched.folder / RESULTS / name, folder)
    print(f"table and figure: {folder / 'metrics.csv'}, {folder / 'sweep.png'}")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
