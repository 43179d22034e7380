"""One iteration of EMC at the size of Ayyer et al. (2015), stage by stage, beside what the memory allows: one table.

Run ``python -m benchmarks.emc`` in the project's root. The stages take turns, and in every round the speed of memory
is measured before each of them, so that other work on the machine disturbs floor and stage alike. A line gives the
shortest time of all rounds. A second table tells from which part of the orientations on windows of them do not pay;
the constants of ``fewphoton.emc.windows`` stand on it. ``--whole`` carries out whole iterations with all 290,541 frames
besides, and as many on windows of four blocks, about an eighth of the orientations.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import resource
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
from benchmarks.emc import synthetic, windows
from benchmarks.emc.bandwidth import seconds_to_read
from benchmarks.emc.stages import Stage, measure, stages

from fewphoton.config.reconstruct import WindowsConfig
from fewphoton.emc.communicator import Serial
from fewphoton.emc.iteration import iterate
from fewphoton.emc.iteration_record import IterationRecord
from fewphoton.emc.problem import Problem
from fewphoton.emc.windows import Sweep
from fewphoton.kernels.threads import use_threads

HEADINGS = ("step", "threads", "memory, GB/s", "time, s", "× floor", "at paper size, s", "share")


def _line(stage: Stage, threads: int, best: dict[str, float], bandwidth: float, whole: float) -> list[str]:
    seconds = best[stage.name]
    floor = stage.floor_bytes / bandwidth
    return [
        f"**{stage.name}**" if stage.ours else stage.name,
        str(threads),
        f"{bandwidth / 1e9:.1f}",
        f"{seconds:.3f}",
        f"{seconds / floor:.2f}",
        f"{seconds * stage.to_paper_size:.2f}",
        f"{seconds * stage.to_paper_size / whole:.0%}" if stage.in_iteration else "–",
    ]


def _machine() -> str:
    names = [
        line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return (
        f"{len(names)} × {names[0]}, Python {platform.python_version()}, NumPy {np.__version__}, "
        f"Numba {numba.__version__}; load at the end {os.getloadavg()[0]:.1f}"
    )


def _whole(batch_frames: int, n_iterations: int, say: Callable[[str], None]) -> None:
    """Time whole iterations with all frames."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    problem, volume = synthetic.build(synthetic.N_FRAMES, batch_frames, 1)
    photons = sum(
        part.indptr.nbytes + part.index.nbytes + part.count.nbytes
        for batch in problem.batches
        for part in (batch.by_frame, batch.by_pixel)
    )
    records: list[IterationRecord] = []
    for number in range(1, 2 * n_iterations + 1):
        gc.collect()
        on_windows = number > n_iterations
        sweep = _narrow(problem) if on_windows else None
        read = min(seconds_to_read(np.ones((synthetic.SHAPE[0] * 384, 1150), dtype=np.float32)) for _ in range(3))
        updated, record = iterate(problem, volume, number, 1.0, 1e-6, "uniform", Serial(), sweep=sweep)
        volume = updated.values
        del updated
        records.append(record)
        say(
            f"Whole iteration {number}{' on windows' if on_windows else ''}, {problem.n_frames} frames, "
            f"{problem.likelihood_photons:.0f} photons in the likelihood: {record.seconds_total:.2f} s, of which "
            f"compress {record.seconds_compress:.2f} s; memory "
            f"before it {synthetic.SHAPE[0] * 384 * 1150 * 4 / read / 1e9:.1f} GB/s.\n"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    say(
        f"Largest memory of the process {peak / 1e6:.2f} GB (before {before / 1e6:.2f} GB), of which photons "
        f"{photons / 1e9:.2f} GB.\n"
    )


def _narrow(problem: Problem) -> Sweep:
    """Return a sweep that judges each frame in four neighbouring blocks of orientations, wherever they are."""
    former = windows.random_runs(problem, 4, np.random.default_rng(0))
    return Sweep(WindowsConfig(), problem, Serial(), cyclic=True, former=former, windowed=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.emc", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=16_384)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--whole", type=int, default=0, metavar="N", help="also carry out N whole iterations")
    parser.add_argument("--whole-batch", type=int, default=32_768, help="frames a batch in whole iterations")
    options = parser.parse_args()
    print("| " + " | ".join(HEADINGS) + " |")
    print("| --- |" + " --: |" * (len(HEADINGS) - 1), flush=True)
    problem, volume = synthetic.build(options.frames, options.frames, 0)
    for threads in sorted({1, min(2, use_threads(2))}):
        use_threads(threads)
        steps = stages(problem, volume, with_peers=threads == 1)
        best, bandwidth = measure(steps, options.rounds)
        whole = sum(best[step.name] * step.to_paper_size for step in steps if step.in_iteration)
        for step in steps:
            print("| " + " | ".join(_line(step, threads, best, bandwidth[step.name], whole)) + " |", flush=True)
        print(f"| **iteration, sum** | {threads} | – | – | – | {whole:.2f} | 100% |", flush=True)
        del steps
    print(f"\n{_machine()}\n", flush=True)
    for threads in sorted({1, min(2, use_threads(2))}):
        use_threads(threads)
        print("| " + " | ".join((*windows.HEADINGS, "threads")) + " |")
        print("| --: |" + " --: |" * len(windows.HEADINGS), flush=True)
        for row in windows.rows(problem, options.rounds):
            print("| " + " | ".join((*row, str(threads))) + " |", flush=True)
        print(flush=True)
    if options.whole:
        del problem, volume
        _whole(options.whole_batch, options.whole, lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
