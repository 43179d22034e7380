"""Snapshots of a particle and of a crystal in random orientations, from expected views computed point by point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from fewphoton.data import Beam, Crystal, Detector, IntensityVolume, Panel, PhotonFrames
from fewphoton.emc.pixels import PixelRows


def particle_intensity(seed: int, n_atoms: int = 12, radius_angstrom: float = 9.0):
    """Intensity of a handful of soft scatterers in a ball, a function of q `(..., 3)`."""
    rng = np.random.default_rng(seed)
    place = rng.standard_normal((n_atoms, 3))
    place *= radius_angstrom * rng.random((n_atoms, 1)) ** (1 / 3) / np.linalg.norm(place, axis=1, keepdims=True)

    def intensity(q: NDArray[np.float64]) -> NDArray[np.float64]:
        wave = np.exp(-2j * np.pi * (q @ place.T)).sum(axis=-1)
        return np.abs(wave) ** 2 * np.exp(-10.0 * (q**2).sum(axis=-1))

    return intensity


def crystal_intensity(crystal: Crystal, width_inv_angstrom: float, seed: int):
    """Peaks of random height, equal for equivalents of the Laue group, a function of q `(..., 3)`."""
    height: dict[tuple[int, ...], float] = {}
    rng = np.random.default_rng(seed)

    def intensity(q: NDArray[np.float64]) -> NDArray[np.float64]:
        hkl = q.reshape(-1, 3) @ np.linalg.inv(crystal.ub_matrix).T
        nearest = np.rint(hkl).astype(np.int32)
        points, number = np.unique(nearest, axis=0, return_inverse=True)
        found = np.array(
            [height.setdefault(tuple(point), rng.exponential()) for point in crystal.to_laue_asu(points).tolist()]
        )
        found[~points.any(axis=1)] = 0.0
        distance = ((hkl - nearest) @ crystal.ub_matrix.T) ** 2
        peak = found[number.reshape(-1)] * np.exp(-distance.sum(axis=1) / (2 * width_inv_angstrom**2))
        return (peak + 0.01).reshape(q.shape[:-1])

    return intensity


@dataclass(frozen=True, eq=False)
class Snapshots:
    """Frames with what made them."""

    frames: PhotonFrames
    quaternion: NDArray[np.float64]
    crystal: Crystal
    rows: PixelRows
    truth: IntensityVolume
    detector: Detector
    beam: Beam


def detector_of(n_pixels: int, q_max_inv_angstrom: float, wavelength_angstrom: float) -> tuple[Detector, Beam]:
    """Square detector whose edge lies at a q, 4 pixels in the middle masked."""
    pixel, edge = 1e-3, 1e-3 * n_pixels / 2
    angle = 2 * np.arcsin(q_max_inv_angstrom * wavelength_angstrom / 2)
    corner = np.array([-edge, -edge, edge / np.tan(angle)])
    steps = np.array([0.0, pixel, 0.0]), np.array([pixel, 0.0, 0.0])
    detector = Detector((n_pixels, n_pixels), (Panel("panel", 0, 0, n_pixels, n_pixels, corner, *steps),))
    masked = np.zeros((n_pixels, n_pixels), dtype=bool)
    middle = slice(n_pixels // 2 - 1, n_pixels // 2 + 1)
    masked[middle, middle] = True
    return detector.with_mask(masked), Beam(wavelength_angstrom)


def snapshots(
    intensity,
    crystal: Crystal,
    voxels_per_cell: int,
    *,
    n_frames: int,
    photons_per_frame: float,
    n_pixels: int,
    q_max_inv_angstrom: float,
    wavelength_angstrom: float = 1.0,
    seed: int = 0,
) -> Snapshots:
    """Draw Poisson frames at orientations spread evenly over all rotations."""
    rng = np.random.default_rng(seed)
    detector, beam = detector_of(n_pixels, q_max_inv_angstrom, wavelength_angstrom)
    rows = PixelRows.select(
        detector,
        beam,
        crystal,
        None,
        voxels_per_cell=voxels_per_cell,
        n_voxels=None,
        axis_margin_pixels=0.0,
        q_max_inv_angstrom=q_max_inv_angstrom,
        corrections=True,
    )
    rotation = Rotation.random(n_frames, rng)
    pixel = np.flatnonzero(rows.row_of_pixel >= 0)
    views = np.stack([intensity(rows.q_inv_angstrom @ one) for one in rotation.as_matrix()]) * rows.response
    scale = photons_per_frame / views.sum(axis=1).mean()
    dense = np.zeros((n_frames, detector.n_pixels), dtype=np.uint32)
    dense[:, pixel] = rng.poisson(views * scale)
    n = rows.n_voxels
    axis = (np.arange(n) - n // 2) / voxels_per_cell
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1) @ crystal.ub_matrix.T
    truth = IntensityVolume(intensity(grid) * scale, np.ones((n, n, n)), voxels_per_cell)
    quaternion = rotation.as_quat(scalar_first=True)
    return Snapshots(PhotonFrames.from_dense(dense), quaternion, crystal, rows, truth, detector, beam)
