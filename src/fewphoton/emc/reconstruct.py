"""The EMC loop: start, iterate, stop, and a last look at the frames (Ayyer et al. 2015, section 2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.reconstruct import MarchStage, ReconstructConfig
from fewphoton.data import Crystal, FrameOrientations, IntensityVolume, Orientations
from fewphoton.emc.acceleration import extrapolate, is_kept, step_limit
from fewphoton.emc.communicator import Communicator
from fewphoton.emc.frame_course import FrameCourse
from fewphoton.emc.frame_model import FrameModel
from fewphoton.emc.half_sets import last_look
from fewphoton.emc.held_out import held_out_frames
from fewphoton.emc.iteration import expected_table, iterate
from fewphoton.emc.iteration_record import relative_change
from fewphoton.emc.listed_iteration import last_look_listed
from fewphoton.emc.listed_problem import ListedProblem
from fewphoton.emc.minibatch import averaged, choose_frames
from fewphoton.emc.orientation_sample import symmetry_of
from fewphoton.emc.problem import Problem
from fewphoton.emc.refinement import Refiner
from fewphoton.emc.resolution_march import cropped, embedded, stage_problem
from fewphoton.emc.schedule import Step, StepRecord, dense_records, may_extrapolate, next_step, step_record, stop_reason
from fewphoton.emc.start_model import radial_mean, random_peaks, random_speckle
from fewphoton.emc.state import State
from fewphoton.emc.symmetry import symmetrized
from fewphoton.emc.windows import Sweep
from fewphoton.errors import ConvergenceError


class CheckpointStore(Protocol):
    """Where the loop keeps its state; called on rank 0 only."""

    def load(self) -> State | None:
        """Return the last saved state, or None where there is none."""

    def save(self, state: State) -> None:
        """Replace the saved state, whole or not at all."""


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """Result of a reconstruction.

    Parameters
    ----------
    volume : IntensityVolume
        The last iterate; with symmetry, all frames merged with the orientation probabilities of the last iterate.
    halves : tuple of IntensityVolume
        Merged from the even and the odd frames alone, with the orientation probabilities of all frames' volume.
    orientations : FrameOrientations
        What the last volume says of each frame.
    records : tuple of StepRecord
        One an iteration.
    stopped_by : str
        ``change`` (below the tolerance), ``held_out`` (no gain any more) or ``iterations`` (the most allowed).
    n_orientations : int
        Orientations of the last sample, those that no frame tries included.
    """

    volume: IntensityVolume
    halves: tuple[IntensityVolume, IntensityVolume]
    orientations: FrameOrientations
    records: tuple[StepRecord, ...]
    stopped_by: str
    n_orientations: int

    @property
    def converged(self) -> bool:
        """Whether the change fell below the tolerance."""
        return self.stopped_by == "change"


def starting_volume(
    full: Problem,
    problem: Problem,
    crystal: Crystal,
    config: ReconstructConfig,
    communicator: Communicator,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Make a random starting volume on the grid of ``full``, scaled to the photons that ``problem`` sees in a frame."""
    rows = full.rows
    width, background = config.start_width_voxels, config.start_background
    if config.start_model == "speckle" or (config.start_model == "automatic" and rows.voxels_per_cell == 1):
        volume = random_speckle(*radial_mean(full), rows.n_voxels, width, background, rng)
    else:
        volume = random_peaks(crystal, rows.n_voxels, rows.voxels_per_cell, width, background, rng)
    expected = expected_table(problem, cropped(volume, problem.rows.n_voxels))[1]
    total = np.array([expected.sum()])
    communicator.sum(total)
    mean_photons = problem.likelihood_photons / problem.n_informative_frames
    if not total[0] > 0:
        raise ConvergenceError("the starting volume is empty where the detector looks; enlarge the grid")
    return volume * (mean_photons * problem.n_orientations / float(total[0]))


class _Course:
    """Problems of the steps, of which only the current stage's is held."""

    def __init__(
        self,
        problem: Problem,
        crystal: Crystal,
        orientations: Orientations,
        config: ReconstructConfig,
        communicator: Communicator,
        model: FrameModel | None = None,
    ) -> None:
        self._crystal, self._orientations = crystal, orientations
        self._config, self._communicator = config, communicator
        self.parameters = FrameCourse(model, config.intensity_floor, communicator)
        self.updated, self.held_out = problem, None
        marks = np.zeros(problem.n_frames, dtype=bool)
        if config.held_out is not None:
            marks = held_out_frames(problem.n_frames, config.held_out.fraction, config.seed)
            self.updated, self.held_out = problem.with_frames(~marks), problem.with_frames(marks)
        self._updated_frames, self.held_out_frames = np.flatnonzero(~marks), np.flatnonzero(marks)
        self._current: tuple[tuple[int, float], Problem] | None = None

    @property
    def photons_per_frame(self) -> float:
        """Mean photons of the frames that have any, on pixels of the likelihood."""
        return self.updated.likelihood_photons / self.updated.n_informative_frames

    def problem(self, step: Step) -> Problem:
        """Pixels, orientations and frames of a step."""
        key = (step.stage, step.likelihood_q_fraction)
        if self._current is None or self._current[0] != key:
            q_fraction = self._config.orientations.dense_q_fraction
            stage = MarchStage(iterations=1, q_fraction=q_fraction) if q_fraction < 1 else None
            if step.stage < len(self._config.march):
                stage = self._config.march[step.stage]
            made = stage_problem(
                self.updated,
                stage,
                step.likelihood_q_fraction,
                self._crystal,
                self._orientations,
                self._config.orientations,
                self._communicator,
            )
            self._current = key, made
        problem = self._current[1]
        chosen = self._chosen(step)
        return problem if chosen is None else problem.with_frames(chosen)

    def frames(self, step: Step) -> NDArray[np.int64]:
        """Numbers of the frames of a step in the whole data set."""
        chosen = self._chosen(step)
        return self._updated_frames if chosen is None else self._updated_frames[chosen]

    def _chosen(self, step: Step) -> NDArray[np.bool_] | None:
        if not step.minibatch or self._config.minibatch is None:
            return None
        n_frames = len(self._updated_frames)
        return choose_frames(n_frames, self._config.minibatch.fraction, self._config.seed, step.number)


def reconstruct(
    problem: Problem,
    crystal: Crystal,
    orientations: Orientations,
    config: ReconstructConfig,
    communicator: Communicator,
    store: CheckpointStore | None = None,
    report: Callable[[State], None] = lambda state: None,
    background: NDArray[np.float64] | None = None,
) -> Reconstruction:
    """Iterate from a random start, or from the last checkpoint, until one of the criteria stops it.

    Parameters
    ----------
    problem : Problem
        Photons and geometry of this rank.
    crystal : Crystal
        Cell, centring, UB.
    orientations : Orientations
        The whole sample.
    config : ReconstructConfig
        Parameters.
    communicator : Communicator
        World.
    store : CheckpointStore, optional
        Where to resume from and save to.
    report : callable
        Called on rank 0 after each iteration, before its state is saved.
    background : ndarray of float64, `(n_pixels,)`, optional
        Shape of the frames' background over the detector; see :class:`~fewphoton.emc.frame_model.FrameModel`.

    Returns
    -------
    Reconstruction
        The same on all ranks but for timings.
    """
    model = FrameModel.build(problem, config, background)
    course = _Course(problem, crystal, orientations, config, communicator, model)
    saved = store.load() if store is not None and communicator.rank == 0 else None
    state = communicator.share(saved)
    if state is None:
        state = _best_start(course, problem, crystal, config, communicator)
    expected_shape = (problem.rows.n_voxels,) * 3
    if state.volume.shape != expected_shape:
        raise ConvergenceError(
            f"the checkpoint holds a volume of {state.volume.shape}, this run needs {expected_shape}; remove it"
        )

    def after(state: State) -> None:
        if communicator.rank == 0:
            report(state)
            if store is not None and len(state.records) % config.checkpoint_every == 0:
                store.save(state)

    while (reason := stop_reason(config, dense_records(config, state.records))) is None:
        state = _advance(state, course, crystal, config, communicator)
        after(state)
    refined: ListedProblem | None = None
    if config.refine:
        refiner = Refiner(problem, orientations, crystal, config, communicator)
        state, refined, reason = refiner.run(state, after)
    if store is not None and communicator.rank == 0:
        store.save(state)
    group = symmetry_of(config.orientations, crystal)
    n_equivalent = 1 if group is None else len(group)
    options = config.intensity_floor, config.view_weights, n_equivalent, communicator
    if refined is not None:
        merged, halves, found = last_look_listed(refined, state.volume, *options)
    else:
        parameters = course.parameters.with_own(course.held_out, course.held_out_frames, state.volume, state.memory)
        frames = course.parameters.fit(problem, np.arange(problem.n_frames), parameters)
        merged, halves, found = last_look(problem, state.volume, orientations, *options, frames)
    # The scatter of equivalents tells the errors of merged intensities, so the result is not symmetrized itself.
    volume = state.volume if config.symmetry == "none" else merged.values
    return Reconstruction(
        IntensityVolume(volume, merged.weight, problem.rows.voxels_per_cell),
        halves,
        found,
        state.records,
        reason,
        len(orientations if refined is None else refined.orientations),
    )


def _best_start(
    course: _Course, problem: Problem, crystal: Crystal, config: ReconstructConfig, communicator: Communicator
) -> State:
    """Make one starting state, or iterate several a little and return the one of the highest log-likelihood."""
    best, highest = None, -np.inf
    first = course.problem(replace(next_step(config, (), course.photons_per_frame), minibatch=False))
    for number in range(config.starts):
        # The first start is the one that a run without others would have.
        rng = np.random.default_rng([config.seed, number] if number else config.seed)
        volume = starting_volume(course.updated, first, crystal, config, communicator, rng)
        volume, memory = course.parameters.start(problem, volume)
        start = State(volume, (), memory)
        if config.starts == 1:
            return start
        state = start
        for _ in range(config.start_iterations):
            state = _advance(state, course, crystal, config, communicator)
        value = state.records[-1].log_likelihood_per_photon
        if value > highest:
            best, highest = start, value
    if best is None:
        raise ConvergenceError("no start has a finite log-likelihood; is the data empty?")
    return best


def _advance(
    state: State, course: _Course, crystal: Crystal, config: ReconstructConfig, communicator: Communicator
) -> State:
    """Carry out one step."""
    step = next_step(config, state.records, course.photons_per_frame, "fallback" in state.memory)
    local = course.problem(step)
    sweep = Sweep.of_step(config, step, local, state.memory, communicator)
    start = cropped(state.volume, local.rows.n_voxels)
    frames = course.frames(step)
    fit = course.parameters.fit(local, frames, state.memory)
    update, numbers = iterate(
        local,
        start,
        step.number,
        step.beta,
        config.intensity_floor,
        config.view_weights,
        communicator,
        config.likelihood_table,
        fit,
        sweep,
    )
    memory: dict[str, NDArray[np.float64]] = {}
    change = numbers.change
    if step.minibatch and config.minibatch is not None:
        former = None
        if step.number_in_stage > 1 and "photons" in state.memory:
            former = state.memory["photons"], state.memory["weight"]
        update, sums = averaged(former, update, step.number_in_stage, config.minibatch.averaging_exponent)
        memory |= {"photons": sums[0], "weight": sums[1]}
    if config.symmetry == "laue":
        update = symmetrized(update, crystal)
    if step.minibatch or config.symmetry != "none":
        change = relative_change(update, start)
    length = float(state.memory.get("length", np.zeros(1))[0])
    record = step_record(numbers, step, local.n_orientations, local.n_frames, length, change)
    if sweep is not None:
        windows, told = sweep.finish()
        memory |= windows.memory()
        record = replace(record, **told)
    # Ranks time themselves and may round differently; rank 0's record decides for all when to stop.
    record = communicator.share(record)
    if not np.isfinite(record.change) or not np.isfinite(record.log_likelihood_per_photon):
        raise ConvergenceError(f"iteration {step.number} gave no finite change or likelihood; {record}")
    volume = update.values
    if step.stage < len(config.march) or len(start) < len(state.volume):
        volume = embedded(state.volume, volume, update.weight > 0)
    # The last record is that of x1, a plain iterate; this one is that of the extrapolated start.
    if "fallback" in state.memory and not is_kept(state.records[-1], record, config.acceleration_fall):
        record = replace(record, rejected=1)
        volume = state.memory["fallback"]
    memory |= course.parameters.kept(state.memory, frames, None if record.rejected else fit)
    if course.held_out is not None and config.held_out is not None and step.number % config.held_out.every == 0:
        look, own = course.parameters.look(course.held_out, course.held_out_frames, volume, memory)
        memory |= own
        record = replace(record, held_out_log_likelihood_per_photon=look)
    records = (*state.records, record)
    if may_extrapolate(config, step) and "fallback" not in state.memory and stop_reason(config, records) is None:
        if "former" not in state.memory:
            memory["former"] = state.volume
        else:
            moved, length = _moved(state, volume, config, communicator)
            if length > 0:
                memory |= {"fallback": volume, "length": np.array([length])}
                volume = moved
    return State(volume, records, memory)


def _moved(
    state: State, volume: NDArray[np.float64], config: ReconstructConfig, communicator: Communicator
) -> tuple[NDArray[np.float64], float]:
    limit = step_limit((record.extrapolation, bool(record.rejected)) for record in state.records)
    moved, length = extrapolate(state.memory["former"], state.volume, volume, config.acceleration_scale, limit)
    if communicator.size > 1:
        moved, length = communicator.share((moved, length) if communicator.rank == 0 else None)
    return moved, length
