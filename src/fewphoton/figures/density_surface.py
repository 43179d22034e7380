"""A surface of equal density as a shaded image, seen from one side in parallel projection."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fewphoton.errors import DataError

SIDES = ("x", "y", "z")
"""Axes that point to the eye (y: away from it), so that each image is a right-handed view."""
_LIGHT = np.array([-0.42, 0.56, 0.714])
_AMBIENT, _DIFFUSE, _FOG = 0.42, 0.58, 0.40


def level_of_volume(values: NDArray[np.float64], n_voxels: int) -> float:
    """Return the density above which as many voxels lie as given: surfaces of equal volume, whatever the scale.

    Raises
    ------
    DataError
        If the number is not between 1 and that of all voxels less one, or the density is flat there.
    """
    if not 1 <= n_voxels < values.size:
        raise DataError(f"a surface must hold 1 to {values.size - 1} voxels, found {n_voxels}")
    ordered = np.partition(values.ravel(), (values.size - n_voxels - 1, values.size - n_voxels))
    below, above = ordered[values.size - n_voxels - 1], ordered[values.size - n_voxels]
    level = float((below + above) / 2)
    if not values.min() < level < values.max():
        raise DataError("the density is flat: it has no surface")
    return level


def seen_from(values: NDArray[np.float64], side: str) -> NDArray[np.float64]:
    """Return the values with axes depth (away from the eye), image row (downwards) and image column (to the right).

    Seen along x: y to the right, z up; along y: x to the right, z up, the eye at negative y; along z: x to the right, y
    up.
    """
    if side == "x":
        return values.transpose(0, 2, 1)[::-1, ::-1]
    if side == "y":
        return values.transpose(1, 2, 0)[:, ::-1]
    return values.transpose(2, 1, 0)[::-1, ::-1]


def surface_image(
    values: NDArray[np.float64], level: float, side: str, colour: tuple[float, float, float], fineness: int = 4
) -> NDArray[np.float64]:
    """Draw the surface where the density reaches a level.

    Each pixel looks along one ray to the first point that reaches the level, found between samples by a line, and is
    shaded by the gradient there; what lies deeper is paler.

    Parameters
    ----------
    values : ndarray of float64, `(n, n, n)`
        Density on axes x, y and z.
    level : float
        Level.
    side : str
        Axis towards the eye: x, y or z; see :func:`seen_from`.
    colour : tuple of float
        Red, green and blue from 0 to 1.
    fineness : int
        Samples a voxel along each axis, by cubic splines.

    Returns
    -------
    ndarray of float64, `(rows, columns, 4)`
        Red, green, blue and opacity, the first row at the top.
    """
    fine = ndimage.zoom(seen_from(values, side), fineness, order=3, mode="constant")
    above = fine >= level
    hit = above.any(axis=0)
    depth = above.argmax(axis=0)
    rows, columns = np.nonzero(hit)
    at = depth[rows, columns]
    before = np.maximum(at - 1, 0)
    here, there = fine[at, rows, columns], fine[before, rows, columns]
    back = np.where(here > there, (here - level) / np.where(here > there, here - there, 1.0), 0.0).clip(0, 1)
    place = np.stack([at - back, rows, columns])
    smooth = ndimage.gaussian_filter(fine, 0.6 * fineness)
    slope = np.stack([ndimage.map_coordinates(np.gradient(smooth, axis=axis), place, order=1) for axis in range(3)])
    # The density falls outwards; depth runs from the eye, rows run downwards.
    normal = np.stack([-slope[2], slope[1], slope[0]])
    normal /= np.maximum(np.linalg.norm(normal, axis=0), 1e-12)
    shade = _AMBIENT + _DIFFUSE * np.clip(_LIGHT @ normal, 0, 1)
    span = max(float(np.ptp(place[0])), 1.0)
    fog = _FOG * (place[0] - place[0].min(initial=np.inf)) / span
    image = np.zeros((*hit.shape, 4))
    lit = shade[:, None] * np.array(colour)
    image[rows, columns, :3] = lit + (1 - lit) * fog[:, None]
    image[rows, columns, 3] = 1.0
    return image
