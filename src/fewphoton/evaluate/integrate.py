"""Integration of Bragg peaks in an intensity volume (Ayyer et al. 2015, doi:10.1107/S2052252514022313, section 4).

Spheres are those of the grid in hkl, as in the paper: radii count voxels, whatever the cell.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Crystal, IntensityVolume, Reflections
from fewphoton.errors import DataError

_MIN_MEASURED = 0.5
_VOXELS_AT_A_TIME = 1 << 20


def sphere_offsets(radius_voxels: float, inner_voxels: float = -1.0) -> NDArray[np.int64]:
    """Voxel offsets within a sphere, its surface included, and outside an inner one, int64 `(m, 3)`."""
    reach = int(np.floor(radius_voxels + 1e-9))
    axis = np.arange(-reach, reach + 1)
    offsets = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    distance = np.linalg.norm(offsets, axis=1)
    return np.asarray(offsets[(distance <= radius_voxels + 1e-9) & (distance > inner_voxels + 1e-9)])


def half_way_voxels(crystal: Crystal, voxels_per_cell: int) -> float:
    """Half the distance on the grid from a lattice point to the nearest other one."""
    near = np.array([hkl for hkl in itertools.product(range(-3, 4), repeat=3) if any(hkl)])
    return float(voxels_per_cell * np.linalg.norm(near[crystal.centring_allows(near)], axis=1).min() / 2)


def refuse_overlap(crystal: Crystal, voxels_per_cell: int, radius_voxels: float) -> None:
    """Raise DataError where spheres of that radius about neighbouring lattice points would overlap."""
    half_way = half_way_voxels(crystal, voxels_per_cell)
    if not 0 < radius_voxels <= half_way + 1e-9:
        raise DataError(
            f"peaks of radius {radius_voxels:g} voxels overlap: points of a {crystal.centring} lattice are "
            f"{2 * half_way:.4g} voxels apart at {voxels_per_cell} voxels per cell; lower peak_radius_voxels "
            f"to {half_way:.4g} or less, or refine the grid"
        )


def lattice_points_in_grid(
    n_voxels: int, voxels_per_cell: int, crystal: Crystal, radius_voxels: float
) -> NDArray[np.int32]:
    """Lattice points, except the origin, whose sphere lies in a grid of `n_voxels` along an edge, int32 `(n, 3)`.

    A negative radius allows points that far outside the grid.
    """
    margin = int(np.floor(radius_voxels + 1e-9)) if radius_voxels >= 0 else int(np.floor(radius_voxels - 1e-9))
    below = (n_voxels // 2 - margin) // voxels_per_cell
    above = (n_voxels - 1 - n_voxels // 2 - margin) // voxels_per_cell
    axis = np.arange(-below, above + 1, dtype=np.int32)
    hkl = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    hkl = hkl[hkl.any(axis=1)]
    return np.asarray(hkl[crystal.centring_allows(hkl)])


def lattice_points_inside(volume: IntensityVolume, crystal: Crystal, radius_voxels: float) -> NDArray[np.int32]:
    """Lattice points of the grid of a volume; see :func:`lattice_points_in_grid`."""
    return lattice_points_in_grid(volume.n, volume.voxels_per_cell, crystal, radius_voxels)


def measured_sums(
    volume: IntensityVolume, hkl: NDArray[np.int32], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Sum over the measured voxels (weight above 0) at ``offsets`` from lattice points.

    Voxels outside the grid count as not measured.

    Parameters
    ----------
    volume : IntensityVolume
        Intensity.
    hkl : ndarray of int32, `(n, 3)`
        Lattice points.
    offsets : ndarray of int64, `(m, 3)`
        In voxels.

    Returns
    -------
    values, weights : ndarray of float64, `(n,)`
        Sums of intensities and of weights.
    n_measured : ndarray of int64, `(n,)`
        Voxels that entered them.

    Raises
    ------
    DataError
        If a measured voxel is not finite.
    """
    flat_values, flat_weight = volume.values.reshape(-1), volume.weight.reshape(-1)
    values, weights = np.zeros(len(hkl)), np.zeros(len(hkl))
    n_measured = np.zeros(len(hkl), dtype=np.int64)
    step = max(1, _VOXELS_AT_A_TIME // max(1, len(offsets)))
    for start in range(0, len(hkl), step):
        block = slice(start, start + step)
        centre = hkl[block].astype(np.int64) * volume.voxels_per_cell + volume.n // 2
        voxel = centre[:, None, :] + offsets[None]
        inside = ((voxel >= 0) & (voxel < volume.n)).all(axis=2)
        h, k, m = np.moveaxis(np.clip(voxel, 0, volume.n - 1), 2, 0)
        place = (h * volume.n + k) * volume.n + m
        weight = np.where(inside, flat_weight[place], 0.0)
        values[block] = np.where(weight > 0, flat_values[place], 0.0).sum(axis=1)
        weights[block] = weight.sum(axis=1)
        n_measured[block] = (weight > 0).sum(axis=1)
    finite = np.isfinite(values) & np.isfinite(weights)
    if not finite.all():
        raise DataError(
            f"the volume holds a measured voxel that is not finite near hkl {hkl[int(np.argmin(finite))].tolist()}"
        )
    return values, weights, n_measured


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
        Half sets on the same grid, integrated alike.
    subtract_diffuse : bool
        Subtract the mean of the measured voxels between the sphere and half-way to the nearest other lattice point;
        a peak without any such voxel is unknown.

    Returns
    -------
    Reflections
        One row a measured lattice point; sigma unknown.

    Raises
    ------
    DataError
        If no lattice point is measured, spheres overlap, halves have another grid, or a measured voxel is not finite.
    """
    half_way = half_way_voxels(crystal, volume.voxels_per_cell)
    refuse_overlap(crystal, volume.voxels_per_cell, radius_voxels)
    around = sphere_offsets(half_way, radius_voxels) if subtract_diffuse else None
    if around is not None and not len(around):
        raise DataError(f"no voxel lies between the sphere of {radius_voxels:g} voxels and half-way ({half_way:.4g})")
    for half in halves or ():
        if (half.n, half.voxels_per_cell) != (volume.n, volume.voxels_per_cell):
            raise DataError(
                f"a half set of {half.n} voxels, {half.voxels_per_cell} per cell, does not fit the volume of "
                f"{volume.n}, {volume.voxels_per_cell} per cell"
            )
    hkl = lattice_points_inside(volume, crystal, radius_voxels)
    offsets = sphere_offsets(radius_voxels)
    intensity = _peaks(volume, hkl, offsets, around)
    measured = np.isfinite(intensity)
    hkl, intensity = hkl[measured], intensity[measured]
    if len(hkl) == 0:
        raise DataError("no lattice point of the volume was measured; check grid, UB matrix and detector")
    unknown = np.full(len(hkl), np.nan)
    first, second = (_peaks(half, hkl, offsets, around) for half in halves) if halves else (unknown, unknown)
    return Reflections(hkl, intensity, unknown, np.ones(len(hkl), dtype=np.int32), first, second)


def _peaks(
    volume: IntensityVolume,
    hkl: NDArray[np.int32],
    offsets: NDArray[np.int64],
    around: NDArray[np.int64] | None,
) -> NDArray[np.float64]:
    """Intensity of each sphere, NaN where too little of it was measured."""
    total, _, n_measured = measured_sums(volume, hkl, offsets)
    enough = n_measured >= _MIN_MEASURED * len(offsets)
    whole = np.divide(total * len(offsets), n_measured, out=np.full(len(hkl), np.nan), where=enough)
    if around is None:
        return np.asarray(whole)
    total, _, n_around = measured_sums(volume, hkl, around)
    level = np.divide(total, n_around, out=np.full(len(hkl), np.nan), where=n_around > 0)
    return np.asarray(whole - level * len(offsets))


def sphere_weights(volume: IntensityVolume, hkl: NDArray[np.int32], radius_voxels: float) -> NDArray[np.float64]:
    """Interpolation weight that each peak's sphere received, float64 `(n,)`; proportional to its exposure."""
    return measured_sums(volume, hkl, sphere_offsets(radius_voxels))[1]


def photons_in_peaks(
    volume: IntensityVolume, hkl: NDArray[np.int32], radius_voxels: float, photons_total: float
) -> NDArray[np.float64]:
    """Estimate the photons behind each peak (Ayyer et al. 2015, dashed line of Fig. 4), float64 `(n,)`.

    A voxel's photons are its intensity times its exposure. The stored weights are exposures up to a common factor,
    which follows from all voxels together holding all photons. Photons on pixels that take no part in the volume are
    thereby shared out over the others, and where views were merged with equal weights (the paper's rule) photons of
    rarely seen views count for more; the estimate is good to that extent. NaN for an empty volume.

    Parameters
    ----------
    volume : IntensityVolume
        Intensity and weights.
    hkl : ndarray of int32, `(n, 3)`
        Lattice points.
    radius_voxels : float
        Radius of the spheres.
    photons_total : float
        Photons in all frames.
    """
    products = IntensityVolume(volume.values * volume.weight, volume.weight, volume.voxels_per_cell)
    total = float(products.values.sum(where=volume.weight > 0))
    if not total > 0:
        return np.full(len(hkl), np.nan)
    return measured_sums(products, hkl, sphere_offsets(radius_voxels))[0] * (photons_total / total)
