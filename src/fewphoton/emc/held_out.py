"""Frames kept out of the update: their likelihood tells when further iterations only fit noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.reconstruct import HeldOutConfig
from fewphoton.emc.communicator import Communicator
from fewphoton.emc.frame_model import FrameFit, FrameModel, FrameParameters
from fewphoton.emc.iteration import posteriors
from fewphoton.emc.problem import Problem
from fewphoton.errors import ConvergenceError

_STREAM = 2  # keeps this draw apart from those of the starting model and of minibatches
_OWN_STEPS = 4  # of the frames' own parameters before each look; fluences settle in two


def held_out_frames(n_frames: int, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Mark the frames to keep out, bool `(n_frames,)`.

    Raises
    ------
    ConvergenceError
        If the fraction is less than one frame or leaves none.
    """
    wanted = round(fraction * n_frames)
    if not 0 < wanted < n_frames:
        raise ConvergenceError(f"{fraction} of {n_frames} frames cannot be held out; change held_out.fraction")
    marks = np.zeros(n_frames, dtype=bool)
    marks[np.random.default_rng([seed, _STREAM]).permutation(n_frames)[:wanted]] = True
    return marks


def own_parameters(
    problem: Problem,
    volume: NDArray[np.float64],
    model: FrameModel,
    present: FrameParameters,
    intensity_floor: float,
    communicator: Communicator,
) -> FrameParameters:
    """Estimate fluence and background of the problem's frames from themselves, the volume being as it is.

    A fixed number of steps from ``present``: held-out frames take no part in the iterations that refine the others.
    """
    for _ in range(_OWN_STEPS):
        frames = FrameFit(model, problem, present)
        for _batch in posteriors(problem, volume, 1.0, intensity_floor, communicator, frames=frames):
            pass
        present = frames.updated
    return present


def log_likelihood_per_photon(
    problem: Problem,
    volume: NDArray[np.float64],
    intensity_floor: float,
    communicator: Communicator,
    frames: FrameFit | None = None,
) -> float:
    """Log-likelihood of the problem's frames given a volume, per photon; factorials of counts left out."""
    evidence = 0.0
    for batch, posterior in posteriors(problem, volume, 1.0, intensity_floor, communicator, frames=frames):
        evidence += float(posterior.log_evidence[batch.likelihood_photons > 0].sum())
    value = (evidence + problem.log_likelihood_constant) / problem.likelihood_photons
    # Ranks may round differently, and all must stop together.
    return float(communicator.share(value))


def without_gain(looks: Sequence[float], config: HeldOutConfig) -> bool:
    """Tell whether the last ``patience`` looks brought no new best."""
    best, since = -np.inf, 0
    for value in looks:
        if value > best + config.minimum_gain:
            best, since = value, 0
        else:
            since += 1
    return since >= config.patience
