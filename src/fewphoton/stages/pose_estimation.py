"""What match-patterns and refine-poses share: from files to a problem, and from poses to files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from fewphoton.config.pose_estimation import MatchPatternsConfig, RefinePosesConfig
from fewphoton.data import Crystal, FrameOrientations, IntensityVolume
from fewphoton.errors import GeometryError
from fewphoton.io.crystal_description import read_crystal
from fewphoton.io.pattern_files import read_patterns
from fewphoton.io.provenance import Provenance
from fewphoton.io.volumes import VolumeFile, write_volume_file
from fewphoton.kernels.threads import use_threads
from fewphoton.stages.contract import Context

if TYPE_CHECKING:
    from torch import Tensor

    from fewphoton.xrai.estimation_problem import EstimationProblem

WITHOUT_EFFECT = {"device", "frames_in_memory_gb"}
"""Keys that change how a result is computed, not the result."""


@dataclass(frozen=True, eq=False)
class PoseTask:
    """A problem with what its files tell beside.

    Parameters
    ----------
    problem : EstimationProblem
        What is sought.
    n_frames : int
        Frames of the file, those without photons included.
    crystal : Crystal
        The box.
    rotation_axis : ndarray of float64, `(3,)`
        Of the crystal description; files of volumes name it.
    beam_direction : ndarray of float64, `(3,)`
        Unit vector in the laboratory.
    """

    problem: EstimationProblem
    n_frames: int
    crystal: Crystal
    rotation_axis: NDArray[np.float64]
    beam_direction: NDArray[np.float64]

    @classmethod
    def read(
        cls, frames: Path, crystal: Path, config: MatchPatternsConfig | RefinePosesConfig, context: Context
    ) -> PoseTask:
        """Read frames and box, and set up the problem on the configured device."""
        import torch

        from fewphoton.xrai.device import chosen_device
        from fewphoton.xrai.estimation_problem import EstimationProblem

        use_threads(context.threads)
        torch.set_num_threads(context.threads)
        device = chosen_device(config.device, context.say)
        box, axis = read_crystal(crystal)
        content = read_patterns(frames)
        problem = EstimationProblem.build(
            content.source,
            box,
            device,
            voxels_per_cell=config.voxels_per_cell,
            per_frame_fluence=config.fluence == "per_frame",
            n_rings=config.n_rings,
            held_out_fraction=config.held_out_fraction,
            frames_in_memory_gb=config.frames_in_memory_gb,
            seed=config.seed,
        )
        context.say(
            f"{content.source.n_patterns} frames ({len(problem.frame)} with photons, {problem.held_out.sum()} held "
            f"out), {problem.views.n_pixels} pixels, {problem.views.n_voxels}^3 voxels, on {device}"
        )
        return cls(problem, content.source.n_patterns, box, axis, content.beam.direction)

    def all_frames(self, values: NDArray[Any], missing: float) -> NDArray[Any]:
        """Spread what belongs to frames with photons over all frames, `(n_frames, ...)`."""
        spread = np.full((self.n_frames, *values.shape[1:]), missing, dtype=values.dtype)
        spread[self.problem.frame] = values
        return spread

    def frame_orientations(
        self,
        quaternion: NDArray[np.float64],
        orientation: NDArray[np.int64],
        log_likelihood: NDArray[np.float64],
        probability: NDArray[np.float64],
        entropy_nat: NDArray[np.float64],
        spacing_deg: float,
        fluence: NDArray[np.float64],
    ) -> FrameOrientations:
        """Return poses of frames with photons as a file of orientations holds them."""
        return FrameOrientations(
            np.full(self.n_frames, np.nan),
            self.all_frames(orientation, -1).astype(np.int32),
            self.all_frames(probability, np.nan).astype(np.float32),
            self.all_frames(entropy_nat, np.nan).astype(np.float32),
            self.all_frames(log_likelihood, np.nan),
            best_quaternion=self.all_frames(quaternion, np.nan),
            spacing_deg=spacing_deg,
            fluence=self.all_frames(fluence, 0.0),
        )

    def write_volume(
        self,
        path: Path,
        volume: Tensor,
        weight: Tensor,
        quaternion: NDArray[np.float64],
        fluence: NDArray[np.float64],
        provenance: Provenance,
    ) -> None:
        """Write the volume and its half sets on the box's own grid, one voxel a cell."""
        from fewphoton.xrai.ewald_views import intensity_volume

        fine = intensity_volume(volume, weight, self.problem.voxels_per_cell)
        first, second = self.problem.halves(quaternion, fluence)
        write_volume_file(
            path,
            every_cell(fine),
            self.crystal,
            self.rotation_axis,
            provenance,
            halves=(every_cell(first), every_cell(second)),
        )

    def scaled(self, found: VolumeFile, origin: Path, quaternion: NDArray[np.float64]) -> Tensor:
        """Return a volume that was read, on the problem's grid and at the scale of the frames.

        Raises
        ------
        GeometryError
            If it belongs to another box, or expects no photons at the poses given.
        """
        import torch

        if not np.allclose(found.crystal.cell, self.crystal.cell, rtol=1e-3):
            raise GeometryError(f"{origin}: cell {found.crystal.cell} differs from the box's, {self.crystal.cell}")
        views, frame = self.problem.views, self.problem.frame
        axis = (np.arange(views.n_voxels) - views.n_voxels // 2) / self.problem.voxels_per_cell
        place = found.volume.voxel_of(np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1))
        values = map_coordinates(found.volume.values, np.moveaxis(place, -1, 0), order=3, mode="nearest")
        volume = torch.as_tensor(values.clip(0.0), dtype=torch.float32, device=views.device)
        known = np.flatnonzero(np.isfinite(quaternion).all(axis=1))[:2000]
        expected = float(views.of(volume, quaternion[known]).sum(dtype=torch.float64))
        if not expected > 0:
            raise GeometryError(f"{origin}: the volume expects no photons at any pose")
        return volume * float(self.problem.patterns.total[frame[known]].sum() / expected)


def every_cell(fine: IntensityVolume) -> IntensityVolume:
    """Return the voxels of a volume that have whole indices: its values on a grid of one voxel a cell."""
    step, centre = fine.voxels_per_cell, fine.n // 2
    reach = centre // step
    kept = slice(centre - reach * step, centre + reach * step + 1, step)
    return IntensityVolume(fine.values[kept, kept, kept], fine.weight[kept, kept, kept], 1)
