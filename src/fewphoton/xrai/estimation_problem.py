"""What estimation of poses works on: geometry, patterns, noise model, and which frames are held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fewphoton.data import Crystal, IntensityVolume
from fewphoton.data.pattern_source import PatternSource
from fewphoton.errors import DataError
from fewphoton.xrai.ewald_views import EwaldViews, blocks, intensity_volume
from fewphoton.xrai.merging import merge_poses
from fewphoton.xrai.noise_models import NoiseFreeAmplitudes, NoiseModel, PoissonCounts, ring_weights
from fewphoton.xrai.pattern_pool import PatternPool

_SAMPLED = 2000
_AT_A_TIME = 2048


@dataclass(frozen=True, eq=False)
class EstimationProblem:
    """Patterns whose poses are sought.

    Parameters
    ----------
    views : EwaldViews
        Geometry.
    voxels_per_cell : int
        Of the volume.
    patterns : PatternPool
        Patterns.
    noise : NoiseModel
        Poisson counts, or amplitudes where there is no noise.
    frame : ndarray of int64, `(n_informative,)`
        Frames with photons; only these have poses.
    held_out : ndarray of bool, `(n_informative,)`
        Those among them that stay out of volumes until the end.
    """

    views: EwaldViews
    voxels_per_cell: int
    patterns: PatternPool
    noise: NoiseModel
    frame: NDArray[np.int64]
    held_out: NDArray[np.bool_]

    @classmethod
    def build(
        cls,
        source: PatternSource,
        crystal: Crystal,
        device: torch.device,
        *,
        voxels_per_cell: int,
        per_frame_fluence: bool,
        n_rings: int,
        held_out_fraction: float,
        frames_in_memory_gb: float,
        seed: int,
    ) -> EstimationProblem:
        """Set up the problem.

        Raises
        ------
        DataError
            If fewer than two frames hold photons, or fluences are asked for where frames have no noise.
        """
        views = EwaldViews.of_crystal(source.q_per_angstrom, source.response, crystal, voxels_per_cell, device)
        pool = PatternPool(source, device, frames_in_memory_gb)
        frame = np.flatnonzero(pool.total > 0)
        if len(frame) < 2:
            raise DataError(f"{len(frame)} of {source.n_patterns} frames hold photons; poses need two or more")
        noise: NoiseModel
        if source.counts:
            noise = PoissonCounts(per_frame_fluence)
        elif per_frame_fluence:
            raise DataError("frames without noise are taken to have one fluence; set fluence to equal")
        else:
            q_length = torch.tensor(np.linalg.norm(source.q_per_angstrom, axis=1), device=device)
            sampled = frame[np.unique(np.linspace(0, len(frame) - 1, min(_SAMPLED, len(frame))).astype(np.int64))]
            noise = NoiseFreeAmplitudes(ring_weights(pool(sampled), q_length, n_rings))
        n_held_out = min(max(round(held_out_fraction * len(frame)), 1), len(frame) - 1)
        held_out = np.zeros(len(frame), dtype=bool)
        held_out[np.random.default_rng([seed, 0]).permutation(len(frame))[:n_held_out]] = True
        return cls(views, voxels_per_cell, pool, noise, frame, held_out)

    def merged(
        self,
        quaternion: NDArray[np.float64],
        chosen: NDArray[np.bool_],
        fluence: NDArray[np.float64] | None = None,
        sharpenings: int = 0,
    ) -> tuple[Tensor, Tensor]:
        """Merge some of the frames `(n_informative,)` at their poses `(n_informative, 4)`: volume and weights."""
        return merge_poses(
            self.views,
            self.patterns,
            self.frame[chosen],
            quaternion[chosen],
            None if fluence is None else fluence[chosen],
            sharpenings=sharpenings,
        )

    def fluences(self, volume: Tensor, quaternion: NDArray[np.float64]) -> NDArray[np.float64]:
        """Fluence of each frame at its pose, mean 1, float64 `(n_informative,)`."""
        return self._each(volume, quaternion, "fluences", normalised=True)

    def misfits(self, volume: Tensor, quaternion: NDArray[np.float64]) -> NDArray[np.float64]:
        """How badly each frame is explained at its pose, float64 `(n_informative,)`; see the noise models."""
        return self._each(volume, quaternion, "misfits", normalised=False)

    def _each(
        self, volume: Tensor, quaternion: NDArray[np.float64], method: str, normalised: bool
    ) -> NDArray[np.float64]:
        found = np.empty(len(self.frame))
        for part in blocks(len(found), _AT_A_TIME):
            view = self.views.of(volume, quaternion[part])
            found[part] = getattr(self.noise, method)(self.patterns(self.frame[part]), view).cpu().numpy()
        return found / found.mean() if normalised else found

    def halves(
        self, quaternion: NDArray[np.float64], fluence: NDArray[np.float64]
    ) -> tuple[IntensityVolume, IntensityVolume]:
        """Volumes of the frames of even and of odd number."""
        first, second = (
            intensity_volume(*self.merged(quaternion, self.frame % 2 == parity, fluence), self.voxels_per_cell)
            for parity in (0, 1)
        )
        return first, second
