"""The whole sparsify and find-peaks stages, from bitshuffle-LZ4 frames to their files: wall time, threads, memory.

``python -m benchmarks.separation.stage [--frames 120]`` writes Eiger 4M frames to a temporary folder, runs the stages
in processes of their own with 1 and 2 threads, and prints one table. Start-up (imports, rings, loading compiled
kernels) is told apart by running each stage on one frame first. The codec's share is the time that decoding the same
frames takes alone, over the time of the stage with one thread.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.separation.frames import DATA_SETS, DataSet

from fewphoton.data import FrameTable
from fewphoton.io.dense_hdf5 import write_dense_lima
from fewphoton.io.geometry_yaml import write_geometry_yaml
from fewphoton.io.provenance import Provenance
from fewphoton.io.raw_frames import open_raw_frames

PROGRAM = """
import sys
from fewphoton.cli import main
code = main(sys.argv[1:])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
sys.exit(code)
"""


def run(stage: str, folder: Path, label: str, threads: int) -> tuple[float, float]:
    """Run a stage on the frames of a label; return wall seconds and the largest resident set in MB."""
    output = {"sparsify": "--sparse", "find-peaks": "--peaks"}[stage]
    words = [stage, "--raw", folder / f"{label}.h5", "--geometry", folder / "geometry.yaml", "--threads", threads]
    words += [output, folder / f"{label}.{stage}.h5", "--metrics", folder / "metrics.json", "--quiet"]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, words)], check=True, stdout=subprocess.PIPE, text=True
    )
    return time.perf_counter() - start, int(done.stdout) / 1024


def decode_alone(path: Path) -> float:
    """Return the seconds that decoding every frame takes in one thread."""
    with open_raw_frames([str(path)]) as raw:
        raw.deferred(0)()
        start = time.perf_counter()
        for number in range(raw.n_frames):
            raw.deferred(number)()
        return time.perf_counter() - start


def write_frames(data: DataSet, path: Path, n_frames: int) -> None:
    """Write the frames of a data set over and over, bitshuffle-LZ4."""
    table = FrameTable.unknown(n_frames)
    provenance = Provenance("benchmark", {}, {})
    with write_dense_lima(
        path, data.detector, data.beam, data.frames.dtype, n_frames, provenance, table=table, threads=2
    ) as writer:
        for number in range(n_frames):
            writer.append(data.frames[[number % len(data.frames)]])


def measure(data: DataSet, folder: Path, n_frames: int, rounds: int) -> None:
    """Print the rows of a data set."""
    write_geometry_yaml(folder / "geometry.yaml", data.detector, data.beam)
    write_frames(data, folder / "one.h5", 1)
    write_frames(data, folder / "many.h5", n_frames)
    codec = min(decode_alone(folder / "many.h5") for _ in range(rounds)) / n_frames * 1e3
    for stage in ("sparsify", "find-peaks"):
        single = 0.0
        for threads in (1, 2):
            run(stage, folder, "one", threads)
            start = min(run(stage, folder, "one", threads)[0] for _ in range(rounds))
            whole = [run(stage, folder, "many", threads) for _ in range(rounds)]
            per_frame = (min(wall for wall, _ in whole) - start) / (n_frames - 1) * 1e3
            single = single or per_frame
            share = f"{codec / per_frame:.0%}" if threads == 1 else "–"
            memory = max(size for _, size in whole)
            print(
                f"| {data.name} | {stage} | {threads} | {per_frame:.1f} | {single / per_frame:.2f} | {codec:.1f} | "
                f"{share} | {memory:.0f} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    names = ("data set", "stage", "threads", "ms/frame", "times 1 thread", "codec alone, ms/frame", "codec's share")
    print(f"| {' | '.join(names)} | peak memory, MB |\n|---|---|--:|--:|--:|--:|--:|--:|")
    for key in ("eiger-u16", "eiger-u32"):
        with tempfile.TemporaryDirectory() as name:
            measure(DATA_SETS[key](), Path(name), options.frames, options.rounds)


if __name__ == "__main__":
    main()
