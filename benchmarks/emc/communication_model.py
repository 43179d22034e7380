"""What an iteration of EMC exchanges between ranks, how long that takes, and what is left of the speed: a model.

Run ``python -m benchmarks.emc.communication_model`` in the project's root; docs/emc_scaling.md explains the terms and
holds the tables. Work is measured on one core (benchmarks/RESULTS.md), network and memory are assumed.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

COLUMN_MULTIPLE = 64
PIECE_BYTES = 8 << 21

SECONDS_PER_PHOTON_ORIENTATION = (2.43 + 3.05) / (13.9e6 * 1150)
"""Likelihood with normalisation, and update of the views, on one core."""
SECONDS_PER_PIXEL_ORIENTATION = (0.90 + 1.07 + 0.08) / (98_304 * 1150)
"""Expand, compress, logarithms and expected photons, on one core."""
SECONDS_PER_PHOTON = 2 * 3e-9
"""Finding the row of each photon in both orders, however few orientations a rank has."""
VOLUME_BYTES_PER_VOXEL = 68
"""Moved by every rank: single-precision copy (12), zeroing (8), weighted mean (24), change (24)."""


@dataclass(frozen=True)
class Size:
    """A reconstruction."""

    name: str
    frames: int
    photons: float
    pixels: int
    orientations: int
    voxels: int
    batch_frames: int = 32_768


@dataclass(frozen=True)
class Machine:
    """A cluster: latency and bandwidth of a rank's link, speed of a rank's memory and of its sums."""

    latency_s: float
    bytes_per_s: float
    memory_bytes_per_s: float
    sum_bytes_per_s: float


SIZES = (
    Size("one axis, paper's size", 290_541, 13.9e6, 98_304, 1150, 366),
    Size("rotation group", 100_000, 2e7, 20_000, 50_100, 201),
)


def exchanged(size: Size, n_volumes: int) -> tuple[float, int]:
    """Return bytes that a rank hands in, and reductions, per iteration."""
    volume = 8.0 * size.voxels**3
    n_batches = math.ceil(size.frames / size.batch_frames)
    n_bytes = 32.0 * size.frames + n_volumes * volume + 16
    return n_bytes, 2 + 2 * n_batches + n_volumes * math.ceil(volume / PIECE_BYTES) + 2


def seconds_of_exchange(size: Size, machine: Machine, n_ranks: int, n_volumes: int) -> float:
    """Reductions in two halves, of which each moves (P - 1) / P of the bytes; the first one sums."""
    n_bytes, n_messages = exchanged(size, n_volumes)
    share = (n_ranks - 1) / n_ranks
    moved = share * n_bytes * (2 / machine.bytes_per_s + 1 / machine.sum_bytes_per_s)
    return n_messages * 2 * math.ceil(math.log2(n_ranks)) * machine.latency_s + moved if n_ranks > 1 else 0.0


def seconds_of_work(size: Size, machine: Machine, n_ranks: int, n_threads: int) -> tuple[float, float]:
    """Return the time of what ranks share out, whose columns are filled up to whole lines, and of what each repeats."""
    most = math.ceil(size.orientations / n_ranks)
    padded = math.ceil(most / COLUMN_MULTIPLE) * COLUMN_MULTIPLE
    shared = padded * size.photons * SECONDS_PER_PHOTON_ORIENTATION
    shared += most * size.pixels * SECONDS_PER_PIXEL_ORIENTATION
    repeated = size.photons * SECONDS_PER_PHOTON / n_threads
    repeated += VOLUME_BYTES_PER_VOXEL * size.voxels**3 / machine.memory_bytes_per_s
    return shared / n_threads, repeated


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.emc.communication_model", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--latency-us", type=float, default=2.0)
    parser.add_argument("--gigabytes-per-s", type=float, default=25.0)
    parser.add_argument("--memory-gigabytes-per-s", type=float, default=20.0, help="of one core; sixteen have 100")
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 4, 64, 256, 1024])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 16])
    options = parser.parse_args()
    for size in SIZES:
        n_bytes, n_messages = exchanged(size, 1)
        print(f"\n{size.name}: {n_bytes / 1e6:.1f} MB in {n_messages} reductions an iteration\n")
        print("| cores | ranks × threads | shared work, s | repeated, s | exchange, s | with weights, s | efficiency |")
        print("| --: | --: | --: | --: | --: | --: | --: |")
        for n_threads in options.threads:
            memory = 1e9 * (options.memory_gigabytes_per_s if n_threads == 1 else 100.0)
            machine = Machine(options.latency_us * 1e-6, options.gigabytes_per_s * 1e9, memory, memory / 3)
            alone = sum(seconds_of_work(size, machine, 1, n_threads)) * n_threads
            for n_cores in options.ranks:
                n_ranks = n_cores // n_threads
                if n_ranks < 1 or n_ranks > size.orientations:
                    continue
                shared, repeated = seconds_of_work(size, machine, n_ranks, n_threads)
                one, two = (seconds_of_exchange(size, machine, n_ranks, n_volumes) for n_volumes in (1, 2))
                efficiency = alone / (n_cores * (shared + repeated + one))
                print(
                    f"| {n_cores} | {n_ranks} × {n_threads} | {shared:.4f} | {repeated:.4f} | {one:.4f} | {two:.4f} | "
                    f"{efficiency:.0%} |"
                )


if __name__ == "__main__":
    main()
