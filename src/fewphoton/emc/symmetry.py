"""Averaging a volume over the crystal's Laue group.

Rotations of the Laue group are integer matrices on hkl, and so on the voxels of an hkl grid: equivalents are voxels,
and nothing is interpolated.
"""

from __future__ import annotations

import numpy as np

from fewphoton.data import Crystal, IntensityVolume
from fewphoton.kernels.equivalent_voxels import average_equivalents


def symmetrized(volume: IntensityVolume, crystal: Crystal) -> IntensityVolume:
    """Average equivalents of the Laue group, Friedel mates included, by their weights.

    Parameters
    ----------
    volume : IntensityVolume
        Intensity and weight; voxels of weight 0 do not count.
    crystal : Crystal
        Its Laue group.

    Returns
    -------
    IntensityVolume
        Weighted means, with the mean of the weights over the group. Equivalents beyond the grid count as not
        measured; the outermost planes of an even grid on the negative side, which have no mates, stay as they are.
    """
    rotations = crystal.laue_rotations()
    values, weight = volume.values.copy(), volume.weight.copy()
    average_equivalents(values, weight, np.concatenate([rotations, -rotations]))
    return IntensityVolume(values, weight, volume.voxels_per_cell)
