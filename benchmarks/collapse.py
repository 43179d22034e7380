"""Speed of collapsing beside SciPy's sparse product and a dense NumPy sum.

Run ``python benchmarks/collapse.py``; every line is the best of several runs in one process. Rates are photons per
second and the raw uint16 frames that these photons stand for.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable

import numpy as np
from scipy import sparse

from fewphoton.data import FrameTable, PhotonFrames
from fewphoton.kernels.threads import use_threads
from fewphoton.photons.collapse import sum_frames

N_PIXELS = 98_304


def make_frames(n_frames: int, photons: float, rng: np.random.Generator) -> PhotonFrames:
    """Frames of photons drawn uniformly over an MMPAD's pixels."""
    lengths = rng.poisson(photons, n_frames)
    place = np.repeat(np.arange(n_frames), lengths) * N_PIXELS + rng.integers(0, N_PIXELS, int(lengths.sum()))
    place, count = np.unique(place, return_counts=True)
    indptr = np.searchsorted(place, np.arange(n_frames + 1) * N_PIXELS)
    pixel = (place % N_PIXELS).astype(np.uint32)
    return PhotonFrames(indptr, pixel, count, N_PIXELS, FrameTable.unknown(n_frames))


def best(run: Callable[[], object], repeats: int) -> float:
    """Shortest time of several runs, in seconds; the first, which compiles, does not count."""
    run()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return min(times)


def with_scipy(frames: PhotonFrames, group_ptr: np.ndarray) -> object:
    """Multiply by a matrix that adds the rows of a group."""
    matrix = sparse.csr_array((frames.count, frames.pixel, frames.indptr), shape=(frames.n_frames, N_PIXELS))
    n_groups = len(group_ptr) - 1
    group = np.repeat(np.arange(n_groups), np.diff(group_ptr))
    ones = np.ones(frames.n_frames, dtype=np.uint32)
    total = sparse.csr_array((ones, (group, np.arange(frames.n_frames))), shape=(n_groups, frames.n_frames)) @ matrix
    total.sort_indices()
    return total


def with_numpy(frames: PhotonFrames, group_ptr: np.ndarray) -> object:
    """Count into one dense frame a group."""
    out = []
    for first, last in itertools.pairwise(group_ptr):
        hits = slice(frames.indptr[first], frames.indptr[last])
        dense = np.bincount(frames.pixel[hits], frames.count[hits], minlength=N_PIXELS)
        out.append(np.flatnonzero(dense))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--photons", type=float, default=3.2)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    frames = make_frames(options.frames, options.photons, np.random.default_rng(0))
    photons = int(frames.totals().sum())
    raw_bytes = frames.n_frames * N_PIXELS * 2
    print(f"{frames.n_frames} frames of {options.photons} photons, {N_PIXELS} pixels; {photons} photons")
    print(f"{'summed':>7} {'how':>22} {'seconds':>9} {'Mphotons/s':>11} {'raw GB/s':>9}")
    for n_summed in (15, 100):
        edges = np.arange(0, frames.n_frames + n_summed, n_summed)
        group_ptr = np.minimum(edges, frames.n_frames)[: -(-frames.n_frames // n_summed) + 1].astype(np.int64)
        rows: list[tuple[str, Callable[[], object]]] = [
            ("collapse, 1 thread", lambda g=group_ptr: (use_threads(1), sum_frames(frames, g))),
            ("collapse, 2 threads", lambda g=group_ptr: (use_threads(2), sum_frames(frames, g))),
            ("scipy.sparse product", lambda g=group_ptr: with_scipy(frames, g)),
            ("NumPy, dense frames", lambda g=group_ptr: with_numpy(frames, g)),
        ]
        for name, run in rows:
            seconds = best(run, options.repeats)
            print(
                f"{n_summed:7d} {name:>22} {seconds:9.4f} "
                f"{photons / seconds / 1e6:11.1f} {raw_bytes / seconds / 1e9:9.0f}"
            )


if __name__ == "__main__":
    main()
