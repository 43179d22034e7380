"""Resolution shells: edges in q, means by shell, and peaks against the diffuse intensity by shell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Crystal, IntensityVolume
from fewphoton.evaluate.integrate import lattice_points_inside, sphere_offsets

_DIFFUSE, _BRAGG, _ORIGIN = 0, 1, 2


def shell_edges(q_inv_angstrom: NDArray[np.float64], n_shells: int) -> NDArray[np.float64]:
    """Edges of shells of equal width in q from 0 to just beyond the largest q, float64 `(n_shells + 1,)`."""
    return np.linspace(0.0, float(q_inv_angstrom.max()) * (1 + 1e-9), n_shells + 1)


def in_shell(q_inv_angstrom: NDArray[np.float64], edges: NDArray[np.float64], shell: int) -> NDArray[np.bool_]:
    """Tell which q lie in a shell (lower edge included)."""
    return np.asarray((q_inv_angstrom >= edges[shell]) & (q_inv_angstrom < edges[shell + 1]))


def shell_means(
    values: NDArray[np.float64], q_inv_angstrom: NDArray[np.float64], edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean of the finite values in each shell, float64 `(n_shells,)`; NaN for shells without any."""
    means = np.full(len(edges) - 1, np.nan)
    for shell in range(len(means)):
        part = in_shell(q_inv_angstrom, edges, shell) & np.isfinite(values)
        if part.any():
            means[shell] = values[part].mean()
    return means


def regions(volume: IntensityVolume, crystal: Crystal, radius_voxels: float) -> NDArray[np.uint8]:
    """Part the voxels: 1 within ``radius_voxels`` of a lattice point the centring allows, 2 about hkl = 0, else 0.

    Points outside the grid whose spheres reach into it count.
    """
    region = np.full(volume.values.shape, _DIFFUSE, dtype=np.uint8)
    points = lattice_points_inside(volume, crystal, -radius_voxels)
    for label, hkl in ((_BRAGG, points), (_ORIGIN, np.zeros((1, 3), dtype=np.int32))):
        centre = hkl.astype(np.int64) * volume.voxels_per_cell + volume.n // 2
        for offset in sphere_offsets(radius_voxels):
            voxel = centre + offset
            inside = ((voxel >= 0) & (voxel < volume.n)).all(axis=1)
            region[tuple(voxel[inside].T)] = label
    return region


def bragg_to_diffuse(
    volume: IntensityVolume, crystal: Crystal, region: NDArray[np.uint8], edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean intensity per voxel near Bragg points over that of the diffuse rest, by shell (Ayyer et al. 2015, Fig. 6).

    Only measured voxels count, each in the shell of its own q; those about hkl = 0 belong to neither side.

    Parameters
    ----------
    volume : IntensityVolume
        Intensity.
    crystal : Crystal
        Cell.
    region : ndarray of uint8, `(n, n, n)`
        From :func:`regions`.
    edges : ndarray of float64, `(n_shells + 1,)`
        Shells.

    Returns
    -------
    ndarray of float64, `(n_shells,)`
        1 where peaks do not stand out; NaN for shells without measured voxels of both kinds, or without diffuse
        intensity.
    """
    n_shells = len(edges) - 1
    total, count = np.zeros(2 * n_shells), np.zeros(2 * n_shells)
    metric = crystal.b_matrix.T @ crystal.b_matrix
    axis = volume.axis_hkl()
    k, m = np.meshgrid(axis, axis, indexing="ij")
    in_layer = metric[1, 1] * k * k + metric[2, 2] * m * m + 2 * metric[1, 2] * k * m
    across = 2 * (metric[0, 1] * k + metric[0, 2] * m)
    # Layer by layer: whole grids of q and shell numbers would take several times the memory of the volume.
    for layer, h in enumerate(axis):
        q = np.sqrt(np.maximum(metric[0, 0] * h * h + across * h + in_layer, 0.0))
        shell = np.searchsorted(edges, q, side="right") - 1
        used = (volume.weight[layer] > 0) & (shell >= 0) & (shell < n_shells) & (region[layer] != _ORIGIN)
        place = shell[used] + n_shells * (region[layer][used] == _BRAGG)
        total += np.bincount(place, volume.values[layer][used], minlength=2 * n_shells)
        count += np.bincount(place, minlength=2 * n_shells)
    mean = np.divide(total, count, out=np.full(2 * n_shells, np.nan), where=count > 0)
    diffuse, bragg = mean[:n_shells], mean[n_shells:]
    return np.asarray(np.divide(bragg, diffuse, out=np.full(n_shells, np.nan), where=diffuse > 0))
