"""Patterson maps: the inverse Fourier transform of the integrated intensities (Ayyer et al. 2015, section 4)."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Crystal, Reflections
from fewphoton.errors import DataError


def expand_to_laue_group(reflections: Reflections, crystal: Crystal) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return all equivalents of merged reflections, Friedel mates included: hkl `(m, 3)` and intensity `(m,)`."""
    rotations = crystal.laue_rotations()
    both = np.concatenate([rotations, -rotations])
    hkl = np.einsum("rij,nj->rni", both, reflections.hkl.astype(np.int64)).reshape(-1, 3)
    intensity = np.tile(reflections.intensity, len(both))
    unique, first = np.unique(hkl, axis=0, return_index=True)
    return unique, intensity[first]


def patterson_map(reflections: Reflections, crystal: Crystal, n_voxels: int) -> NDArray[np.float64]:
    """Transform merged intensities into the Patterson map of one unit cell.

    P(u) = sum over hkl of I(hkl) cos(2 pi hkl·u) / V, the origin of the map at [0, 0, 0]; unmeasured reflections and
    F(000) are left out, so the mean of the map is zero.

    Parameters
    ----------
    reflections : Reflections
        Merged; rows without intensity are left out.
    crystal : Crystal
        Laue group and cell volume.
    n_voxels : int
        Voxels along each cell edge (paper: 53).

    Returns
    -------
    ndarray of float64, `(n_voxels, n_voxels, n_voxels)`
        Real and centrosymmetric.

    Raises
    ------
    DataError
        If the grid is too coarse for the largest index.
    """
    known = reflections.take(np.isfinite(reflections.intensity))
    hkl, intensity = expand_to_laue_group(known, crystal)
    largest = int(np.abs(hkl).max()) if len(hkl) else 0
    if 2 * largest + 1 > n_voxels:
        raise DataError(
            f"a Patterson map of {n_voxels} voxels cannot hold index {largest}; set patterson_voxels to "
            f"{2 * largest + 1} or more"
        )
    grid = np.zeros((n_voxels,) * 3)
    grid[tuple(hkl.T)] = intensity  # negative indices count from the end, as the FFT wants them
    volume = np.linalg.det(np.linalg.inv(crystal.b_matrix))
    return np.asarray(np.fft.fftn(grid).real / abs(volume))


def away_from_origin(shape: tuple[int, ...], crystal: Crystal, radius_angstrom: float) -> NDArray[np.bool_]:
    """Tell which voxels of a Patterson map lie farther than ``radius_angstrom`` from every lattice point.

    Points of a centred lattice inside the cell count: the origin peak comes back at each of them.
    """
    axes = [np.arange(n) / n for n in shape]
    fraction = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    orthogonal = np.linalg.inv(crystal.b_matrix).T
    away = np.ones(shape, dtype=bool)
    for point in centring_translations(crystal):
        near = fraction - point
        near -= np.rint(near)
        # In an oblique cell the nearest translation need not be the one that rounding finds.
        for shift in itertools.product((-1, 0, 1), repeat=3):
            away &= np.linalg.norm((near + shift) @ orthogonal.T, axis=-1) > radius_angstrom
    return away


def centring_translations(crystal: Crystal) -> NDArray[np.float64]:
    """Lattice translations inside the cell, in fractions of its edges, float64 `(n, 3)`; zero among them."""
    candidates = np.array(list(itertools.product((0, 1 / 3, 1 / 2, 2 / 3), repeat=3)))
    reach = np.array(list(itertools.product(range(-3, 4), repeat=3)))
    phase = reach[crystal.centring_allows(reach)] @ candidates.T
    return np.asarray(candidates[(np.abs(phase - np.rint(phase)) < 1e-9).all(axis=0)])
