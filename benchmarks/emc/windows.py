"""Likelihood and update on windows of orientations, beside the same with all orientations: where the one pays."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
from benchmarks.emc import synthetic
from numpy.typing import NDArray

from fewphoton.emc.problem import Problem
from fewphoton.emc.views import Views
from fewphoton.emc.windows import OrientationWindows
from fewphoton.kernels.aligned_table import aligned_table, padded_columns
from fewphoton.kernels.block_vectors import BLOCK
from fewphoton.kernels.orientation_probability import posterior_rows
from fewphoton.kernels.sparse_rows import add_weighted_rows
from fewphoton.kernels.threads import threads_in_use
from fewphoton.kernels.windowed_probability import posterior_windows
from fewphoton.kernels.windowed_views import add_weighted_blocks

HEADINGS = ("blocks a frame", "in runs", "of all", "likelihood, s", "× all", "update, s", "× all")
CASES = ((1, 1), (2, 1), (3, 1), (4, 1), (6, 1), (8, 1), (12, 1), (18, 1), (2, 2), (4, 2), (8, 2), (12, 2), (8, 4))
"""Blocks a frame keeps, and the runs they come in."""


def random_windows(
    n_frames: int, n_blocks: int, kept: int, n_runs: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return windows of ``kept`` blocks in ``n_runs`` runs spread evenly over the turn, from a random block on."""
    run = np.arange(kept) * n_runs // kept
    steps = run * (n_blocks // n_runs) + np.arange(kept) - run * (kept // n_runs)
    inside = np.sort((rng.integers(0, n_blocks, n_frames)[:, None] + steps) % n_blocks, axis=1)
    return np.arange(n_frames + 1, dtype=np.int64) * kept, inside.ravel().astype(np.int32)


def random_runs(problem: Problem, kept: int, rng: np.random.Generator) -> OrientationWindows:
    """Return windows of ``kept`` neighbouring blocks, from a random one on, that do not pass the full turn."""
    first = rng.integers(0, -(-problem.n_orientations // BLOCK) - kept + 1, problem.n_frames)
    return OrientationWindows(np.arange(problem.n_frames + 1, dtype=np.int64), first, first + kept)


def rows(problem: Problem, n_rounds: int) -> Iterator[list[str]]:
    """Time the kernels of a batch, every case after another in each round; the shortest times count."""
    batch, n_local = problem.batches[0], problem.n_local
    n_columns = padded_columns(n_local)
    n_blocks = -(-n_local // BLOCK)
    rng = np.random.default_rng(0)
    table = aligned_table(problem.rows.n_rows, n_columns, np.float32)
    table[:] = rng.normal(0.0, 0.1, n_columns)
    start = np.full(n_local, -synthetic.PHOTONS_PER_FRAME, dtype=np.float32)
    start_of_rows = np.full(n_columns, start[0])
    fluence = np.ones(batch.n_frames, dtype=np.float32)
    views = Views.empty(problem)
    probability = aligned_table(batch.n_frames, n_columns, np.float32)
    largest, sums = np.empty(batch.n_frames), np.empty((batch.n_frames, 3))
    photons, by_pixel = batch.by_frame, batch.by_pixel
    hits = photons.indptr, photons.index, photons.count

    def dense() -> tuple[Callable[[], None], Callable[[], None]]:
        return (
            lambda: posterior_rows(
                *hits, table, start_of_rows, fluence, problem.log_prior, 1.0, probability, largest, sums
            ),
            lambda: add_weighted_rows(by_pixel.indptr, by_pixel.index, by_pixel.count, probability, views.photons),
        )

    def windowed(kept: int, n_runs: int) -> tuple[Callable[[], None], Callable[[], None]]:
        indptr, block = random_windows(batch.n_frames, n_blocks, kept, n_runs, rng)
        place = np.arange(len(block), dtype=np.int64)
        values = aligned_table(len(block), BLOCK, np.float32)
        return (
            lambda: posterior_windows(
                *hits, table, start, fluence, problem.log_prior, 1.0, indptr, block, values, largest, sums
            ),
            lambda: add_weighted_blocks(
                by_pixel.indptr,
                by_pixel.index,
                by_pixel.count,
                indptr,
                block,
                place,
                values,
                n_blocks,
                views.photons,
            ),
        )

    clock = time.process_time if threads_in_use() == 1 else time.perf_counter

    def shortest(call: Callable[[], None]) -> float:
        call()
        best = np.inf
        for _ in range(n_rounds):
            begin = clock()
            call()
            best = min(best, clock() - begin)
        return best

    likelihood, update = (shortest(call) for call in dense())
    yield [str(n_blocks), "all, dense", "1.00", f"{likelihood:.3f}", "1.00", f"{update:.3f}", "1.00"]
    for kept, n_runs in (*CASES, (n_blocks, 1)):
        seconds = [shortest(call) for call in windowed(kept, n_runs)]
        yield [
            str(kept),
            str(n_runs),
            f"{kept / n_blocks:.2f}",
            f"{seconds[0]:.3f}",
            f"{seconds[0] / likelihood:.2f}",
            f"{seconds[1]:.3f}",
            f"{seconds[1] / update:.2f}",
        ]
