"""Resolution shells: edges in q, and quantities of the volume by shell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Crystal, IntensityVolume
from fewphoton.evaluate.integrate import lattice_points_inside, sphere_offsets


def shell_edges(q_inv_angstrom: NDArray[np.float64], n_shells: int) -> NDArray[np.float64]:
    """Edges of shells of equal width in q from 0 to just beyond the largest q, float64 `(n_shells + 1,)`."""
    return np.linspace(0.0, float(q_inv_angstrom.max()) * (1 + 1e-9), n_shells + 1)


def in_shell(q_inv_angstrom: NDArray[np.float64], edges: NDArray[np.float64], shell: int) -> NDArray[np.bool_]:
    """Tell which q lie in a shell (lower edge included)."""
    return (q_inv_angstrom >= edges[shell]) & (q_inv_angstrom < edges[shell + 1])


def bragg_mask(volume: IntensityVolume, crystal: Crystal, radius_voxels: float) -> NDArray[np.bool_]:
    """Mark the voxels within ``radius_voxels`` of a lattice point that the centring allows, bool `(n, n, n)`."""
    marked = np.zeros(volume.values.shape, dtype=bool)
    place = np.rint(volume.voxel_of(lattice_points_inside(volume, crystal, radius_voxels))).astype(np.int64)
    index = (place[:, None, :] + sphere_offsets(radius_voxels)[None]).reshape(-1, 3)
    marked[tuple(index.T)] = True
    return marked


def voxel_shells(volume: IntensityVolume, crystal: Crystal, edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """Shell of each voxel, int64 `(n, n, n)`; the number of shells where it lies beyond."""
    axis = volume.axis_hkl()
    metric = crystal.b_matrix.T @ crystal.b_matrix
    h, k, l = np.meshgrid(axis, axis, axis, indexing="ij", sparse=True)  # noqa: E741
    square = (
        metric[0, 0] * h * h
        + metric[1, 1] * k * k
        + metric[2, 2] * l * l
        + 2 * (metric[0, 1] * h * k + metric[0, 2] * h * l + metric[1, 2] * k * l)
    )
    return np.searchsorted(edges, np.sqrt(np.maximum(square, 0.0)), side="right") - 1


def bragg_to_diffuse(
    volume: IntensityVolume, marked: NDArray[np.bool_], shell: NDArray[np.int64], n_shells: int
) -> NDArray[np.float64]:
    """Mean intensity per voxel near Bragg points over that of the diffuse rest, by shell (Ayyer et al. 2015, Fig. 6).

    NaN for shells without measured voxels of both kinds.
    """
    measured = (volume.weight > 0) & (shell < n_shells)
    means = []
    for part in (measured & marked, measured & ~marked):
        total = np.bincount(shell[part], volume.values[part], minlength=n_shells)[:n_shells]
        n_each = np.bincount(shell[part], minlength=n_shells)[:n_shells]
        means.append(np.divide(total, n_each, out=np.full(n_shells, np.nan), where=n_each > 0))
    bragg, diffuse = means
    return np.divide(bragg, diffuse, out=np.full(n_shells, np.nan), where=diffuse > 0)


def photons_per_peak(
    volume: IntensityVolume,
    marked: NDArray[np.bool_],
    shell: NDArray[np.int64],
    n_peaks: NDArray[np.int64],
    photons_total: float,
) -> NDArray[np.float64]:
    """Mean photons in a peak's sphere by shell (Ayyer et al. 2015, dashed line of Fig. 4).

    A voxel's photons are its intensity times its exposure. The stored weights are exposures up to a common factor,
    which follows from all voxels together holding all photons.

    Parameters
    ----------
    volume : IntensityVolume
        Intensity and weights.
    marked : ndarray of bool
        Voxels near Bragg points.
    shell : ndarray of int64
        Shell of each voxel.
    n_peaks : ndarray of int64, `(n_shells,)`
        Measured lattice points in each shell.
    photons_total : float
        Photons in all frames.
    """
    photons = volume.values * volume.weight
    photons *= photons_total / max(float(photons.sum()), 1e-300)
    n_shells = len(n_peaks)
    part = marked & (shell < n_shells)
    total = np.bincount(shell[part], photons[part], minlength=n_shells)[:n_shells]
    return np.divide(total, n_peaks, out=np.full(n_shells, np.nan), where=n_peaks > 0)
