"""A last look at the frames: half sets, and the best orientation of each frame under the final volume."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import FrameOrientations, IntensityVolume, Orientations
from fewphoton.emc.communicator import Communicator
from fewphoton.emc.frame_model import FrameFit
from fewphoton.emc.iteration import Views, merge, posteriors
from fewphoton.emc.problem import Problem
from fewphoton.errors import ConvergenceError


def last_look(
    problem: Problem,
    volume: NDArray[np.float64],
    orientations: Orientations,
    intensity_floor: float,
    view_weights: str,
    communicator: Communicator,
    frames: FrameFit | None = None,
) -> tuple[IntensityVolume, tuple[IntensityVolume, IntensityVolume], FrameOrientations]:
    """Merge all frames, the even and the odd ones, and note the best orientation of each frame.

    With ``frames``, their fluences and backgrounds are estimated once more, and noted.

    Returns
    -------
    merged : IntensityVolume
        What one more plain step would give.
    halves : tuple of IntensityVolume
        From even and odd frames alone, with the orientation probabilities that ``volume`` gives.
    orientations : FrameOrientations
        One row a frame.

    Raises
    ------
    ConvergenceError
        If the orientations are no axis scan.
    """
    if (angle := orientations.angle_deg) is None:
        raise ConvergenceError("frame angles need an axis scan")
    views = Views.empty(problem)
    even = Views.empty(problem)
    best, probability, entropy, evidence = [], [], [], []
    for batch, posterior in posteriors(problem, volume, 1.0, intensity_floor, communicator, frames=frames):
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
        views.add(batch, posterior.probability, frames)
        number = batch.first_frame + np.arange(batch.n_frames)
        posterior.probability[number % 2 == 1] = 0.0
        even.add(batch, posterior.probability, frames)
    if frames is not None:
        scale = frames.keep_mean_fluence()
        views.exposure /= scale
        even.exposure /= scale
    odd = Views(views.photons - even.photons, views.exposure - even.exposure)
    # Differences of rounded sums can fall below zero where the odd frames saw nothing.
    odd.photons[odd.photons < 0] = 0.0
    merged = merge(problem, views, view_weights, communicator)
    halves = (
        merge(problem, even, view_weights, communicator),
        merge(problem, odd, view_weights, communicator),
    )
    chosen = np.concatenate(best)
    return (
        merged,
        halves,
        FrameOrientations(
            best_angle_deg=np.where(chosen >= 0, angle[chosen], np.nan),
            best_orientation=chosen,
            best_probability=np.concatenate(probability),
            entropy_nat=np.concatenate(entropy),
            log_likelihood=np.concatenate(evidence),
            angle_deg=angle,
            fluence=None if frames is None else frames.updated.fluence,
            background_photons=None if frames is None else frames.updated.background_photons,
        ),
    )
