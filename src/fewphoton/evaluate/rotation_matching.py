"""The rotation that brings the intensities of one particle closest to known ones, sought over all rotations.

Intensities on spheres about the origin are expanded in spherical harmonics; their correlation is then a Fourier series
in the three Euler angles, which one fast Fourier transform evaluates everywhere (fast rotational matching, Kovacs &
Wriggers 2002, doi:10.1107/S0907444902009794). The best candidates are refined on the voxels themselves. In every shell
intensities count by their deviation from the shell's mean over its spread, so that low q does not outweigh the rest.

Intensities of a particle and of its mirror image through a point are the same, so the hand stays open here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, optimize, special
from scipy.spatial.transform import Rotation

from fewphoton.data import IntensityVolume
from fewphoton.data.point_group import positive_quaternions, rotation_angles_deg
from fewphoton.errors import DataError

IntensityAt = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Returns the true intensities `(n,)` at q `(n, 3)` in 1/angstrom."""

BAND = 24
"""Highest order of the spherical harmonics; only even ones occur, as mates through the origin are equal."""
_ANGLES = 64
_N_CANDIDATES = 8
_N_REFINED = 2
_VOXELS_IN_SHELL = 200
_COARSE_DEG, _FINE_DEG = 5.0, 1.0


@dataclass(frozen=True, eq=False)
class RotationMatch:
    """How a found volume lies to the true one.

    Parameters
    ----------
    alignment : ndarray of float64, `(4,)`
        Unit quaternion of A: the found intensity at A p is the true one at p, as in
        :mod:`fewphoton.evaluate.volume_alignment`.
    correlation : float
        Mean over shells of Pearson's correlation there.
    """

    alignment: NDArray[np.float64]
    correlation: float


def sphere_points(band: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return polar angles, azimuths and weights that integrate products of two functions of that band exactly."""
    cosine, weight = np.polynomial.legendre.leggauss(band + 1)
    azimuth = np.arange(2 * band + 1) * 2 * np.pi / (2 * band + 1)
    polar, around = np.meshgrid(np.arccos(cosine), azimuth, indexing="ij")
    weights = np.repeat(weight * 2 * np.pi / (2 * band + 1), len(azimuth))
    return polar.ravel(), around.ravel(), weights


def rotation_correlation(
    found: NDArray[np.float64], true: NDArray[np.float64], band: int, n_angles: int = _ANGLES
) -> NDArray[np.float64]:
    """Return the correlation of functions on spheres, one of them turned, on a grid of Euler angles.

    Parameters
    ----------
    found, true : ndarray of float64, `(n_spheres, n_points)`
        Values at the points of :func:`sphere_points`.
    band : int
        Highest order.
    n_angles : int
        Angles around the circle, above twice the band.

    Returns
    -------
    ndarray of float64, `(n_angles, n_angles, n_angles)`
        At [a, b, c]: sum over spheres and directions of found(p) true(R^-1 p) for R = R_z(2 pi a / n_angles)
        R_y(2 pi b / n_angles) R_z(2 pi c / n_angles), harmonics of even order from 2 on.
    """
    polar, azimuth, weight = sphere_points(band)
    series = np.zeros((n_angles,) * 3, dtype=np.complex128)
    for order in range(2, band + 1, 2):
        m = np.arange(-order, order + 1)
        harmonics = special.sph_harm_y(order, m[:, None], polar, azimuth)
        projected = [values @ (np.conj(harmonics) * weight).T for values in (found, true)]
        product = np.conj(projected[0]).T @ projected[1]
        # A turn about y is the exponential of J_y, whose eigenvalues are -order to order.
        raising = np.sqrt((order - m[:-1]) * (order + m[:-1] + 1.0))
        j_y = (np.diag(raising, -1) - np.diag(raising, 1)) / 2j
        states = np.linalg.eigh(j_y)[1]
        place = np.ix_(m % n_angles, m % n_angles, m % n_angles)
        series[place] += np.einsum("mk,mh,kh->mhk", product, states, np.conj(states))
    return np.asarray(fft.fftn(series).real)


def match_rotation(
    found: IntensityVolume,
    spacing_inv_angstrom: float,
    true_intensity: IntensityAt,
    q_high_inv_angstrom: float,
    diameter_angstrom: float,
    also: Iterable[NDArray[np.float64]] = (),
) -> RotationMatch:
    """Find the rotation between a found volume and the true intensities.

    Parameters
    ----------
    found : IntensityVolume
        Found intensity on a Cartesian grid; voxels of weight 0 do not count.
    spacing_inv_angstrom : float
        Distance of its voxels.
    true_intensity : callable
        True intensities.
    q_high_inv_angstrom : float
        Voxels beyond do not count.
    diameter_angstrom : float
        Largest extent of the particle: the harmonics describe its intensities up to the q that goes with it.
    also : iterable of ndarray of float64, `(4,)`
        Further candidates, for example the alignment of orientations.

    Raises
    ------
    DataError
        If fewer than two shells say anything.
    """
    last = int(min(np.floor(q_high_inv_angstrom / spacing_inv_angstrom + 1e-6), (found.n - 1) // 2))
    reach = BAND / (2 * np.pi * diameter_angstrom * spacing_inv_angstrom)
    shells = _ShellVoxels.of(found, spacing_inv_angstrom, last)
    coarse = shells.up_to(int(max(reach, shells.number[0] + 2)))
    radii = np.arange(1, min(last, int(np.ceil(reach))) + 1)
    candidates = [np.asarray(one, dtype=np.float64) for one in also]
    candidates += _candidates(found, radii, spacing_inv_angstrom, true_intensity)
    improved = [_refined(one, coarse, true_intensity, _COARSE_DEG, 50) for one in candidates]
    improved.sort(key=lambda match: -match.correlation)
    final = [_refined(one.alignment, shells, true_intensity, _FINE_DEG, 150) for one in improved[:_N_REFINED]]
    return max(final, key=lambda match: match.correlation)


def _candidates(
    found: IntensityVolume, radii: NDArray[np.int64], spacing: float, true_intensity: IntensityAt
) -> list[NDArray[np.float64]]:
    """Return the highest points of the correlation over all rotations that lie apart."""
    polar, azimuth, _ = sphere_points(BAND)
    sine = np.sin(polar)
    direction = np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), np.cos(polar)], axis=1)
    place = radii[:, None, None] * direction
    voxel = np.moveaxis(place + found.n // 2, -1, 0)
    measured = (found.weight > 0).astype(np.float64)
    there = ndimage.map_coordinates(measured, voxel, order=1) > 1 - 1e-9
    values = ndimage.map_coordinates(np.where(measured > 0, found.values, 0.0), voxel, order=1)
    true = true_intensity(place.reshape(-1, 3) * spacing).reshape(values.shape)
    whole = np.ones_like(there)
    grid = rotation_correlation(_standard(values, there), _standard(true, whole), BAND)
    order = np.argsort(grid, axis=None)[::-1][:4000]
    angles = np.stack(np.unravel_index(order, grid.shape), axis=1) * 2 * np.pi / len(grid)
    quaternion = Rotation.from_euler("ZYZ", angles).as_quat(scalar_first=True)
    chosen: list[NDArray[np.float64]] = []
    apart_deg = 1.5 * 360.0 / len(grid)
    for one in quaternion:
        if all(rotation_angles_deg(one, other) > apart_deg for other in chosen):
            chosen.append(one)
        if len(chosen) == _N_CANDIDATES:
            break
    return chosen


def _standard(values: NDArray[np.float64], there: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Deviations from the mean of each row over their spread; 0 where nothing was measured."""
    count = np.maximum(there.sum(axis=1, keepdims=True), 1)
    mean = np.where(there, values, 0.0).sum(axis=1, keepdims=True) / count
    away = np.where(there, values - mean, 0.0)
    spread = np.sqrt((away**2).sum(axis=1, keepdims=True) / count)
    return np.asarray(np.divide(away, spread, out=np.zeros_like(away), where=spread > 1e-12 * np.abs(mean)))


@dataclass(frozen=True, eq=False)
class _ShellVoxels:
    """Some measured voxels of each shell: q `(n, 3)`, place in the list of shells, standardised values, shells."""

    q: NDArray[np.float64]
    place: NDArray[np.int64]
    value: NDArray[np.float64]
    number: NDArray[np.int64]

    @classmethod
    def of(cls, found: IntensityVolume, spacing: float, last: int) -> _ShellVoxels:
        middle = found.n // 2
        offset = np.argwhere(found.weight > 0) - middle
        shell = np.rint(np.linalg.norm(offset, axis=1)).astype(np.int64)
        rng = np.random.default_rng(0)
        kept = []
        for wanted in range(1, last + 1):
            members = np.flatnonzero(shell == wanted)
            if len(members) >= 8:
                kept.append(rng.permutation(members)[:_VOXELS_IN_SHELL])
        if len(kept) < 2:
            raise DataError("fewer than two shells of the volume are measured; its rotation cannot be told")
        chosen = np.concatenate(kept)
        place = np.repeat(np.arange(len(kept)), [len(part) for part in kept])
        value = found.values[tuple((offset[chosen] + middle).T)]
        number = np.array([shell[part[0]] for part in kept])
        return cls(offset[chosen] * spacing, place, _by_shell(value, place, len(kept)), number)

    def up_to(self, last: int) -> _ShellVoxels:
        n_shells = int((self.number <= last).sum())
        inside = self.place < n_shells
        return _ShellVoxels(self.q[inside], self.place[inside], self.value[inside], self.number[:n_shells])

    def correlation(self, alignment: NDArray[np.float64], true_intensity: IntensityAt) -> float:
        # Rows of q R are A^-1 q.
        turn = Rotation.from_quat(alignment, scalar_first=True).as_matrix()
        true = _by_shell(true_intensity(self.q @ turn), self.place, len(self.number))
        products = np.bincount(self.place, self.value * true, len(self.number)) / np.bincount(self.place)
        return float(products.mean())


def _by_shell(value: NDArray[np.float64], place: NDArray[np.int64], n_shells: int) -> NDArray[np.float64]:
    count = np.bincount(place, minlength=n_shells)
    mean = np.bincount(place, value, n_shells) / count
    away = value - mean[place]
    spread = np.sqrt(np.bincount(place, away**2, n_shells) / count)
    flat = spread <= 1e-12 * np.abs(mean)
    return np.asarray(np.where(flat[place], 0.0, away / np.where(flat, 1.0, spread)[place]))


def _refined(
    start: NDArray[np.float64], shells: _ShellVoxels, true_intensity: IntensityAt, width_deg: float, n_steps: int
) -> RotationMatch:
    """Climb from a start by a simplex over rotation vectors."""
    base = Rotation.from_quat(start, scalar_first=True)

    def turned(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((Rotation.from_rotvec(vector) * base).as_quat(scalar_first=True))

    simplex = np.concatenate([np.zeros((1, 3)), np.deg2rad(width_deg) * np.eye(3)])
    found = optimize.minimize(
        lambda vector: -shells.correlation(turned(vector), true_intensity),
        np.zeros(3),
        method="Nelder-Mead",
        options={"initial_simplex": simplex, "maxfev": n_steps, "xatol": 1e-5, "fatol": 1e-9},
    )
    return RotationMatch(positive_quaternions(turned(found.x)[None])[0], -float(found.fun))
