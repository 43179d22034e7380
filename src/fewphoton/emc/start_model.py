"""The starting volume: random peaks at lattice points (Ayyer et al. 2015, section 2.2), or random speckle.

Without a lattice the data still tell the mean intensity at each q. Speckle about that mean, as coarse as a particle's,
breaks the symmetry that no iteration could: a start without any direction stays without.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fewphoton.data import Crystal
from fewphoton.emc.problem import Problem
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


def radial_mean(problem: Problem) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean photons per frame and response in shells of one voxel's width.

    Returns
    -------
    radius_voxels : ndarray of float64, `(n_shells,)`
        Middle of the shells that hold pixels, by the mean length of a voxel.
    intensity : ndarray of float64, `(n_shells,)`
        Mean.
    """
    rows = problem.rows
    photons = np.sum([batch.row_totals() for batch in problem.batches], axis=0)
    lengths = np.linalg.norm(problem.transforms[0] @ rows.q_inv_angstrom.T, axis=0)
    shell = lengths.astype(np.int64)
    exposure = np.bincount(shell, rows.response) * problem.n_frames
    held = exposure > 0
    return np.flatnonzero(held).astype(np.float64) + 0.5, np.asarray(np.bincount(shell, photons)[held] / exposure[held])


def random_speckle(
    radius_voxels: NDArray[np.float64],
    intensity: NDArray[np.float64],
    n_voxels: int,
    width_voxels: float,
    background: float,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Build a starting volume of a given radial mean.

    Parameters
    ----------
    radius_voxels, intensity : ndarray of float64, `(n_shells,)`
        From :func:`radial_mean`; constant beyond the last shell and within the first.
    n_voxels : int
        Edge of the grid.
    width_voxels : float
        Standard deviation of the Gaussian that smooths complex white noise, whose square is the speckle.
    background : float
        Constant level under the speckle, as a fraction of its mean.
    rng : numpy.random.Generator
        Noise.

    Returns
    -------
    ndarray of float64, `(n_voxels, n_voxels, n_voxels)`
        Friedel mates equal. Not scaled.
    """
    field = [
        ndimage.gaussian_filter(rng.standard_normal((n_voxels,) * 3), width_voxels, mode="wrap", truncate=4.0)
        for _ in range(2)
    ]
    speckle = field[0] ** 2 + field[1] ** 2
    # Mates sit opposite the centre; the outermost planes of an even grid have none.
    lowest = 1 - n_voxels % 2
    inner = speckle[(slice(lowest, None),) * 3]
    inner[:] = (inner + inner[::-1, ::-1, ::-1]) / 2
    axis = (np.arange(n_voxels) - n_voxels // 2) ** 2.0
    radius = np.sqrt(axis[:, None, None] + axis[None, :, None] + axis[None, None, :])
    return np.asarray(np.interp(radius, radius_voxels, intensity) * (speckle / speckle.mean() + background))
