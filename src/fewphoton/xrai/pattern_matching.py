"""Matching and merging in turn from random starts: M-TIP's way with poses, and EMC's.

With the best match of each pattern this is the orientation step of multi-tiered iterative phasing (Donatelli, Sethian &
Zwart 2017, doi:10.1073/pnas.1708217114) without its phasing; with probabilities it is EMC (Loh & Elser 2009,
doi:10.1103/PhysRevE.80.026705). Neither refines poses between those of its sample: see
:func:`fewphoton.xrai.pose_matching.pose_floor` for what that costs.

Starts are ranked by the log-likelihood of frames that no volume holds; the truth is never asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from fewphoton.config.pose_estimation import MatchPatternsConfig
from fewphoton.data import Orientations
from fewphoton.xrai.estimation_problem import EstimationProblem
from fewphoton.xrai.merging import radial_start
from fewphoton.xrai.pose_matching import match, oblique_sample
from fewphoton.xrai.posterior_merge import posterior_step


@dataclass(frozen=True)
class MatchRecord:
    """One iteration.

    Parameters
    ----------
    start : int
        Random start it belongs to.
    iteration : int
        Its number, from 1, in this start.
    q_fraction, beta : float
        Part of the largest q, and exponent of the likelihood.
    log_likelihood, held_out_log_likelihood : float
        Mean over merged and held-out frames at the volume that the iteration began with, up to a constant of the data
        set; of the pixels that took part.
    entropy_nat : float
        Mean entropy of the probabilities; 0 where the best match is taken.
    moved_fraction : float
        Part of the frames whose best orientation changed.
    seconds, patterns_per_second : float
        Time, and patterns matched in it.
    """

    start: int
    iteration: int
    q_fraction: float
    beta: float
    log_likelihood: float
    held_out_log_likelihood: float
    entropy_nat: float
    moved_fraction: float
    seconds: float
    patterns_per_second: float


@dataclass(frozen=True, eq=False)
class MatchState:
    """Where a run stands after a number of steps.

    Parameters
    ----------
    volume : Tensor of float32
        Where the next iteration begins.
    best_volume : Tensor of float32
        That of the best finished start.
    best_start : int
        Its number, -1 before the first is finished.
    orientation : ndarray of int64, `(n_informative,)`
        Orientation of each frame; -1 before the first iteration.
    records : tuple of MatchRecord
        All iterations so far.
    """

    volume: Tensor
    best_volume: Tensor
    best_start: int
    orientation: NDArray[np.int64]
    records: tuple[MatchRecord, ...]


@dataclass(frozen=True, eq=False)
class Matched:
    """The outcome.

    Parameters
    ----------
    orientation : ndarray of int64, `(n_informative,)`
        Orientation of each frame in the sample.
    score : ndarray of float64, `(n_informative,)`
        Log-likelihood there (best match), or averaged over the sample (posterior).
    probability, entropy_nat : ndarray of float64, `(n_informative,)`
        Of the probabilities; NaN for best matches.
    volume, weight : Tensor
        Merged from all frames, those held out so far included.
    """

    orientation: NDArray[np.int64]
    score: NDArray[np.float64]
    probability: NDArray[np.float64]
    entropy_nat: NDArray[np.float64]
    volume: Tensor
    weight: Tensor


def n_steps(config: MatchPatternsConfig) -> int:
    """Return the number of iterations over all starts."""
    if config.starts == 1:
        return config.iterations
    return (config.starts - 1) * config.start_iterations + config.iterations


def match_patterns(
    problem: EstimationProblem,
    config: MatchPatternsConfig,
    state: MatchState | None = None,
    save: Callable[[MatchState], None] = lambda state: None,
    report: Callable[[MatchRecord], None] = lambda record: None,
) -> tuple[Matched, MatchState]:
    """Run all starts, and the best one to its end.

    Parameters
    ----------
    problem : EstimationProblem
        What is sought.
    config : MatchPatternsConfig
        Sample, assignment, iterations, starts.
    state : MatchState, optional
        To go on from.
    save, report : callable
        Called after each iteration.
    """
    sample = oblique_sample(config.level)
    steps = _steps(config)
    if state is None:
        empty = torch.zeros((problem.views.n_voxels,) * 3, dtype=torch.float32, device=problem.views.device)
        state = MatchState(empty, empty, -1, np.full(len(problem.frame), -1), ())
    for start, iteration in steps[len(state.records) :]:
        if iteration == 1:
            state = replace(state, volume=start_volume(problem, config, start))
        elif start < 0:
            start = state.best_start
            if iteration == config.start_iterations + 1:
                state = replace(state, volume=state.best_volume)
        state = _iterate(problem, config, sample, state, start, iteration)
        if config.starts > 1 and iteration == config.start_iterations:
            state = _ranked(state, start)
        save(state)
        report(state.records[-1])
    if config.starts > 1 and config.iterations == config.start_iterations:
        state = replace(state, volume=state.best_volume)
    matched, _ = _assigned(problem, config, sample, state.volume, None, 1.0, np.ones(len(problem.frame), dtype=bool))
    return matched, state


def start_volume(problem: EstimationProblem, config: MatchPatternsConfig, start: int) -> Tensor:
    """Return the volume of a random start: the frames' mean in each shell times smooth random factors."""
    rng = np.random.default_rng([config.seed, 1, start])
    poses = Rotation.random(len(problem.frame), rng).as_quat(scalar_first=True)
    mean, _ = problem.merged(poses, ~problem.held_out)
    return radial_start(mean, rng, config.start_contrast, config.start_width_voxels)


def _steps(config: MatchPatternsConfig) -> list[tuple[int, int]]:
    """Start and iteration of each step; start -1 is the best of all."""
    if config.starts == 1:
        return [(0, iteration) for iteration in range(1, config.iterations + 1)]
    first = config.start_iterations
    tried = [(start, iteration) for start in range(config.starts) for iteration in range(1, first + 1)]
    return tried + [(-1, iteration) for iteration in range(first + 1, config.iterations + 1)]


def _schedule(config: MatchPatternsConfig, iteration: int) -> tuple[float, float]:
    """Fraction of the largest q, and exponent of the likelihood."""
    annealing = config.annealing
    if annealing is None or iteration > annealing.iterations:
        return 1.0, 1.0
    done = (iteration - 1) / annealing.iterations
    first = annealing.first_q_fraction
    return first + (1 - first) * done, annealing.first_beta ** (1 - done)


def _iterate(
    problem: EstimationProblem,
    config: MatchPatternsConfig,
    sample: Orientations,
    state: MatchState,
    start: int,
    iteration: int,
) -> MatchState:
    began = time.perf_counter()
    q_fraction, beta = _schedule(config, iteration)
    length = np.linalg.norm(problem.views.q_inv_angstrom, axis=1)
    pixels = length <= q_fraction * length.max() if q_fraction < 1 else None
    matched, volume = _assigned(problem, config, sample, state.volume, pixels, beta, ~problem.held_out)
    seconds = time.perf_counter() - began
    record = MatchRecord(
        start,
        iteration,
        q_fraction,
        beta,
        float(matched.score[~problem.held_out].mean()),
        float(matched.score[problem.held_out].mean()),
        float(np.nan_to_num(matched.entropy_nat).mean()),
        float((matched.orientation != state.orientation).mean()),
        seconds,
        len(problem.frame) / seconds,
    )
    return replace(state, volume=volume, orientation=matched.orientation, records=(*state.records, record))


def _assigned(
    problem: EstimationProblem,
    config: MatchPatternsConfig,
    sample: Orientations,
    volume: Tensor,
    pixels: NDArray[np.bool_] | None,
    beta: float,
    chosen: NDArray[np.bool_],
) -> tuple[Matched, Tensor]:
    """Match all frames, and merge the chosen ones."""
    views, noise, patterns, frame = problem.views, problem.noise, problem.patterns, problem.frame
    if config.assignment == "posterior":
        step = posterior_step(
            views, volume, noise, patterns, frame, sample, beta, pixels=pixels, merged=None if chosen.all() else chosen
        )
        matched = Matched(
            step.orientation, step.log_likelihood, step.probability, step.entropy_nat, step.volume, step.weight
        )
        return matched, step.volume
    found = match(views, volume, noise, patterns, frame, sample, pixels=pixels)
    orientation = found.orientation[:, 0]
    quaternion = sample.quaternion[orientation]
    merged, weight = problem.merged(quaternion, chosen, problem.fluences(volume, quaternion))
    unknown = np.full(len(frame), np.nan)
    return Matched(orientation, found.score[:, 0], unknown, unknown, merged, weight), merged


def _ranked(state: MatchState, start: int) -> MatchState:
    """Keep the volume of a finished start where it explains the held-out frames best so far."""
    last = {record.start: record.held_out_log_likelihood for record in state.records}
    if state.best_start < 0 or last[start] > last[state.best_start]:
        return replace(state, best_volume=state.volume, best_start=start)
    return state
