"""Integration of Bragg peaks in an intensity volume (Ayyer et al. 2015, doi:10.1107/S2052252514022313, section 4)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Crystal, IntensityVolume, Reflections
from fewphoton.errors import DataError

_MIN_MEASURED = 0.5


def sphere_offsets(radius_voxels: float) -> NDArray[np.int64]:
    """Voxel offsets within a sphere, int64 `(m, 3)`."""
    reach = int(np.floor(radius_voxels))
    axis = np.arange(-reach, reach + 1)
    offsets = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.asarray(offsets[(offsets**2).sum(axis=1) <= radius_voxels**2 + 1e-9])


def lattice_points_inside(volume: IntensityVolume, crystal: Crystal, radius_voxels: float) -> NDArray[np.int32]:
    """Lattice points, except the origin, whose sphere lies in the grid, int32 `(n, 3)`."""
    half = (volume.n // 2) // volume.voxels_per_cell
    axis = np.arange(-half, half + 1, dtype=np.int32)
    hkl = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    place = volume.voxel_of(hkl)
    reach = np.floor(radius_voxels)
    inside = ((place >= reach) & (place + reach <= volume.n - 1)).all(axis=1) & hkl.any(axis=1)
    return np.asarray(hkl[inside & crystal.centring_allows(hkl)])


def _gather(values: NDArray[np.float64], place: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    index = place[:, None, :] + offsets[None]
    return np.asarray(values[index[..., 0], index[..., 1], index[..., 2]])


def integrate(
    volume: IntensityVolume,
    crystal: Crystal,
    radius_voxels: float,
    halves: tuple[IntensityVolume, IntensityVolume] | None = None,
    *,
    subtract_diffuse: bool = False,
) -> Reflections:
    """Sum the volume in a sphere about every lattice point the centring allows.

    A point counts as measured when at least half of its voxels received exposure; the sum is then scaled by the whole
    sphere over the measured part. Friedel mates and equivalents stay apart.

    Parameters
    ----------
    volume : IntensityVolume
        Intensity.
    crystal : Crystal
        Centring.
    radius_voxels : float
        Radius of the sphere (paper: 2).
    halves : tuple of IntensityVolume, optional
        Half sets, integrated alike.
    subtract_diffuse : bool
        Subtract the mean of the voxels between the sphere and half-way to the neighbouring lattice point.

    Returns
    -------
    Reflections
        One row a measured lattice point; sigma unknown.

    Raises
    ------
    DataError
        If no lattice point is measured.
    """
    hkl = lattice_points_inside(volume, crystal, radius_voxels)
    offsets = sphere_offsets(radius_voxels)
    place = np.rint(volume.voxel_of(hkl)).astype(np.int64)
    measured = _gather((volume.weight > 0).astype(np.float64), place, offsets).mean(axis=1) >= _MIN_MEASURED
    hkl, place = hkl[measured], place[measured]
    if len(hkl) == 0:
        raise DataError("no lattice point of the volume was measured; check grid, UB matrix and detector")
    sums = [
        _sphere_sum(grid, place, offsets, radius_voxels, subtract_diffuse) for grid in (volume, *(halves or ()))
    ]
    unknown = np.full(len(hkl), np.nan)
    first, second = sums[1:] if halves is not None else (unknown, unknown)
    return Reflections(hkl, sums[0], unknown, np.ones(len(hkl), dtype=np.int32), first, second)


def _sphere_sum(
    volume: IntensityVolume,
    place: NDArray[np.int64],
    offsets: NDArray[np.int64],
    radius_voxels: float,
    subtract_diffuse: bool,
) -> NDArray[np.float64]:
    seen = _gather((volume.weight > 0).astype(np.float64), place, offsets)
    covered = seen.mean(axis=1)
    total = (_gather(volume.values, place, offsets) * seen).sum(axis=1)
    whole = np.divide(total, covered, out=np.full(len(total), np.nan), where=covered >= _MIN_MEASURED)
    if not subtract_diffuse:
        return np.asarray(whole)
    shell = sphere_offsets(volume.voxels_per_cell / 2)
    shell = shell[(shell**2).sum(axis=1) > radius_voxels**2 + 1e-9]
    clipped = np.clip(place[:, None, :] + shell[None], 0, volume.n - 1)
    index = clipped[..., 0], clipped[..., 1], clipped[..., 2]
    known = volume.weight[index] > 0
    level = np.divide(
        (volume.values[index] * known).sum(axis=1),
        known.sum(axis=1),
        out=np.zeros(len(place)),
        where=known.any(axis=1),
    )
    return np.asarray(whole - level * len(offsets))
