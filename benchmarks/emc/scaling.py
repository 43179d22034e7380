"""Weak and strong scaling of EMC over MPI ranks, and what ranks cost beside threads: one table.

Run ``python -m benchmarks.emc.scaling`` in the project's root. Each line is a job of its own that mpiexec starts; the
jobs take turns, ``--rounds`` times, and a line gives the iteration of the shortest time. Strong scaling shares 1150
orientations out; weak scaling gives 288 to every rank. Where ranks times threads exceed the processors that the
program may use, the line says so: such runs test correctness and waiting, not speed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.emc import synthetic

from fewphoton.emc.communicator import Communicator, world
from fewphoton.emc.iteration import iterate
from fewphoton.kernels.threads import use_threads
from fewphoton.stages.photon_storage import MappedStorage

WEAK_ORIENTATIONS = 288
HEADINGS = (
    "scaling",
    "ranks × threads",
    "orientations",
    "iteration, s",
    "speed-up",
    "efficiency",
    "E, s",
    "M, s",
    "compress, s",
    "exchange, s",
    "slowest / mean",
)


def _work(options: argparse.Namespace, communicator: Communicator) -> list[list[dict[str, float]]]:
    """Carry out iterations; return the records of all ranks, iteration by iteration."""
    storage = MappedStorage(Path(options.scratch), communicator)
    problem, volume = synthetic.build(options.frames, options.batch, 0, communicator, storage, options.orientations)
    found = []
    for number in range(options.iterations + 1):
        updated, record = iterate(problem, volume, number, 1.0, 1e-6, "uniform", communicator)
        volume = updated.values
        own = asdict(record)
        names = sorted(own)
        rows = communicator.gather(np.array([own[name] for name in names], dtype=float))
        found.append([dict(zip(names, row.tolist(), strict=True)) for row in rows])
    return found[1:]  # the first iteration compiles, and computes the weights of geometry


def _worker(options: argparse.Namespace) -> None:
    use_threads(options.threads)
    with world(options.ranks if options.ranks > 1 else None) as communicator:
        found = _work(options, communicator)
        if communicator.rank == 0:
            print(json.dumps(found), flush=True)


def _launched(ranks: int, threads: int, orientations: int, options: argparse.Namespace, scratch: str) -> list[Any]:
    words = [sys.executable, "-m", "benchmarks.emc.scaling", "--worker", "--scratch", scratch]
    for name, value in (("ranks", ranks), ("threads", threads), ("orientations", orientations)):
        words += [f"--{name}", str(value)]
    words += ["--frames", str(options.frames), "--batch", str(options.batch), "--iterations", str(options.iterations)]
    if ranks > 1:
        launcher = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        if launcher is None:
            raise SystemExit("mpiexec is missing: install the extra bundled-mpi")
        words = [launcher, "-n", str(ranks), *words]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    return list(json.loads(done.stdout.splitlines()[-1]))


def _mean(ranks: list[dict[str, float]], name: str) -> str:
    values = [rank[name] for rank in ranks]
    return f"{np.mean(values):.3f}" + (f" ({min(values):.3f}–{max(values):.3f})" if len(values) > 1 else "")


def _line(job: tuple[str, int, int, int], best: dict[Any, list[dict[str, float]]], n_processors: int) -> str:
    scaling, n_ranks, n_threads, n_orientations = job
    ranks = best[job]
    seconds = max(rank["seconds_total"] for rank in ranks)
    alone = next(key for key in best if key[0] == scaling)
    speed_up = max(rank["seconds_total"] for rank in best[alone]) / seconds * n_orientations / alone[3]
    label = f"{n_ranks} × {n_threads}" + (" (oversubscribed)" if n_ranks * n_threads > n_processors else "")
    for rank in ranks:
        rank["seconds_expand_likelihood"] = rank["seconds_expand_maximize"] - rank["seconds_update"]
    words = [
        scaling,
        label,
        str(n_orientations),
        f"{seconds:.3f}",
        f"{speed_up:.2f}",
        f"{speed_up / (n_ranks * n_threads / (alone[1] * alone[2])):.0%}",
        _mean(ranks, "seconds_expand_likelihood"),
        _mean(ranks, "seconds_update"),
        _mean(ranks, "seconds_compress"),
        _mean(ranks, "seconds_exchange"),
        f"{ranks[0]['slowest_to_mean_rank']:.3f}",
    ]
    return "| " + " | ".join(words) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.emc.scaling", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--frames", type=int, default=32_768)
    parser.add_argument("--batch", type=int, default=32_768, help="frames a batch")
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--ranks", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--orientations", type=int, default=synthetic.N_ORIENTATIONS, help=argparse.SUPPRESS)
    parser.add_argument("--scratch", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        _worker(options)
        return
    jobs = [("strong", n, 1, synthetic.N_ORIENTATIONS) for n in (1, 2, 4)]
    jobs.insert(1, ("strong", 1, 2, synthetic.N_ORIENTATIONS))
    jobs += [("weak", n, 1, n * WEAK_ORIENTATIONS) for n in (1, 2, 4)]
    best: dict[Any, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(options.rounds):
            for job in jobs:
                found = [*_launched(*job[1:], options, scratch), *([best[job]] if job in best else [])]
                best[job] = min(found, key=lambda ranks: max(rank["seconds_total"] for rank in ranks))
    n_processors = len(os.sched_getaffinity(0))
    print("| " + " | ".join(HEADINGS) + " |")
    print("| --- | --- |" + " --: |" * (len(HEADINGS) - 2))
    for job in jobs:
        print(_line(job, best, n_processors))
    ranks, threads = (
        max(rank["seconds_total"] for rank in best[("strong", n, m, synthetic.N_ORIENTATIONS)])
        for n, m in ((2, 1), (1, 2))
    )
    print(f"\n2 ranks × 1 thread take {ranks / threads:.3f} times as long as 1 rank × 2 threads.")
    print(
        f"{options.frames} frames of {synthetic.PHOTONS_PER_FRAME} photons, {synthetic.N_VOXELS}³ voxels; means of all "
        f"ranks, and their range. {n_processors} processors, Python {platform.python_version()}; load at the end "
        f"{os.getloadavg()[0]:.1f}."
    )


if __name__ == "__main__":
    main()
