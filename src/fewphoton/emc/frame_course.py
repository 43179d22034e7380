"""The parameters of all frames over the course of a reconstruction: who takes part, who keeps them, who stays apart."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fewphoton.emc.communicator import Communicator
from fewphoton.emc.frame_model import FrameFit, FrameModel, FrameParameters
from fewphoton.emc.held_out import log_likelihood_per_photon, own_parameters
from fewphoton.emc.problem import Problem

Memory = Mapping[str, NDArray[np.float64]]


class FrameCourse:
    """Parameters of all frames, kept in the memory of the iteration's state.

    Frames that an iteration does not draw keep theirs. Extrapolation moves the volume alone: parameters follow plain
    steps, and an iteration that is taken back leaves them as they were before it.

    Parameters
    ----------
    model : FrameModel or None
        What is estimated; None: frames are alike, and every method does what is right for that.
    intensity_floor : float
        See :func:`fewphoton.emc.iteration.posteriors`.
    communicator : Communicator
        World.
    """

    def __init__(self, model: FrameModel | None, intensity_floor: float, communicator: Communicator) -> None:
        self._model, self._floor, self._communicator = model, intensity_floor, communicator

    def start(
        self, problem: Problem, volume: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
        """Return a starting volume less the background's part of the photons, and what to remember of all frames."""
        if self._model is None:
            return volume, {}
        return volume * (1 - self._model.start_fraction), self._model.start(problem).memory()

    def fit(self, problem: Problem, frames: NDArray[np.int64], memory: Memory) -> FrameFit | None:
        """Prepare an iteration on ``problem``, whose frames have the numbers ``frames`` in the data set."""
        if self._model is None:
            return None
        return FrameFit(self._model, problem, FrameParameters.remembered(memory).take(frames))

    def kept(self, memory: Memory, frames: NDArray[np.int64], fit: FrameFit | None) -> dict[str, NDArray[np.float64]]:
        """Return what to remember after an iteration; with ``fit`` None the former parameters."""
        if self._model is None:
            return {}
        former = FrameParameters.remembered(memory)
        return (former if fit is None else former.replaced(frames, fit.updated)).memory()

    def look(
        self, problem: Problem, frames: NDArray[np.int64], volume: NDArray[np.float64], memory: Memory
    ) -> tuple[float, dict[str, NDArray[np.float64]]]:
        """Return the log-likelihood per photon of held-out frames, and what to remember of their parameters."""
        kept = self.with_own(problem, frames, volume, memory)
        fit = self.fit(problem, frames, kept)
        return log_likelihood_per_photon(problem, volume, self._floor, self._communicator, fit), kept

    def with_own(
        self, problem: Problem | None, frames: NDArray[np.int64], volume: NDArray[np.float64], memory: Memory
    ) -> dict[str, NDArray[np.float64]]:
        """Return what to remember after the frames of ``problem`` (None: none) were estimated from themselves."""
        if self._model is None:
            return {}
        every = FrameParameters.remembered(memory)
        if problem is not None:
            own = own_parameters(problem, volume, self._model, every.take(frames), self._floor, self._communicator)
            every = every.replaced(frames, own)
        return every.memory()
