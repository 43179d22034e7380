"""Which orientations a reconstruction compares its frames with, and whether their tables fit into memory."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.reconstruct import MarchStage, OrientationsConfig, ReconstructConfig
from fewphoton.data import Crystal, Orientations
from fewphoton.data.point_group import PointGroup
from fewphoton.data.rotation_group import n_rotations, spacing_deg
from fewphoton.emc.pixels import PixelRows
from fewphoton.errors import ConfigError
from fewphoton.kernels.aligned_table import padded_columns

_PROBABILITY_BYTES = 1 << 30
"""Most that the probabilities of a batch may take."""


def default_orientations(n_voxels: int) -> int:
    """Angles that step by one voxel at the edge of the grid: pi times its voxels (paper: 1150 for 366)."""
    return round(np.pi * n_voxels)


def default_level(n_voxels: int) -> int:
    """Subdivision of the 600-cell whose step moves the edge of the grid by one voxel at the most."""
    step_deg = float(np.rad2deg(1.0 / (n_voxels // 2)))
    # The number of rotations is 50 n^3 but for a term that vanishes at the levels of any grid.
    return max(1, math.ceil(spacing_deg(50) / step_deg))


def symmetry_of(config: OrientationsConfig, crystal: Crystal) -> PointGroup | None:
    """Group by which orientations are reduced; None where nothing is equivalent."""
    group = PointGroup.of_crystal(crystal) if config.reduced else None
    return None if group is None or len(group) == 1 else group


def sample_orientations(
    config: ReconstructConfig, crystal: Crystal, rotation_axis: NDArray[np.float64], n_voxels: int
) -> Orientations:
    """Make the orientations of the full reconstruction.

    Parameters
    ----------
    config : ReconstructConfig
        Sampling.
    crystal : Crystal
        Its symmetry.
    rotation_axis : ndarray of float64, `(3,)`
        Of the goniometer, for axis scans.
    n_voxels : int
        Edge of the grid, from which the default steps follow.
    """
    sampling = config.orientations
    if sampling.sampled == "about_axis":
        return Orientations.about_axis(rotation_axis, config.n_orientations or default_orientations(n_voxels))
    return Orientations.over_rotation_group(sampling.level or default_level(n_voxels), symmetry_of(sampling, crystal))


def n_orientations(config: ReconstructConfig, crystal: Crystal, n_voxels: int) -> int:
    """About how many orientations :func:`sample_orientations` makes, without making them."""
    sampling = config.orientations
    if sampling.sampled == "about_axis":
        return config.n_orientations or default_orientations(n_voxels)
    group = symmetry_of(sampling, crystal)
    return -(-n_rotations(sampling.level or default_level(n_voxels)) // (1 if group is None else len(group)))


def march_orientations(
    full: Orientations, stage: MarchStage, sampling: OrientationsConfig, crystal: Crystal
) -> Orientations:
    """Return the fewer orientations of a stage: of a coarser level, or every so many of an axis scan."""
    if stage.level is not None:
        return Orientations.over_rotation_group(stage.level, symmetry_of(sampling, crystal))
    return every_kth(full, stage.orientation_stride)


def every_kth(orientations: Orientations, stride: int) -> Orientations:
    """Return every ``stride``-th orientation, weights scaled to sum to one."""
    if stride == 1:
        return orientations
    weight = orientations.weight[::stride]
    angle = None if orientations.angle_deg is None else orientations.angle_deg[::stride]
    return Orientations(orientations.quaternion[::stride], weight / weight.sum(), angle)


def frames_per_batch(wanted: int, n_local: int) -> int:
    """Frames of a batch: as many as wanted, but no more than whose probabilities take a gibibyte."""
    return max(1, min(wanted, _PROBABILITY_BYTES // (4 * padded_columns(n_local))))


def check_memory(
    rows: PixelRows, q_fraction: float, n_rotations: int, batch_frames: int, memory_gb: float, n_ranks: int
) -> None:
    """Raise ConfigError where the tables of a rank would not fit.

    A rank holds, in float32, the log intensities and the summed photons of each pixel in each of its orientations, the
    even frames' share of the latter at the end, and the probabilities of one batch.

    Parameters
    ----------
    rows : PixelRows
        Pixels.
    q_fraction : float
        Those up to this fraction of the largest q take part.
    n_rotations : int
        Orientations over all ranks.
    batch_frames : int
        Frames of a batch.
    memory_gb : float
        What a rank may take.
    n_ranks : int
        Ranks.
    """
    n_local = padded_columns(-(-n_rotations // n_ranks))
    q = np.linalg.norm(rows.q_inv_angstrom, axis=1)
    n_rows = int((q <= q_fraction * q.max() * (1 + 1e-12)).sum())
    wanted = 4.0 * n_local * (3 * n_rows + frames_per_batch(batch_frames, n_local))
    if wanted > 1e9 * memory_gb:
        raise ConfigError(
            f"{n_rotations} orientations of {n_rows} pixels need {wanted / 1e9:.1f} GB of tables on each of "
            f"{n_ranks} rank(s), and {memory_gb:.1f} GB are there; lower orientations.level or "
            "orientations.dense_q_fraction and reach the rest by refine, lower q_max_inv_angstrom or n_orientations, "
            "or take more tasks on other machines"
        )
