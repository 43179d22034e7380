"""Averaging a volume over the crystal's Laue group.

Rotations of the Laue group are integer matrices on hkl, and so on the voxels of an hkl grid: equivalents are voxels,
and nothing is interpolated.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Crystal, IntensityVolume


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
    lowest = 1 - volume.n % 2
    inner = (slice(lowest, None),) * 3
    sums = np.stack([volume.values[inner] * volume.weight[inner], volume.weight[inner]])
    rotations = crystal.laue_rotations()
    total = np.zeros_like(sums)
    for rotation in rotations:
        for source, target in zip(sums, total, strict=True):
            _add_rotated(source, rotation, target)
    total += total[:, ::-1, ::-1, ::-1].copy()
    total /= 2 * len(rotations)
    values, weight = volume.values.copy(), volume.weight.copy()
    weight[inner] = total[1]
    values[inner] = np.divide(total[0], total[1], out=np.zeros_like(total[0]), where=total[1] > 0)
    return IntensityVolume(values, weight, volume.voxels_per_cell)


def _add_rotated(source: NDArray[np.float64], rotation: NDArray[np.int64], target: NDArray[np.float64]) -> None:
    """Add ``source`` at ``rotation @ h`` to ``target`` at ``h``; both odd cubes about their centre."""
    if (np.abs(rotation).sum(axis=0) == 1).all() and (np.abs(rotation).sum(axis=1) == 1).all():
        # The index along source axis i is ±h of axis where[i]: a transposed and mirrored view.
        where = np.abs(rotation).argmax(axis=1)
        mirrored = source[tuple(slice(None, None, int(rotation[i, where[i]])) for i in range(3))]
        target += mirrored.transpose(np.argsort(where))
        return
    n = len(source)
    centre = n // 2
    axis = np.arange(n) - centre
    for plane, h in enumerate(axis):
        index = [
            rotation[i, 0] * h + rotation[i, 1] * axis[:, None] + rotation[i, 2] * axis[None, :] + centre
            for i in range(3)
        ]
        inside = np.logical_and.reduce([(part >= 0) & (part < n) for part in index])
        found = source[tuple(np.clip(part, 0, n - 1) for part in index)]
        target[plane] += np.where(inside, found, 0.0)
