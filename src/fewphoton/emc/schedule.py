"""What each iteration does, and when to stop; all of it follows from the configuration and the finished iterations.

A resumed run therefore goes on as the interrupted one would have.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from fewphoton.config.reconstruct import ReconstructConfig
from fewphoton.emc.held_out import without_gain
from fewphoton.emc.iteration_record import IterationRecord

Records = tuple["StepRecord", ...]


@dataclass(frozen=True)
class StepRecord(IterationRecord):
    """Numbers of one iteration, with the options in force.

    Parameters
    ----------
    stage : int
        Stage of the march, from 0; the full reconstruction comes after it, and the stages of refinement last.
    orientations, frames : int
        Orientations and frames that took part.
    extrapolation : float
        Length of the extrapolation that made the start of this iteration; 0 after plain steps.
    rejected : int
        1 where that extrapolation lowered the log-likelihood and was taken back together with this iteration.
    held_out_log_likelihood_per_photon : float
        Of the frames kept out, given the volume after this iteration; NaN where they were not looked at.
    windowed : int
        1 where frames were judged on their windows alone, 0 after a sweep over all orientations.
    window_fraction, kept_fraction : float
        Part of the orientations in which frames were judged, and that entered the update (means over frames).
    dropped_mass : float
        Mean probability that did not enter the update.
    missed_mass : float
        Mean probability outside the former windows, as a full sweep finds it; NaN where there were none.
    """

    stage: int = 0
    orientations: int = 0
    frames: int = 0
    extrapolation: float = 0.0
    rejected: int = 0
    held_out_log_likelihood_per_photon: float = math.nan
    windowed: int = 0
    window_fraction: float = 1.0
    kept_fraction: float = 1.0
    dropped_mass: float = 0.0
    missed_mass: float = math.nan


@dataclass(frozen=True)
class Step:
    """Plan of one iteration.

    Parameters
    ----------
    number : int
        From 1.
    stage : int
        Stage of the march.
    number_in_stage : int
        From 1.
    likelihood_q_fraction : float
        Pixels up to this fraction of the largest q judge the orientations.
    beta : float
        Exponent of the likelihood.
    minibatch : bool
        Only a part of the frames takes part.
    windowed : bool
        Frames are judged on their windows alone.
    """

    number: int
    stage: int
    number_in_stage: int
    likelihood_q_fraction: float
    beta: float
    minibatch: bool
    windowed: bool = False


def automatic_beta(photons_per_frame: float) -> float:
    """Exponent of the likelihood to start from, given the mean photons of a frame.

    ``exp(-6.5 (N / 1e5)^0.15)``, the rule that Dragonfly documents (Ayyer et al. 2016,
    doi:10.1107/S1600576716008165): 0.13 at 48 photons, 0.041 at 896.
    """
    return math.exp(-6.5 * (photons_per_frame / 1e5) ** 0.15)


def beta_at(config: ReconstructConfig, iteration: int, photons_per_frame: float) -> float:
    """Return the exponent of the likelihood at an iteration (from 1)."""
    start = config.beta_start if config.beta_start != "automatic" else automatic_beta(photons_per_frame)
    return min(1.0, start * config.beta_factor ** ((iteration - 1) // config.beta_every))


def next_step(
    config: ReconstructConfig, records: Records, photons_per_frame: float, extrapolated: bool = False
) -> Step:
    """Plan the iteration after the finished ones; ``extrapolated`` tells that it starts from no plain iterate."""
    number = len(records) + 1
    stage = records[-1].stage if records else 0
    done = sum(record.stage == stage for record in records)
    if stage < len(config.march) and done > 0:
        plan = config.march[stage]
        settled = records[-1].beta == 1.0 and records[-1].change < plan.tolerance
        if done >= plan.iterations or (settled and not _is_minibatch(config, number - 1)):
            stage, done = stage + 1, 0
    limit = 1.0
    if stage > 0 and done == 0:
        limit = config.march[stage - 1].q_fraction
    beta = beta_at(config, number, photons_per_frame)
    minibatch = _is_minibatch(config, number)
    windowed = not (extrapolated or minibatch or done == 0) and _windows_hold(config, records, beta)
    return Step(number, stage, done + 1, limit, beta, minibatch, windowed)


def _windows_hold(config: ReconstructConfig, records: Records, beta: float) -> bool:
    """Tell whether the windows of the last full sweep, over the same frames and orientations, serve once more."""
    if config.windows is None:
        return False
    last = records[-1]
    since = next(number for number, record in enumerate(reversed(records)) if not record.windowed)
    sweep = records[-1 - since]
    if since >= config.windows.full_sweep_every - 1 or last.rejected or sweep.beta != beta:
        return False
    # What seems to be at rest is judged by a full sweep.
    if last.windowed and last.change < config.tolerance:
        return False
    return sweep.missed_mass <= config.windows.missed_mass


def dense_records(config: ReconstructConfig, records: Records) -> Records:
    """Return the records of the march and the full reconstruction, without those of refinement after it."""
    return tuple(record for record in records if record.stage <= len(config.march))


def _is_minibatch(config: ReconstructConfig, number: int) -> bool:
    return config.minibatch is not None and number <= config.minibatch.iterations


def may_extrapolate(config: ReconstructConfig, step: Step) -> bool:
    """Tell whether an iteration is one that acceleration may build on."""
    settled = step.likelihood_q_fraction >= 1.0 and step.beta == 1.0 and not step.minibatch
    return config.acceleration == "squarem" and settled and step.stage == len(config.march)


def has_converged(config: ReconstructConfig, records: Records) -> bool:
    """Tell whether the last change is below the tolerance, with everything in force: full likelihood, all pixels."""
    if not records or records[-1].stage < len(config.march):
        return False
    last = records[-1]
    transfer = bool(config.march) and sum(record.stage == last.stage for record in records) == 1
    if last.rejected or last.windowed or transfer or _is_minibatch(config, len(records)):
        return False
    return last.beta == 1.0 and last.change < config.tolerance


def stop_reason(config: ReconstructConfig, records: Records) -> Literal["change", "held_out", "iterations"] | None:
    """Return why the iteration ends here: ``change``, ``held_out`` or ``iterations``; None while it goes on."""
    if has_converged(config, records):
        return "change"
    if config.held_out is not None:
        looks = [
            record.held_out_log_likelihood_per_photon
            for record in records
            if record.stage == len(config.march) and record.beta == 1.0
        ]
        if without_gain([look for look in looks if not np.isnan(look)], config.held_out):
            return "held_out"
    return "iterations" if len(records) >= config.max_iterations else None


def step_record(
    record: IterationRecord, step: Step, orientations: int, frames: int, extrapolation: float, change: float
) -> StepRecord:
    """Return the record of an iteration with its plan and the ``change`` that its whole update made."""
    numbers = asdict(record) | {"change": change}
    return StepRecord(
        **numbers, stage=step.stage, orientations=orientations, frames=frames, extrapolation=extrapolation
    )
