"""Windows of orientations: late iterations judge and merge each frame only where its probability is.

Once a volume has taken shape, the probability of a frame sits on few of the orientations: a peak, and its aliases by
the symmetry of the crystal. A full sweep finds the blocks of 32 neighbouring orientations that hold it; with some
neighbours they are the frame's windows, and the next iterations treat all other orientations as impossible. Every few
iterations a full sweep renews the windows and tells how much probability the former ones missed.

Windows count the orientations of all ranks, so they do not depend on how ranks share them; a rank works on those of
its own blocks that overlap a window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.reconstruct import ReconstructConfig, WindowsConfig
from fewphoton.emc.batches import FrameBatch
from fewphoton.emc.communicator import Communicator
from fewphoton.emc.log_table import LogTable
from fewphoton.emc.problem import Problem
from fewphoton.kernels.block_vectors import BLOCK
from fewphoton.kernels.window_choice import keep_blocks, mark_blocks, weigh_blocks, widen_marks
from fewphoton.kernels.windowed_probability import (
    exponentiate_windows,
    log_likelihood_windows,
    normalize_windows,
    posterior_windows,
)

if TYPE_CHECKING:  # the schedule reads held-out frames, whose likelihood reads windows
    from fewphoton.emc.schedule import Step

LIKELIHOOD_BREAK_EVEN = 0.6
"""Part of the orientations above which a frame's window is all of them.

Measured with 32,768 frames of 48 photons and a float32 table of 98,304 x 1150 on one busy core of an AMD EPYC (Zen 3):
``python -m benchmarks.emc``. Beside all orientations (0.28 s), windows of 3, 8, 11, 22, 33 and 50 % in one run take
0.1, 0.2, 0.3, 0.4, 0.5 and 0.8 of the time; in two or four runs 11, 22 and 33 % take 0.3, 0.5 and 0.65 of it.
"""
UPDATE_BREAK_EVEN = 0.4
"""Part of the orientations above which all that were judged enter the update.

Measured in the same way. Beside all orientations (0.28 s), blocks that are 3, 8, 11, 22, 33 and 50 % of them take 0.3,
0.3, 0.4, 0.5 to 0.8, 0.8 to 0.95 and 1.1 to 1.4 of the time, in one run or in several.
"""


@dataclass(frozen=True, eq=False)
class Blocks:
    """Blocks of 32 neighbouring orientations of this rank, for each frame of a batch.

    Parameters
    ----------
    indptr : ndarray of int64, `(n_frames + 1,)`
        Row pointers.
    block : ndarray of int32, `(n_blocks,)`
        Number of each block, from 0 on every rank, rising within a frame.
    place : ndarray of int64, `(n_blocks,)`
        Row of 32 in the table of probabilities that holds the block.
    """

    indptr: NDArray[np.int64]
    block: NDArray[np.int32]
    place: NDArray[np.int64]

    @classmethod
    def dense(cls, n_frames: int, n_blocks: int, per_row: int) -> Blocks:
        """Return all blocks of a table of probabilities whose rows hold ``per_row`` of them, the last ones empty."""
        block = np.tile(np.arange(n_blocks, dtype=np.int32), n_frames)
        frame = np.repeat(np.arange(n_frames, dtype=np.int64), n_blocks)
        return cls(np.arange(n_frames + 1, dtype=np.int64) * n_blocks, block, frame * per_row + block)


@dataclass(frozen=True, eq=False)
class OrientationWindows:
    """Runs of neighbouring blocks in the count of all orientations, for each frame of a problem.

    Parameters
    ----------
    indptr : ndarray of int64, `(n_frames + 1,)`
        Row pointers.
    first, stop : ndarray of int64, `(n_runs,)`
        Blocks of each run; rising, and not touching, within a frame.
    """

    indptr: NDArray[np.int64]
    first: NDArray[np.int64]
    stop: NDArray[np.int64]

    @classmethod
    def of_marks(cls, marks: NDArray[np.uint8]) -> OrientationWindows:
        """Make windows of the blocks that ``marks`` `(n_frames, n_blocks)` names."""
        framed = np.zeros((len(marks), marks.shape[1] + 2), dtype=np.int8)
        framed[:, 1:-1] = marks
        steps = np.diff(framed, axis=1)
        frame, first = np.nonzero(steps == 1)
        stop = np.nonzero(steps == -1)[1]
        return cls(np.searchsorted(frame, np.arange(len(marks) + 1)), first, stop)

    @classmethod
    def concatenate(cls, parts: list[OrientationWindows]) -> OrientationWindows:
        """Join windows of consecutive frames."""
        counts = np.concatenate([np.diff(part.indptr) for part in parts])
        return cls(
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            np.concatenate([part.first for part in parts]),
            np.concatenate([part.stop for part in parts]),
        )

    @classmethod
    def remembered(cls, memory: Mapping[str, NDArray[np.float64]]) -> OrientationWindows | None:
        """Return what :meth:`memory` kept, or None."""
        if "window_indptr" not in memory:
            return None
        return cls(*(memory[f"window_{name}"].astype(np.int64) for name in ("indptr", "first", "stop")))

    def memory(self) -> dict[str, NDArray[np.float64]]:
        """Return the windows as arrays of float64 by name."""
        return {f"window_{name}": values.astype(np.float64) for name, values in vars(self).items()}

    def blocks(self, problem: Problem, batch: FrameBatch) -> Blocks:
        """Return the blocks of this rank that overlap the windows of a batch, packed one behind another."""
        pointers = self.indptr[batch.first_frame : batch.first_frame + batch.n_frames + 1]
        runs = slice(int(pointers[0]), int(pointers[-1]))
        begin = np.clip(self.first[runs] * BLOCK - problem.first_orientation, 0, problem.n_local)
        end = np.clip(self.stop[runs] * BLOCK - problem.first_orientation, 0, problem.n_local)
        first = begin // BLOCK
        length = np.where(end > begin, -(-end // BLOCK) - first, 0)
        before = np.concatenate([[0], np.cumsum(length)])
        place = np.arange(before[-1], dtype=np.int64)
        block = np.repeat(first - before[:-1], length) + place
        return Blocks(before[pointers - pointers[0]], block.astype(np.int32), place)


def posterior_on_windows(
    problem: Problem,
    batch: FrameBatch,
    blocks: Blocks,
    logarithms: LogTable,
    expected: NDArray[np.float64],
    fluence: NDArray[np.float32],
    beta: float,
    communicator: Communicator,
    probability: NDArray[np.float32],
    largest: NDArray[np.float64],
    sums: NDArray[np.float64],
) -> None:
    """Fill probabilities of packed blocks, largest log-likelihoods (in steps of the table) and sums over all ranks.

    Frames without photons, which have no windows, count as a single orientation of no evidence.
    """
    photons = batch.by_frame
    hits = photons.indptr, photons.index, photons.count
    start = (-expected / logarithms.step).astype(np.float32)
    power = beta * logarithms.step
    table, prior = logarithms.values, problem.log_prior
    rows = blocks.indptr, blocks.block
    if communicator.size == 1:
        posterior_windows(*hits, table, start, fluence, prior, power, *rows, probability, largest, sums)
    else:
        log_likelihood_windows(*hits, table, start, fluence, *rows, probability, largest)
        communicator.maximum(largest)
        exponentiate_windows(*rows, probability, largest, prior, power, sums)
        communicator.sum(sums)
        normalize_windows(blocks.indptr, probability, sums[:, 0])
    dark = batch.likelihood_photons == 0
    largest[dark] = 0.0
    sums[dark] = 1.0, 0.0, 0.0


class Sweep:
    """The windows of one iteration: what it judges frames by, what it merges, and the choice for the next.

    Parameters
    ----------
    config : WindowsConfig
        Parameters.
    problem : Problem
        Frames and orientations.
    communicator : Communicator
        World.
    cyclic : bool
        Whether the last orientation neighbours the first.
    former : OrientationWindows or None
        Of the last full sweep over the same frames and orientations.
    windowed : bool
        Judge by ``former``; otherwise by all orientations, to renew the windows.
    """

    def __init__(
        self,
        config: WindowsConfig,
        problem: Problem,
        communicator: Communicator,
        cyclic: bool,
        former: OrientationWindows | None,
        windowed: bool,
    ) -> None:
        self._config, self._problem, self._communicator = config, problem, communicator
        self._cyclic, self._former, self._windowed = cyclic, former, windowed
        self._per_column = config.dropped_mass / problem.n_orientations
        self._n_blocks = -(-problem.n_local // BLOCK)
        self._found: list[OrientationWindows] = []
        # Over frames with photons: blocks judged and merged of this rank, probability left out, probability that
        # former windows hold, and all blocks of this rank.
        self._sums = np.zeros(5)

    @classmethod
    def of_step(
        cls,
        config: ReconstructConfig,
        step: Step,
        problem: Problem,
        memory: Mapping[str, NDArray[np.float64]],
        communicator: Communicator,
    ) -> Sweep | None:
        """Return the sweep of a step; None where windows are off, or frames change from one iteration to the next."""
        if config.windows is None or step.minibatch:
            return None
        # Windows belong to the orientations of their stage.
        former = OrientationWindows.remembered(memory) if step.number_in_stage > 1 else None
        cyclic = config.orientations.sampled == "about_axis"
        return cls(config.windows, problem, communicator, cyclic, former, step.windowed)

    @property
    def windows(self) -> OrientationWindows | None:
        """Windows to judge frames by; None: all orientations."""
        return self._former if self._windowed else None

    def chosen(self, batch: FrameBatch, probability: NDArray[np.float32], judged: Blocks | None) -> Blocks | None:
        """Return the blocks of a batch that are worth merging, None for all of a dense table.

        Parameters
        ----------
        batch : FrameBatch
            Frames.
        probability : ndarray of float32, `(n_frames, n_columns)` or `(n_blocks, 32)`
            Orientation probabilities of this rank, dense or packed.
        judged : Blocks or None
            Where packed probabilities are; None where they are dense.
        """
        n_frames, n_local = batch.n_frames, self._problem.n_local
        informative = batch.likelihood_photons > 0
        source = judged
        if source is None:
            per_row = probability.shape[1] // BLOCK
            source = Blocks.dense(n_frames, self._n_blocks, per_row)
            self._renew(batch, probability)
        values = probability.reshape(-1, BLOCK)
        n_kept, total, dropped = np.empty(n_frames, dtype=np.int64), np.empty(n_frames), np.empty(n_frames)
        whole_above = int(UPDATE_BREAK_EVEN * self._n_blocks)
        rows = source.indptr, source.block, source.place, values, n_local, self._per_column
        weigh_blocks(*rows, whole_above, n_kept, total, dropped)
        self._sums += [
            np.diff(source.indptr)[informative].sum(),
            n_kept[informative].sum(),
            dropped[informative].sum(),
            0.0 if judged is None else np.nan,
            np.count_nonzero(informative) * self._n_blocks,
        ]
        if judged is None and (n_kept == self._n_blocks).all():
            return None
        indptr = np.concatenate([[0], np.cumsum(n_kept)]).astype(np.int64)
        block, place = np.empty(indptr[-1], dtype=np.int32), np.empty(indptr[-1], dtype=np.int64)
        keep_blocks(*rows, indptr, block, place)
        return Blocks(indptr, block, place)

    def _renew(self, batch: FrameBatch, probability: NDArray[np.float32]) -> None:
        problem = self._problem
        n_blocks = -(-problem.n_orientations // BLOCK)
        marks = np.zeros((batch.n_frames, n_blocks), dtype=np.uint8)
        mark_blocks(probability, problem.first_orientation, problem.n_local, self._per_column, marks)
        self._communicator.maximum(marks)
        widened = np.empty_like(marks)
        fill_above = int(LIKELIHOOD_BREAK_EVEN * n_blocks)
        widen_marks(marks, self._config.margin_blocks, self._cyclic, fill_above, widened)
        self._found.append(OrientationWindows.of_marks(widened))
        held = np.full(batch.n_frames, np.nan)
        if self._former is not None:
            blocks = self._former.blocks(problem, batch)
            frame = np.repeat(np.arange(batch.n_frames), np.diff(blocks.indptr))
            place = frame * (probability.shape[1] // BLOCK) + blocks.block
            unused = np.empty(batch.n_frames, dtype=np.int64), np.empty(batch.n_frames)
            weigh_blocks(
                blocks.indptr,
                blocks.block,
                place,
                probability.reshape(-1, BLOCK),
                problem.n_local,
                self._per_column,
                n_blocks,
                unused[0],
                held,
                unused[1],
            )
        self._sums[3] += held[batch.likelihood_photons > 0].sum()

    def finish(self) -> tuple[OrientationWindows, dict[str, Any]]:
        """Return the windows for the next iterations, and the numbers of this one for its record."""
        sums = self._sums
        self._communicator.sum(sums)
        judged, kept, dropped, held, blocks = sums.tolist()
        n_frames = self._problem.n_informative_frames
        numbers = {
            "windowed": int(self._windowed),
            "window_fraction": judged / blocks,
            "kept_fraction": kept / blocks,
            "dropped_mass": dropped / n_frames,
            "missed_mass": float(np.maximum(0.0, 1.0 - held / n_frames)),
        }
        if self._windowed and self._former is not None:
            return self._former, numbers
        return OrientationWindows.concatenate(self._found), numbers
