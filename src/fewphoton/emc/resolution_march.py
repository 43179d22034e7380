"""Stages with fewer angles and lower q before the full reconstruction (frequency marching).

Low q needs few angles: views that differ by less than a voxel at the largest q are one. A stage therefore takes every
k-th orientation, or a coarser sample of all rotations, and the pixels up to a limit of q, on the central part of the
grid that holds them. The first iteration of the next stage still judges orientations by the former stage's pixels
alone, as nothing is known about the others yet, but merges all of its own.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.reconstruct import MarchStage, OrientationsConfig
from fewphoton.data import Crystal, Orientations
from fewphoton.emc.communicator import Communicator
from fewphoton.emc.orientation_sample import march_orientations
from fewphoton.emc.problem import Problem


def stage_problem(
    full: Problem,
    stage: MarchStage | None,
    likelihood_q_fraction: float,
    crystal: Crystal,
    orientations: Orientations,
    sampling: OrientationsConfig,
    communicator: Communicator,
) -> Problem:
    """Make the problem of a stage.

    Parameters
    ----------
    full : Problem
        Full reconstruction.
    stage : MarchStage or None
        Angles and pixels; None: all.
    likelihood_q_fraction : float
        Pixels up to this fraction of the largest q enter the likelihood.
    crystal, orientations, sampling, communicator
        Of the full reconstruction.
    """
    q_fraction = 1.0 if stage is None else stage.q_fraction
    fewer = orientations if stage is None else march_orientations(orientations, stage, sampling, crystal)
    if q_fraction == 1.0 and fewer is orientations and likelihood_q_fraction >= 1.0:
        return full
    rows = full.rows
    q = np.linalg.norm(rows.q_inv_angstrom, axis=1)
    kept = q <= q_fraction * q.max() * (1 + 1e-12)
    likelihood = q <= likelihood_q_fraction * q.max() * (1 + 1e-12)
    n_voxels = rows.n_voxels
    if q_fraction < 1.0 and kept.any():
        # Along cell axis a an index never exceeds q |a|; interpolation reads one voxel beyond.
        reach = float(q[kept].max()) * max(crystal.cell[:3]) * rows.voxels_per_cell
        n_voxels = min(n_voxels, 2 * (math.ceil(reach) + 1) + 1)
    return full.with_rows(kept, likelihood, n_voxels, crystal, fewer, communicator)


def _centre(n: int, part: int) -> slice:
    start = n // 2 - part // 2
    return slice(start, start + part)


def cropped(volume: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return the central cube of edge ``n``, its voxel ``n // 2`` being the volume's ``len(volume) // 2``."""
    if n == len(volume):
        return volume
    return np.ascontiguousarray(volume[(_centre(len(volume), n),) * 3])


def embedded(
    volume: NDArray[np.float64], part: NDArray[np.float64], measured: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return a copy of ``volume`` whose central cube holds the ``measured`` values of ``part``.

    Voxels that the part did not measure keep their former value: a later stage, whose angles fall elsewhere, may need
    them.
    """
    result = volume.copy()
    centre = result[(_centre(len(volume), len(part)),) * 3]
    centre[measured] = part[measured]
    return result
