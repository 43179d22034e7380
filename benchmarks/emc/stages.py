"""The steps of an iteration, each as a function to time, with the bytes it cannot do without."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from benchmarks.emc import synthetic
from benchmarks.emc.bandwidth import seconds_to_read
from numpy.typing import NDArray
from scipy import sparse

from fewphoton.emc.communicator import Serial
from fewphoton.emc.log_table import LogTable
from fewphoton.emc.problem import Problem
from fewphoton.emc.views import Views
from fewphoton.kernels.aligned_table import aligned_table, padded_columns
from fewphoton.kernels.orientation_probability import log_expected, posterior_rows, weighted_column_sums
from fewphoton.kernels.threads import threads_in_use
from fewphoton.kernels.volume_change import divide_by_weight, squared_change
from fewphoton.kernels.volume_slices import compress, expand


@dataclass(frozen=True)
class Stage:
    """A step: what to call, the least bytes it must move, and how often it happens at the paper's size."""

    name: str
    call: Callable[[], object]
    floor_bytes: float
    to_paper_size: float
    in_iteration: bool = True
    ours: bool = True


def stages(problem: Problem, volume: NDArray[np.float64], with_peers: bool) -> list[Stage]:
    """Return the steps; the first in the order of an iteration, on the same arrays."""
    rows, batch = problem.rows, problem.batches[0]
    single = np.empty(volume.shape, dtype=np.float32)
    n_columns = padded_columns(problem.n_local)
    table, logarithms = (aligned_table(rows.n_rows, n_columns, np.float32) for _ in range(2))
    filled = problem.transforms[np.minimum(np.arange(n_columns), problem.n_local - 1)]
    geometry = rows.q_inv_angstrom, problem.transforms, rows.origin
    np.copyto(single, volume, casting="same_kind")
    expand(single, rows.q_inv_angstrom, filled, rows.origin, table)
    expected = np.zeros(problem.n_local)
    weighted_column_sums(table, problem.likelihood_response, expected)
    np.copyto(logarithms, table)
    floor = 1e-6 * float(table.mean())
    log_expected(logarithms, floor, problem.row_offset)
    probability = aligned_table(batch.n_frames, n_columns, np.float32)
    largest, sums = np.empty(batch.n_frames), np.empty((batch.n_frames, 3))
    views = Views.empty(problem)
    total, weight = np.zeros(volume.shape), np.ones(volume.shape)
    planes = np.empty((len(volume), 2))
    photons = batch.by_frame
    in_likelihood = float(photons.count.sum()) * problem.n_local
    in_update = float(batch.by_pixel.count.sum()) * problem.n_local
    scale = synthetic.N_FRAMES / batch.n_frames

    def likelihood(values: LogTable) -> Callable[[], object]:
        start = np.pad(-expected / values.step, (0, n_columns - problem.n_local), mode="edge").astype(np.float32)
        return lambda: posterior_rows(
            photons.indptr,
            photons.index,
            photons.count,
            values.values,
            start,
            np.ones(batch.n_frames, dtype=np.float32),
            problem.log_prior,
            values.step,
            probability,
            largest,
            sums,
        )

    def log_of_a_copy() -> None:
        np.copyto(table, logarithms)
        log_expected(table, floor, problem.row_offset)

    ones = np.ones(rows.n_rows)
    steps = [
        Stage(
            "expand",
            lambda: expand(single, rows.q_inv_angstrom, filled, rows.origin, table),
            4.0 * table.size + 4 * volume.size,
            1,
        ),
        Stage(
            "expected photons of each view",
            lambda: weighted_column_sums(logarithms, problem.likelihood_response, expected.copy()),
            4.0 * table.size,
            1,
        ),
        Stage("logarithm (with a copy)", log_of_a_copy, 8.0 * table.size, 1),
        Stage("likelihood and probabilities", likelihood(LogTable(logarithms, 1.0, None)), 4 * in_likelihood, scale),
        Stage("update of the views", lambda: views.add(batch, probability), 4 * in_update, scale),
        Stage(
            "compress",
            lambda: compress(views.photons, ones, expected, *geometry, threads_in_use(), total),
            4.0 * table.size + 8 * volume.size,
            1,
        ),
        Stage("weighted mean", lambda: divide_by_weight(total, weight), 24.0 * volume.size, 1),
        Stage("change", lambda: squared_change(total, volume, weight, planes), 24.0 * volume.size, 1),
    ]
    for name in ("int16", "uint8"):
        rounded = LogTable.build(logarithms, name, Serial())
        steps.append(Stage(f"likelihood, {name}", likelihood(rounded), 4 * in_likelihood, scale, in_iteration=False))
    if with_peers:
        narrow = np.ascontiguousarray(logarithms[:, : problem.n_local])
        matrix = sparse.csr_array((photons.count, photons.index, photons.indptr), shape=(batch.n_frames, rows.n_rows))
        steps.append(
            Stage(
                "scipy.sparse CSR @ table (likelihood alone)",
                lambda: matrix @ narrow,
                4 * in_likelihood,
                scale,
                in_iteration=False,
                ours=False,
            )
        )
    return steps


def measure(steps: list[Stage], n_rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """Return the shortest seconds of each step, and the highest bytes a second read beside it.

    With one thread the processor's time counts, which other work on that core does not stretch; with more, the wall
    clock's.
    """
    clock = time.process_time if threads_in_use() == 1 else time.perf_counter
    reference = np.ones((98_304, 1150), dtype=np.float32)
    best = {step.name: np.inf for step in steps}
    bandwidth = {step.name: 0.0 for step in steps}
    for step in steps:
        step.call()
    for _ in range(n_rounds):
        for step in steps:
            bandwidth[step.name] = max(bandwidth[step.name], reference.nbytes / seconds_to_read(reference, clock))
            begin = clock()
            step.call()
            best[step.name] = min(best[step.name], clock() - begin)
    return best, bandwidth
