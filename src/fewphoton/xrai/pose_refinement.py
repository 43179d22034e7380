"""Refining poses: merge and local search in turn, new matches for the frames that fit worst, candidates at low counts.

A round merges all frames that are not held out at their poses, and searches a better pose for every frame near its own
(:mod:`fewphoton.xrai.local_search`). After the first rounds the frames that differ most from their views, by their own
likelihood, are matched anew over all rotations, each from several of its best matches; a match replaces a pose only
where it is the likelier one. Frames of few photons first pass iterations over candidate poses with probabilities
(:mod:`fewphoton.xrai.candidate_poses`). The truth enters nowhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fewphoton.config.pose_estimation import RefinePosesConfig
from fewphoton.data.point_group import rotation_angles_deg
from fewphoton.xrai.candidate_poses import Candidates, candidate_poses, merge_candidates
from fewphoton.xrai.estimation_problem import EstimationProblem
from fewphoton.xrai.local_search import search_locally
from fewphoton.xrai.pose_matching import match, oblique_sample


@dataclass(frozen=True)
class RefineRecord:
    """One iteration over candidates, or one round.

    Parameters
    ----------
    kind : str
        ``candidates`` or ``search``.
    number : int
        From 1, of its kind.
    log_likelihood, held_out_log_likelihood : float
        Mean over merged and held-out frames after the search, at the volume of the round's beginning, up to a constant
        of the data set; of candidates averaged over them.
    moved_median_deg : float
        Median rotation by which poses moved.
    rematched_fraction : float
        Part of the frames to which a new match gave a likelier pose.
    entropy_nat : float
        Mean entropy of the candidates' probabilities; 0 of rounds of search.
    seconds, patterns_per_second : float
        Time, and patterns in it.
    """

    kind: str
    number: int
    log_likelihood: float
    held_out_log_likelihood: float
    moved_median_deg: float
    rematched_fraction: float
    entropy_nat: float
    seconds: float
    patterns_per_second: float


@dataclass(frozen=True, eq=False)
class RefinedPoses:
    """The outcome.

    Parameters
    ----------
    quaternion : ndarray of float64, `(n_informative, 4)`
        Poses.
    log_likelihood : ndarray of float64, `(n_informative,)`
        At these poses up to a constant of the frame, frames held out so far at the volume of the others.
    fluence : ndarray of float64, `(n_informative,)`
        Fluences, mean 1.
    probability, entropy_nat : ndarray of float64, `(n_informative,)`
        Of the candidates' probabilities where these came last, else NaN.
    volume, weight : Tensor
        Merged from all frames.
    records : tuple of RefineRecord
        What happened.
    """

    quaternion: NDArray[np.float64]
    log_likelihood: NDArray[np.float64]
    fluence: NDArray[np.float64]
    probability: NDArray[np.float64]
    entropy_nat: NDArray[np.float64]
    volume: Tensor
    weight: Tensor
    records: tuple[RefineRecord, ...]


@dataclass(frozen=True, eq=False)
class RefineState:
    """Where a run stands after a number of iterations and rounds.

    Parameters
    ----------
    quaternion : ndarray of float64, `(n_informative, 4)`
        Poses.
    fluence, value : ndarray of float64, `(n_informative,)`
        Fluences, and log-likelihoods up to a constant of the frame.
    records : tuple of RefineRecord
        All iterations and rounds so far.
    volume : Tensor of float32, optional
        Where the next one begins; without it, with the frames merged at their poses.
    candidates : Candidates, optional
        Those of the last iteration, where the final volume is merged from them.
    """

    quaternion: NDArray[np.float64]
    fluence: NDArray[np.float64]
    value: NDArray[np.float64]
    records: tuple[RefineRecord, ...]
    volume: Tensor | None
    candidates: Candidates | None


def refine_poses(
    problem: EstimationProblem,
    config: RefinePosesConfig,
    quaternion: NDArray[np.float64],
    volume: Tensor | None = None,
    report: Callable[[RefineRecord], None] = lambda record: None,
    state: RefineState | None = None,
    save: Callable[[RefineState], None] = lambda state: None,
) -> RefinedPoses:
    """Refine.

    Parameters
    ----------
    problem : EstimationProblem
        What is sought.
    config : RefinePosesConfig
        Rounds, steps, matches, candidates.
    quaternion : ndarray of float64, `(n_informative, 4)`
        Poses to begin with; rows of NaN are unknown.
    volume : Tensor of float32, optional
        Volume to begin with. Default: merged from the frames whose poses are known.
    report : callable
        Called after each iteration and round.
    state : RefineState, optional
        Where an interrupted run stood; poses and volume to begin with are then not looked at.
    save : callable
        Called with the state after each iteration and round.
    """
    refinement = _Refinement(problem, config, report, save)
    if state is None:
        refinement.begin(quaternion, volume)
    else:
        refinement.go_on_from(state)
    if config.candidates is not None:
        refinement.over_candidates()
    if config.merge == "best":
        refinement.by_search()
    return refinement.finished()


class _Refinement:
    """The state that rounds change."""

    quaternion: NDArray[np.float64]
    fluence: NDArray[np.float64]
    value: NDArray[np.float64]
    candidates: Candidates | None = None
    _given: Tensor | None

    def __init__(
        self,
        problem: EstimationProblem,
        config: RefinePosesConfig,
        report: Callable[[RefineRecord], None],
        save: Callable[[RefineState], None],
    ) -> None:
        self.problem, self.config, self._report, self._save = problem, config, report, save
        self.records: list[RefineRecord] = []

    def begin(self, quaternion: NDArray[np.float64], volume: Tensor | None) -> None:
        """Take poses and a volume; match the frames whose pose is unknown."""
        problem = self.problem
        self.quaternion = quaternion.copy()
        self.fluence = np.ones(len(quaternion))
        self.value = np.full(len(quaternion), -np.inf)
        self._given = volume
        unknown = ~np.isfinite(quaternion).all(axis=1)
        if unknown.any():
            self.quaternion[unknown] = [1.0, 0.0, 0.0, 0.0]
            start = problem.merged(self.quaternion, ~unknown & ~problem.held_out)[0] if volume is None else volume
            self._match_anew(start, np.flatnonzero(unknown))

    def go_on_from(self, state: RefineState) -> None:
        """Take a saved state."""
        self.quaternion, self.fluence, self.value = state.quaternion, state.fluence, state.value
        self.records, self.candidates, self._given = list(state.records), state.candidates, state.volume

    def over_candidates(self) -> None:
        """Iterate over candidates; the likeliest becomes a frame's pose."""
        problem, config = self.problem, self.config.candidates
        assert config is not None  # asked for by the caller
        done = self._done("candidates")
        if done == config.iterations:
            return
        sample = oblique_sample(config.level)
        volume = self._merged()
        for number in range(done + 1, config.iterations + 1):
            began = time.perf_counter()
            found = candidate_poses(
                problem.views, volume, problem.noise, problem.patterns, problem.frame, sample, config.per_frame
            )
            held_out = np.isin(found.frame, problem.frame[problem.held_out])
            volume, _ = merge_candidates(problem.views, problem.patterns, found, ~held_out)
            best, _, entropy = found.best()
            moved = rotation_angles_deg(self.quaternion, best)
            self.quaternion, self.value, self._given = best, found.log_likelihood, volume
            self.candidates = found if self.config.merge == "posterior" else None
            self.fluence = problem.fluences(volume, best)
            self._record("candidates", number, moved, 0.0, float(entropy.mean()), began)

    def by_search(self) -> None:
        """Run the rounds of merging and local search."""
        problem, config = self.problem, self.config
        steps = np.geomspace(config.first_step_deg, config.last_step_deg, config.rounds * config.search_steps)
        for number in range(self._done("search") + 1, config.rounds + 1):
            began = time.perf_counter()
            volume = self._merged()
            part = steps[(number - 1) * config.search_steps : number * config.search_steps]
            found = search_locally(
                problem.views,
                volume,
                problem.noise,
                problem.patterns,
                problem.frame,
                self.quaternion,
                tuple(part.tolist()),
            )
            moved = rotation_angles_deg(self.quaternion, found.quaternion)
            self.quaternion, self.value = found.quaternion, found.log_likelihood
            rematched = 0.0
            n_worst = round(config.rematch_fraction * len(self.quaternion))
            if number <= config.rematch_rounds and n_worst:
                volume = self._merged()
                misfit = problem.misfits(volume, self.quaternion)
                rematched = self._match_anew(volume, np.sort(np.argsort(misfit)[-n_worst:]))
            self._record("search", number, moved, rematched, 0.0, began)

    def finished(self) -> RefinedPoses:
        """Score the held-out frames once more, and merge all."""
        problem, n = self.problem, len(self.quaternion)
        probability, entropy = np.full(n, np.nan), np.full(n, np.nan)
        if self.candidates is not None:
            _, probability, entropy = self.candidates.best()
            volume, weight = merge_candidates(problem.views, problem.patterns, self.candidates)
        else:
            everyone = np.ones(n, dtype=bool)
            volume, weight = problem.merged(self.quaternion, everyone, self.fluence, self.config.sharpenings)
        return RefinedPoses(
            self.quaternion, self.value, self.fluence, probability, entropy, volume, weight, tuple(self.records)
        )

    def _done(self, kind: str) -> int:
        return sum(record.kind == kind for record in self.records)

    def _merged(self) -> Tensor:
        """Volume of the frames that are not held out; what was given comes first, once."""
        volume, self._given = self._given, None
        if volume is None:
            volume, _ = self.problem.merged(self.quaternion, ~self.problem.held_out, self.fluence)
        self.fluence = self.problem.fluences(volume, self.quaternion)
        return volume

    def _match_anew(self, volume: Tensor, chosen: NDArray[np.int64]) -> float:
        """Match some frames over all rotations; return the part of all frames that took the match."""
        problem, config = self.problem, self.config
        sample = oblique_sample(config.rematch_level)
        frame = problem.frame[chosen]
        found = match(
            problem.views, volume, problem.noise, problem.patterns, frame, sample, n_best=config.rematch_candidates
        )
        n_best = found.orientation.shape[1]
        starts = sample.quaternion[found.orientation].reshape(-1, 4)
        steps = tuple(np.geomspace(config.first_step_deg, config.last_step_deg, config.search_steps).tolist())
        args = problem.views, volume, problem.noise, problem.patterns
        searched = search_locally(*args, np.repeat(frame, n_best), starts, steps)
        value = searched.log_likelihood.reshape(-1, n_best)
        best = value.argmax(axis=1)
        rows = np.arange(len(chosen))
        # Values of the last search belong to another volume; both poses are compared at this one.
        now = search_locally(*args, frame, self.quaternion[chosen], ())
        # A pose that was never searched is unknown: any match is better.
        better = (value[rows, best] > now.log_likelihood) | ~np.isfinite(self.value[chosen])
        self.quaternion[chosen[better]] = searched.quaternion.reshape(-1, n_best, 4)[rows, best][better]
        self.value[chosen] = np.where(better, value[rows, best], now.log_likelihood)
        return float(better.sum() / len(self.quaternion))

    def _record(
        self, kind: str, number: int, moved: NDArray[np.float64], rematched: float, entropy: float, began: float
    ) -> None:
        held_out, seconds = self.problem.held_out, time.perf_counter() - began
        record = RefineRecord(
            kind,
            number,
            float(self.value[~held_out].mean()),
            float(self.value[held_out].mean()),
            float(np.median(moved)),
            rematched,
            entropy,
            seconds,
            len(self.problem.frame) / seconds,
        )
        self.records.append(record)
        self._report(record)
        self._save(
            RefineState(
                self.quaternion.copy(),
                self.fluence,
                self.value.copy(),
                tuple(self.records),
                self._given,
                self.candidates,
            )
        )
