"""A last look at the frames: half sets, and the best orientation of each frame under the final volume."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import FrameOrientations, IntensityVolume, Orientations
from fewphoton.data.rotation_group import spacing_deg
from fewphoton.emc.communicator import Communicator
from fewphoton.emc.frame_model import FrameFit, FrameParameters
from fewphoton.emc.iteration import merge, posteriors
from fewphoton.emc.problem import Problem
from fewphoton.emc.views import Views


def last_look(
    problem: Problem,
    volume: NDArray[np.float64],
    orientations: Orientations,
    intensity_floor: float,
    view_weights: str,
    n_equivalent: int,
    communicator: Communicator,
    frames: FrameFit | None = None,
) -> tuple[IntensityVolume, tuple[IntensityVolume, IntensityVolume], FrameOrientations]:
    """Merge all frames, the even and the odd ones, and note the best orientation of each frame.

    ``n_equivalent`` is the order of the group by which a sample of all rotations was reduced. With ``frames``, their
    fluences and backgrounds are estimated once more, and noted.

    Returns
    -------
    merged : IntensityVolume
        What one more plain step would give.
    halves : tuple of IntensityVolume
        From even and odd frames alone, with the orientation probabilities that ``volume`` gives.
    orientations : FrameOrientations
        One row a frame.

    """
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
    merged = merge(problem, views, view_weights, communicator)
    first = merge(problem, even, view_weights, communicator)
    # What is left are the odd frames. Differences of rounded sums can fall below zero where these saw nothing.
    views.exposure -= even.exposure
    np.maximum(np.subtract(views.photons, even.photons, out=views.photons), 0.0, out=views.photons)
    halves = first, merge(problem, views, view_weights, communicator)
    return (
        merged,
        halves,
        frame_orientations(
            orientations,
            n_equivalent,
            np.concatenate(best),
            np.concatenate(probability),
            np.concatenate(entropy).astype(np.float32),
            np.concatenate(evidence),
            None if frames is None else frames.updated,
        ),
    )


def frame_orientations(
    orientations: Orientations,
    n_equivalent: int,
    best: NDArray[np.int64],
    probability: NDArray[np.float32],
    entropy_nat: NDArray[np.float32],
    log_likelihood: NDArray[np.float64],
    parameters: FrameParameters | None = None,
) -> FrameOrientations:
    """Turn numbers of orientations into angles and quaternions.

    Parameters
    ----------
    orientations : Orientations
        Sample.
    n_equivalent : int
        Operations of the group by which a sample of all rotations was reduced.
    best : ndarray of int64, `(n_frames,)`
        Most probable orientation; -1 where none is.
    probability, entropy_nat, log_likelihood : ndarray, `(n_frames,)`
        See :class:`~fewphoton.data.frame_orientations.FrameOrientations`.
    parameters : FrameParameters, optional
        Fluences and backgrounds, where they are estimated.
    """
    known = best >= 0
    angle = orientations.angle_deg
    return FrameOrientations(
        best_angle_deg=np.full(len(best), np.nan) if angle is None else np.where(known, angle[best], np.nan),
        best_orientation=best.astype(np.int32),
        best_probability=probability,
        entropy_nat=entropy_nat,
        log_likelihood=log_likelihood,
        angle_deg=angle,
        best_quaternion=np.where(known[:, None], orientations.quaternion[best], np.nan),
        spacing_deg=spacing_deg(len(orientations), n_equivalent) if angle is None else None,
        fluence=None if parameters is None else parameters.fluence,
        background_photons=None if parameters is None else parameters.background_photons,
    )
