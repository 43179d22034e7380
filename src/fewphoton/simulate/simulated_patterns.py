"""Patterns of a simulated particle made when they are asked for: the same seed and number give the same pattern."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fewphoton.data.pattern_source import PatternPixels, PatternsOnPixels, PhotonPatterns, checked_numbers
from fewphoton.simulate.particle import ParticleExperiment


class SimulatedPatterns(PatternsOnPixels):
    """A simulated experiment as a pattern source; millions of frames need no disk.

    Parameters
    ----------
    experiment : ParticleExperiment
        What is simulated; its configuration tells frames, noise and seed.
    """

    def __init__(self, experiment: ParticleExperiment) -> None:
        super().__init__(PatternPixels.of_detector(experiment.detector, experiment.beam))
        self._snapshots = experiment.snapshots()
        self._chunk_frames = experiment.config.chunk_frames
        self.counts = experiment.config.noise == "poisson"

    @property
    def n_patterns(self) -> int:
        """Frames of the experiment."""
        return self._snapshots.n_frames

    def patterns(self, index: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return photon counts, or expected photons where there is no noise, float32 `(len(index), n_pixels)`."""
        chosen = checked_numbers(index, self.n_patterns)
        made = np.empty((len(chosen), len(self.pixels.number)), dtype=np.float32)
        for start in range(0, len(chosen), self._chunk_frames):
            part = slice(start, start + self._chunk_frames)
            if self.counts:
                frames = self._snapshots.draw_numbers(chosen[part])
                made[part] = PhotonPatterns(frames, self.pixels).patterns(np.arange(len(frames)))
            else:
                made[part] = self._snapshots.expected(chosen[part]).pattern[:, self.pixels.number]
        return made

    def true_quaternions(self, index: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the true orientations of these patterns, float64 `(len(index), 4)`: for scoring alone."""
        return self._snapshots.quaternions(checked_numbers(index, self.n_patterns))
