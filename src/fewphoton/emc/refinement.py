"""Stages of finer samples after the dense reconstruction, each frame trying what its former probabilities leave.

At the start of a stage the former sample is looked at once more with the volume of that moment; each frame keeps its
probable orientations there and lists the finer ones about them for the whole stage (Lan et al. 2018, IUCrJ 5, 548-558,
doi:10.1107/S205225251800903X). A stage of the same level as the former lets frames wander further. The volumes at the
starts of the stages are all that a resumed run needs to come to the same lists, on any number of ranks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.reconstruct import MarchStage, ReconstructConfig, RefineStage
from fewphoton.data import Crystal, Orientations
from fewphoton.data.point_group import PointGroup
from fewphoton.data.rotation_group import RotationIndex, covering_radius_deg
from fewphoton.emc.communicator import Communicator
from fewphoton.emc.iteration import posteriors
from fewphoton.emc.iteration_record import relative_change
from fewphoton.emc.listed_iteration import iterate_listed, listed_posterior
from fewphoton.emc.listed_problem import BYTES_PER_PAIR, FramePhotons, ListedProblem
from fewphoton.emc.orientation_sample import default_level, symmetry_of
from fewphoton.emc.problem import Problem
from fewphoton.emc.refine_orientations import (
    FineAround,
    OrientationLists,
    keep_listed,
    keep_probable,
    safe_reach_deg,
)
from fewphoton.emc.resolution_march import cropped, embedded, stage_problem
from fewphoton.emc.schedule import Step, StepRecord, step_record
from fewphoton.emc.state import State
from fewphoton.emc.symmetry import symmetrized
from fewphoton.errors import ConfigError, ConvergenceError

Ending = Literal["change", "iterations"]
_KEY = "refine_"


@dataclass(frozen=True, eq=False)
class Refiner:
    """What all stages share.

    Parameters
    ----------
    full : Problem
        All frames and all pixels.
    orientations : Orientations
        Sample of the dense reconstruction.
    crystal : Crystal
        Symmetry and UB.
    config : ReconstructConfig
        Parameters.
    communicator : Communicator
        World.
    """

    full: Problem
    orientations: Orientations
    crystal: Crystal
    config: ReconstructConfig
    communicator: Communicator

    def run(self, state: State, after: Callable[[State], None]) -> tuple[State, ListedProblem, Ending]:
        """Carry out all stages that ``state`` has not behind it.

        Parameters
        ----------
        state : State
            At the end of the dense reconstruction, or a checkpoint of a refinement.
        after : callable
            Called with the state after each iteration.

        Returns
        -------
        state : State
            The last.
        problem : ListedProblem
            Lists of the last stage.
        reason : str
            ``change`` or ``iterations``: what ended the last stage.
        """
        config, group = self.config, symmetry_of(self.config.orientations, self.crystal)
        coarse, coarse_level = self.orientations, config.orientations.level or default_level(self.full.rows.n_voxels)
        q_fraction = config.orientations.dense_q_fraction
        problem: ListedProblem | None = None
        kept = {key: volume for key, volume in state.memory.items() if key.startswith(_KEY)}
        state = State(state.volume, state.records, kept)
        reason: Ending = "iterations"
        for number, stage in enumerate(config.refine):
            key = f"{_KEY}{number}"
            if key not in state.memory:
                state = State(state.volume, state.records, {**state.memory, key: state.volume})
            probable = self._probable(problem, state.memory[key], stage.threshold)
            fine = Orientations.over_rotation_group(stage.level, group)
            around = fine_around(coarse, coarse_level, fine, stage.level, group)
            self._check_memory(probable, around, stage)
            lists = around.candidates(probable)
            seen = self._pixels(stage.q_fraction, stage.q_fraction)
            photons = FramePhotons.of(seen)
            problem = ListedProblem.build(seen, photons, lists, fine, self.crystal, self.communicator)
            place = len(config.march) + 1 + number
            while (found := _end_of(stage, [r for r in state.records if r.stage == place])) is None:
                step = problem
                if q_fraction < stage.q_fraction and not any(r.stage == place for r in state.records):
                    step = replace(problem, dense=self._pixels(stage.q_fraction, q_fraction))
                state = self._advance(state, step, place)
                after(state)
            reason, coarse, coarse_level, q_fraction = found, fine, stage.level, stage.q_fraction
        if problem is None:
            raise ConfigError("refine holds no stage")
        return state, problem, reason

    def _pixels(self, q_fraction: float, likelihood_q_fraction: float) -> Problem:
        """Return the problem of pixels up to one fraction of q, judged by those up to another."""
        stage = MarchStage(iterations=1, q_fraction=q_fraction)
        sampling = self.config.orientations
        return stage_problem(
            self.full, stage, likelihood_q_fraction, self.crystal, self.orientations, sampling, self.communicator
        )

    def _probable(
        self, problem: ListedProblem | None, volume: NDArray[np.float64], threshold: float
    ) -> OrientationLists:
        """Orientations of the former sample that each frame finds probable, the same on all ranks."""
        floor, communicator = self.config.intensity_floor, self.communicator
        frames, numbers = [], []
        if problem is not None:
            part = cropped(volume, problem.dense.rows.n_voxels)
            posterior = listed_posterior(problem, part, 1.0, floor, communicator)
            kept = keep_listed(problem.by_frame, posterior.probability, threshold, communicator.maximum)
            frames.append(np.repeat(np.arange(problem.n_frames), np.diff(problem.by_frame))[kept])
            numbers.append(problem.number[problem.orientation[kept]])
            n_orientations = len(problem.orientations)
        else:
            fraction = self.config.orientations.dense_q_fraction
            dense = self._pixels(fraction, fraction)
            n_orientations = dense.n_orientations
            part = cropped(volume, dense.rows.n_voxels)
            for batch, found in posteriors(dense, part, 1.0, floor, communicator):
                probability = found.probability[:, : dense.n_local]
                largest = probability.max(axis=1).astype(np.float64)
                communicator.maximum(largest)
                lists, _ = keep_probable(probability, threshold, largest)
                frames.append(batch.first_frame + np.repeat(np.arange(batch.n_frames), np.diff(lists.indptr)))
                numbers.append(dense.first_orientation + lists.index.astype(np.int64))
        # Ranks hold ascending parts of the sample, so a stable sort by frame leaves numbers ascending in each.
        frame = np.concatenate(communicator.gather(np.concatenate(frames)))
        number = np.concatenate(communicator.gather(np.concatenate(numbers)))
        order = np.argsort(frame, kind="stable")
        indptr = np.searchsorted(frame[order], np.arange(self.full.n_frames + 1)).astype(np.int64)
        return OrientationLists(indptr, number[order].astype(np.int32), n_orientations)

    def _check_memory(self, probable: OrientationLists, around: FineAround, stage: RefineStage) -> None:
        """Raise ConfigError where the lists of a stage would not fit into the memory that is configured, if any."""
        pairs = int(np.diff(around.indptr)[probable.index].sum())
        limit = self.config.orientations.memory_gb
        if limit is not None and pairs * BYTES_PER_PAIR > 1e9 * limit:
            raise ConfigError(
                f"refinement to level {stage.level}: frames keep {len(probable.index) / probable.n_frames:.0f} "
                f"orientations on the average, whose neighbours would take {pairs * BYTES_PER_PAIR / 1e9:.1f} GB of "
                f"{limit:.1f} GB; raise the threshold ({stage.threshold:g}), lower the level, or iterate more before"
            )

    def _advance(self, state: State, problem: ListedProblem, place: int) -> State:
        config, number = self.config, len(state.records) + 1
        start = cropped(state.volume, problem.dense.rows.n_voxels)
        update, numbers = iterate_listed(
            problem, start, number, config.intensity_floor, config.view_weights, self.communicator
        )
        change = numbers.change
        if config.symmetry == "laue":
            update = symmetrized(update, self.crystal)
            change = relative_change(update, start)
        step = Step(number, place, 0, 1.0, 1.0, False)
        record: StepRecord = self.communicator.share(
            step_record(numbers, step, problem.n_in_use, problem.n_frames, 0.0, change)
        )
        if not np.isfinite(record.change) or not np.isfinite(record.log_likelihood_per_photon):
            raise ConvergenceError(f"iteration {number} gave no finite change or likelihood; {record}")
        # A fine sample may leave voxels unseen that the coarse one saw.
        volume = embedded(state.volume, update.values, update.weight > 0)
        return State(volume, (*state.records, record), state.memory)


def _end_of(stage: RefineStage, done: list[StepRecord]) -> Ending | None:
    if done and done[-1].change < stage.tolerance:
        return "change"
    return "iterations" if len(done) >= stage.iterations else None


def fine_around(
    coarse: Orientations, coarse_level: int, fine: Orientations, fine_level: int, group: PointGroup | None
) -> FineAround:
    """Find the fine orientations about each coarse one, as far as :func:`safe_reach_deg` asks.

    Along the edge of the zone of groups with fourfold or sixfold axes samples are a little sparser than the levels
    say; the reach grows where a fine orientation would be missed.
    """
    reach = safe_reach_deg(covering_radius_deg(coarse_level), covering_radius_deg(fine_level))
    if group is not None:
        farthest = RotationIndex(coarse.quaternion, group).nearest(fine.quaternion)[1].max()
        reach = max(reach, float(farthest) * (1 + 1e-9))
    return FineAround.build(coarse, fine, reach, group)
