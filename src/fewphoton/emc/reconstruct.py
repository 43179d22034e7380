"""The EMC loop: start, iterate, stop, and a last look at the frames (Ayyer et al. 2015, section 2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.reconstruct import ReconstructConfig
from fewphoton.data import Crystal, FrameOrientations, IntensityVolume, Orientations
from fewphoton.emc.communicator import Communicator
from fewphoton.emc.iteration import IterationRecord, Views, expected_table, iterate, merge, posteriors
from fewphoton.emc.problem import Problem
from fewphoton.emc.start_model import random_peaks
from fewphoton.errors import ConvergenceError


@dataclass(frozen=True, eq=False)
class State:
    """All that the next iteration depends on.

    Parameters
    ----------
    volume : ndarray of float64, `(n, n, n)`
        Current intensity.
    records : tuple of IterationRecord
        Finished iterations.
    """

    volume: NDArray[np.float64]
    records: tuple[IterationRecord, ...] = ()


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
        The last iterate.
    halves : tuple of IntensityVolume
        Merged from the even and the odd frames alone, with the orientation probabilities of all frames' volume.
    orientations : FrameOrientations
        What the last volume says of each frame.
    records : tuple of IterationRecord
        One an iteration.
    converged : bool
        Whether the change fell below the tolerance.
    """

    volume: IntensityVolume
    halves: tuple[IntensityVolume, IntensityVolume]
    orientations: FrameOrientations
    records: tuple[IterationRecord, ...]
    converged: bool


def beta_at(config: ReconstructConfig, iteration: int) -> float:
    """Return the exponent of the likelihood at an iteration (from 1)."""
    return min(1.0, config.beta_start * config.beta_factor ** ((iteration - 1) // config.beta_every))


def default_orientations(n_voxels: int) -> int:
    """Angles that step by one voxel at the edge of the grid: pi times its voxels (paper: 1150 for 366)."""
    return round(np.pi * n_voxels)


def starting_state(problem: Problem, crystal: Crystal, config: ReconstructConfig, communicator: Communicator) -> State:
    """Make the random starting volume, scaled to the photons per frame of the data."""
    rows = problem.rows
    volume = random_peaks(
        crystal,
        rows.n_voxels,
        rows.voxels_per_cell,
        config.start_width_voxels,
        config.start_background,
        np.random.default_rng(config.seed),
    )
    expected = expected_table(problem, volume)[1]
    total = np.array([expected.sum()])
    communicator.sum(total)
    mean_photons = problem.likelihood_photons / problem.n_informative_frames
    if not total[0] > 0:
        raise ConvergenceError("the starting volume is empty where the detector looks; enlarge the grid")
    return State(volume * (mean_photons * problem.n_orientations / float(total[0])))


def has_converged(config: ReconstructConfig, records: tuple[IterationRecord, ...]) -> bool:
    """Tell whether the last change is below the tolerance, with the full likelihood in force."""
    return bool(records) and records[-1].beta == 1.0 and records[-1].change < config.tolerance


def reconstruct(
    problem: Problem,
    crystal: Crystal,
    orientations: Orientations,
    config: ReconstructConfig,
    communicator: Communicator,
    store: CheckpointStore | None = None,
    report: Callable[[IterationRecord], None] = lambda record: None,
) -> Reconstruction:
    """Iterate from a random start, or from the last checkpoint, until the volume stops changing.

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
        Called on rank 0 with the record of each iteration.

    Returns
    -------
    Reconstruction
        The same on all ranks but for timings.
    """
    saved = store.load() if store is not None and communicator.rank == 0 else None
    state = communicator.share(saved)
    if state is None:
        state = starting_state(problem, crystal, config, communicator)
    expected_shape = (problem.rows.n_voxels,) * 3
    if state.volume.shape != expected_shape:
        raise ConvergenceError(
            f"the checkpoint holds a volume of {state.volume.shape}, this run needs {expected_shape}; remove it"
        )
    while len(state.records) < config.max_iterations and not has_converged(config, state.records):
        number = len(state.records) + 1
        volume, record = iterate(
            problem,
            state.volume,
            number,
            beta_at(config, number),
            config.intensity_floor,
            config.view_weights,
            communicator,
        )
        # Ranks time themselves and may round differently; rank 0's record decides for all when to stop.
        record = communicator.share(record)
        if not np.isfinite(record.change) or not np.isfinite(record.log_likelihood_per_photon):
            raise ConvergenceError(f"iteration {number} gave no finite change or likelihood; {record}")
        state = State(volume.values, (*state.records, record))
        if communicator.rank == 0:
            report(record)
            if store is not None and number % config.checkpoint_every == 0:
                store.save(state)
    if store is not None and communicator.rank == 0:
        store.save(state)
    return _last_look(problem, state, orientations, config, communicator)


def _last_look(
    problem: Problem,
    state: State,
    orientations: Orientations,
    config: ReconstructConfig,
    communicator: Communicator,
) -> Reconstruction:
    """Merge half sets and note the best orientation of each frame under the final volume."""
    views = Views.empty(problem)
    even = Views.empty(problem)
    best, probability, entropy, evidence = [], [], [], []
    for batch, posterior in posteriors(problem, state.volume, 1.0, config.intensity_floor, communicator):
        informative = batch.likelihood_photons > 0
        local_best = posterior.probability.argmax(axis=1)
        value = posterior.probability[np.arange(batch.n_frames), local_best]
        values = np.stack(communicator.gather(value))
        candidates = np.stack(communicator.gather(local_best + problem.first_orientation))
        winner = values.argmax(axis=0), np.arange(batch.n_frames)
        best.append(np.where(informative, candidates[winner], -1))
        probability.append(np.where(informative, values[winner], 0.0))
        entropy.append(np.where(informative, posterior.entropy_nat, np.log(problem.n_orientations)))
        evidence.append(posterior.log_evidence)
        views.add(batch, posterior.probability)
        number = batch.first_frame + np.arange(batch.n_frames)
        posterior.probability[number % 2 == 1] = 0.0
        even.add(batch, posterior.probability)
    odd = Views(views.photons - even.photons, views.exposure - even.exposure)
    # Differences of rounded sums can fall below zero where the odd frames saw nothing.
    odd.photons[odd.photons < 0] = 0.0
    full = merge(problem, views, config.view_weights, communicator)
    halves = (
        merge(problem, even, config.view_weights, communicator),
        merge(problem, odd, config.view_weights, communicator),
    )
    chosen = np.concatenate(best)
    angle = orientations.angle_deg
    if angle is None:
        raise ConvergenceError("frame angles need an axis scan")
    return Reconstruction(
        IntensityVolume(state.volume, full.weight, problem.rows.voxels_per_cell),
        halves,
        FrameOrientations(
            best_angle_deg=np.where(chosen >= 0, angle[chosen], np.nan),
            best_orientation=chosen,
            best_probability=np.concatenate(probability),
            entropy_nat=np.concatenate(entropy),
            log_likelihood=np.concatenate(evidence),
            angle_deg=angle,
        ),
        state.records,
        has_converged(config, state.records),
    )
