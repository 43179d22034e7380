"""Separation and peak finding beside the field's programs: one run, one table.

Run ``python -m benchmarks.separation`` in the project's root; ``--peers FOLDER`` names where the peers are installed
(how: ``peers.py``). Every program runs in a process of its own with its number of threads set, pinned to one core or
two. The programs take turns: in each round every step handles all frames once, in an order that moves on from round to
round, so that other work on the machine disturbs all of them alike. For each frame the shortest and the median time
over the rounds is taken, and the table gives their means over the frames. Ratios compare the shortest times: the
processor's on one core, which other work on that core does not stretch, and the wall clock's on two.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.separation.frames import DATA_SETS, ROOT, DataSet
from benchmarks.separation.peers import PEERS, AbsentError, Peer, Step

FLOOR, OURS = "floor", "ours"
REFERENCE = ("pyFAI Cython sigma_clip, poisson", 1)
HEADINGS = (
    "data set",
    "step",
    "cores",
    "ms/frame, min",
    "ms/frame, median",
    "CPU ms, min",
    "times as fast as pyFAI Cython poisson, 1 core",
    "times the floor",
    "found per frame",
    "frames × rounds",
)


def _floor_steps(data: DataSet) -> list[Step]:
    from benchmarks.separation.bandwidth import floor  # reads its number of threads when Numba is imported

    return floor(data)


def _our_steps(data: DataSet) -> list[Step]:
    from benchmarks.separation.ours import steps

    return steps(data.frames, data.detector, data.beam)


SOURCES = (Peer(FLOOR, _floor_steps, (1, 2)), Peer(OURS, _our_steps, (1, 2)), *PEERS)


def serve(folder: Path, source: Peer) -> None:
    """Measure one source's steps on request: a line ``[step, number of frames]`` in, a line of times out."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what the libraries print must not get between the replies
    data = DataSet.load(folder)

    def timed(run: Callable[[int], int], number: int) -> tuple[float, float, int]:
        wall, cpu = time.perf_counter(), time.process_time()
        found = run(number)
        return time.perf_counter() - wall, time.process_time() - cpu, found

    ready: list[Step] = []
    first: list[float] = []
    absent: list[tuple[str, str]] = []
    try:
        for label, run in source.steps(data):
            try:
                run(0)  # compiles and allocates
                seconds = timed(run, 0)[0]
            except Exception as error:  # one step that fails must not hide the others
                absent.append((label, f"{type(error).__name__}: {error}"))
            else:
                ready.append((label, run))
                first.append(seconds)
    except AbsentError as error:
        absent.append((source.name, str(error)))
    replies.write(json.dumps({"labels": [label for label, _ in ready], "first": first, "absent": absent}) + "\n")
    for request in sys.stdin:
        step, n_frames = json.loads(request)
        replies.write(json.dumps([timed(ready[step][1], number) for number in range(n_frames)]) + "\n")


class Worker:
    """A process that serves one source's steps on some cores."""

    def __init__(self, folder: Path, source: Peer, cores: list[int], log: Path) -> None:
        self.source = source.name
        self.name = f"{source.name} on {len(cores)} core(s)"
        self.cores = cores
        self._log = log
        threads = str(len(cores))
        variables = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "POCL_MAX_PTHREAD_COUNT", "OPENBLAS_NUM_THREADS")
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.separation", "--serve", str(folder), source.name],
                cwd=ROOT,
                env=os.environ | dict.fromkeys(variables, threads),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                preexec_fn=lambda: os.sched_setaffinity(0, cores),
            )

    def reply(self) -> Any:
        """Return the next answer; `AbsentError` if the process is gone."""
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            said = [line for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
            raise AbsentError(f"process ended with status {self._process.wait()}: {said[-1] if said else 'no message'}")
        return json.loads(line)

    def measure(self, step: int, n_frames: int) -> list[tuple[float, float, int]]:
        """Return wall seconds, CPU seconds and things found for the first frames."""
        if self._process.stdin is None:
            raise AbsentError("process takes no requests")
        try:
            self._process.stdin.write(json.dumps([step, n_frames]) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the reply tells why it ended
        return [tuple(times) for times in self.reply()]

    def stop(self) -> None:
        """End the process."""
        if self._process.stdin:
            self._process.stdin.close()
        if self._process.stdout:
            self._process.stdout.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@dataclass
class Measured:
    """One line of the table: a step on some cores, with `rounds[r][f]` = (wall s, CPU s, found)."""

    data_set: str
    label: str
    worker: Worker
    step: int
    n_frames: int
    rounds: list[list[tuple[float, float, int]]] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, int]:
        return self.label, len(self.worker.cores)

    def milliseconds(self, clock: int, summary: Callable[[list[float]], float]) -> float:
        """Mean over the frames of a summary over the rounds; clock 0 is the wall's, 1 the processor's."""
        return 1e3 * statistics.fmean(
            summary([times[frame][clock] for times in self.rounds]) for frame in range(self.n_frames)
        )

    @property
    def seconds_spent(self) -> float:
        return sum(times[0] for one_round in self.rounds for times in one_round)


def measure(
    data: DataSet, folder: Path, sources: list[Peer], cores: list[int], n_rounds: int, seconds_per_step: float
) -> tuple[list[Measured], list[tuple[str, str]]]:
    """Measure all steps of all sources on one data set; also return what is absent, with the reasons."""
    data.save(folder)
    workers: list[Worker] = []
    lines: list[Measured] = []
    absent: list[tuple[str, str]] = []
    try:
        for source, n_cores in [(one, n) for one in sources for n in one.cores if n <= len(cores)]:
            worker = Worker(folder, source, cores[:n_cores], folder / f"{len(workers)}.log")
            workers.append(worker)
            try:
                # One after the other: the first times decide how many frames a slow step gets.
                answer = worker.reply()
            except AbsentError as error:
                absent.append((worker.name, str(error)))
                continue
            absent += [(f"{label} on {n_cores} core(s)", reason) for label, reason in answer["absent"]]
            for step, (label, first) in enumerate(zip(answer["labels"], answer["first"], strict=True)):
                n_frames = max(1, min(len(data.frames), int(seconds_per_step / first)))
                lines.append(Measured(data.name, label, worker, step, n_frames))
        lost: set[Worker] = set()
        for turn in range(n_rounds):
            print(f"{data.name}: round {turn + 1} of {n_rounds}", file=sys.stderr, flush=True)
            for place in range(len(lines)):
                line = lines[(place + turn) % len(lines)]
                if line.worker in lost or line.seconds_spent > seconds_per_step:
                    continue
                try:
                    line.rounds.append(line.worker.measure(line.step, line.n_frames))
                except AbsentError as error:
                    lost.add(line.worker)
                    absent.append((line.worker.name, f"from {line.label} on: {error}"))
    finally:
        for worker in workers:
            worker.stop()
    return [line for line in lines if line.rounds], absent


def _ratio(above: float | None, below: float | None) -> str:
    return f"{above / below:.3g}" if above is not None and below else "–"


def table_rows(lines: list[Measured]) -> list[list[str]]:
    """Return the rows of one data set's part of the table."""
    best = {line.key: line.milliseconds(1 if len(line.worker.cores) == 1 else 0, min) for line in lines}
    floors = {len(line.worker.cores): best[line.key] for line in lines if line.worker.source == FLOOR}
    return [
        [
            line.data_set,
            f"**{line.label}**" if line.worker.source == OURS else line.label,
            str(len(line.worker.cores)),
            f"{line.milliseconds(0, min):.2f}",
            f"{line.milliseconds(0, statistics.median):.2f}",
            # The system counts a second thread's time too late for steps of milliseconds.
            f"{line.milliseconds(1, min):.2f}" if len(line.worker.cores) == 1 else "–",
            _ratio(best.get(REFERENCE), best[line.key]),
            _ratio(best[line.key], floors.get(len(line.worker.cores))),
            f"{statistics.fmean(times[2] for times in line.rounds[-1]):.0f}",
            f"{line.n_frames} × {len(line.rounds)}",
        ]
        for line in lines
    ]


def _markdown(rows: list[list[str]]) -> str:
    aligned = ["---" if place < 2 else "--:" for place in range(len(HEADINGS))]
    return "\n".join("| " + " | ".join(row) + " |" for row in [list(HEADINGS), aligned, *rows])


def _report(rows: list[list[str]], absent: list[tuple[str, str, str]], load_before: float, n_cores: int) -> str:
    """Return machine, load, table and what is absent, as Markdown."""
    load = f"Load of the machine: {load_before:.1f} at the start, {os.getloadavg()[0]:.1f} at the end."
    text = f"{_machine()}\n\n{load}\n\n{_markdown(rows)}\n"
    if absent:
        text += "\nAbsent:\n\n" + "\n".join(f"- {name}, {label}: {reason}" for name, label, reason in absent) + "\n"
    if n_cores < 2:
        text += "\nThis process may use one core only, so nothing was measured on two.\n"
    return text


def _machine() -> str:
    names = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    versions = []
    for package in ("numpy", "numba", "pyFAI", "fabio", "pyopencl", "pocl-binary-distribution", "ondamonitor"):
        places = [*sys.path, os.environ.get("FEWPHOTON_PEERS", "")]
        found = next(iter(importlib.metadata.distributions(name=package, path=places)), None)
        versions.append(f"{package} {found.version if found else 'absent'}")
    return f"{len(names)} × {names[0]}, Python {platform.python_version()}; " + ", ".join(versions)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.separation", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--peers", type=Path, help="folder of installed peers; default: FEWPHOTON_PEERS")
    parser.add_argument("--data-sets", nargs="+", choices=list(DATA_SETS), default=list(DATA_SETS))
    names = [source.name for source in SOURCES]
    parser.add_argument("--sources", nargs="+", choices=names, default=names, help="programs to measure")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds-per-step", type=float, default=15.0, help="slower steps get fewer rounds or frames")
    parser.add_argument("--output", type=Path, help="also write the table here")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = _arguments()
    if options.peers is not None:
        os.environ["FEWPHOTON_PEERS"] = str(options.peers.resolve())
    if options.serve:
        serve(Path(options.serve[0]), next(source for source in SOURCES if source.name == options.serve[1]))
        return
    cores = sorted(os.sched_getaffinity(0))[:2]
    sources = [source for source in SOURCES if source.name in options.sources]
    rows: list[list[str]] = []
    absent: list[tuple[str, str, str]] = []
    load_before = os.getloadavg()[0]
    text = ""
    for key in options.data_sets:
        try:
            data = DATA_SETS[key]()
        except FileNotFoundError as error:
            absent.append((key, "data set", str(error)))
        else:
            with tempfile.TemporaryDirectory(prefix="separation-") as folder:
                lines, missing = measure(
                    data, Path(folder) / key, sources, cores, options.rounds, options.seconds_per_step
                )
            rows += table_rows(lines)
            absent += [(data.name, label, reason) for label, reason in missing]
        text = _report(rows, absent, load_before, len(cores))
        if options.output is not None:  # after each data set, so that a run cut short leaves what it measured
            options.output.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
