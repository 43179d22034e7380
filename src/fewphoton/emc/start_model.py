"""The starting volume: a Gaussian of random height at each lattice point (Ayyer et al. 2015, section 2.2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fewphoton.data import Crystal
from fewphoton.errors import ConvergenceError


def random_peaks(
    crystal: Crystal,
    n_voxels: int,
    voxels_per_cell: int,
    width_voxels: float,
    background: float,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Build the starting volume.

    Parameters
    ----------
    crystal : Crystal
        Its centring tells which lattice points carry a peak; no other symmetry is assumed.
    n_voxels, voxels_per_cell : int
        Grid.
    width_voxels : float
        Standard deviation of the Gaussians.
    background : float
        Level between the peaks, as a fraction of their mean height.
    rng : numpy.random.Generator
        Heights are uniform in 0 to 1.

    Returns
    -------
    ndarray of float64, `(n_voxels, n_voxels, n_voxels)`
        Not scaled.

    Raises
    ------
    ConvergenceError
        If no lattice point lies in the grid.
    """
    half = (n_voxels // 2) // voxels_per_cell
    axis = np.arange(-half, half + 1)
    hkl = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    place = hkl * voxels_per_cell + n_voxels // 2
    inside = ((place >= 0) & (place < n_voxels)).all(axis=1) & crystal.centring_allows(hkl) & hkl.any(axis=1)
    if not inside.any():
        raise ConvergenceError(
            f"no lattice point allowed by centring {crystal.centring} lies in a grid of {n_voxels} voxels with "
            f"{voxels_per_cell} voxels per cell; enlarge the grid"
        )
    volume = np.zeros((n_voxels,) * 3)
    volume[tuple(place[inside].T)] = rng.random(int(inside.sum()))
    volume = ndimage.gaussian_filter(volume, width_voxels, mode="constant", truncate=4.0)
    volume /= volume.max()
    return np.asarray(volume + background)
