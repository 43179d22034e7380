"""Expected photons of a crystal before a detector: Bragg peaks, diffuse scattering, background.

Each part has its share of the mean photons of a frame. Bragg peaks and diffuse scattering come from the crystal and
share solid angle and polarization; the background is flat.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.simulate import CrystalScatteringConfig
from fewphoton.data import Beam, Crystal, Detector, IntensityVolume
from fewphoton.data.detector import polarization_factors, q_vectors
from fewphoton.data.structure import AtomicStructure
from fewphoton.kernels.bragg_pattern import bragg_intensity, bragg_patterns
from fewphoton.simulate.structure_factors import diffuse_form, intensities

_BEYOND = 0.1  # 1/angstrom beyond the detector from which reflections still spread onto it


@dataclass(frozen=True, eq=False)
class CrystalScattering:
    """Everything that fixes the expected photons of a crystal in a known orientation.

    Parameters
    ----------
    detector, beam, crystal
        Geometry; the crystal holds U.
    strength : ndarray of float64, `(2 m + 1, 2 m + 1, 2 m + 1)`
        Scaled integrated intensity of each lattice point.
    widths : ndarray of float64, `(3,)`
        See :func:`fewphoton.kernels.bragg_pattern.bragg_intensity`.
    response : ndarray of float64, `(n_pixels,)`
        Solid angle times polarization, mean 1 over unmasked pixels, 0 on masked ones.
    diffuse, background : ndarray of float64, `(n_pixels,)`
        Expected photons of a frame.
    diffuse_q_inv_angstrom, diffuse_photons : ndarray of float64, `(m,)`
        Table of the diffuse scattering: photons per pixel of response 1 against q.
    hkl, intensity : ndarray, `(n, 3)` int32 and `(n,)` float64
        The structure's reflections and |F|² (electrons², unscaled).
    """

    detector: Detector
    beam: Beam
    crystal: Crystal
    strength: NDArray[np.float64]
    widths: NDArray[np.float64]
    response: NDArray[np.float64]
    diffuse: NDArray[np.float64]
    background: NDArray[np.float64]
    diffuse_q_inv_angstrom: NDArray[np.float64]
    diffuse_photons: NDArray[np.float64]
    hkl: NDArray[np.int32]
    intensity: NDArray[np.float64]

    @classmethod
    def scaled(
        cls,
        config: CrystalScatteringConfig,
        structure: AtomicStructure,
        detector: Detector,
        beam: Beam,
        crystal: Crystal,
        photons_per_frame: float,
        mean_total: Callable[[Callable[[NDArray[np.float64]], NDArray[np.float32]]], float],
        solvent: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None,
    ) -> CrystalScattering:
        """Set up the parts and scale them to the wanted photons per frame.

        Parameters
        ----------
        config : CrystalScatteringConfig
            Widths and shares.
        structure : AtomicStructure
            Atoms.
        detector, beam, crystal
            Geometry.
        photons_per_frame : float
            Mean photons of a frame, background included.
        mean_total : callable
            Takes a function from rotations `(n, 3, 3)` to patterns `(n, n_pixels)`, returns the mean of their totals
            over the orientations of the experiment.
        solvent : callable, optional
            Factor of |F|² against q; none by default.
        """
        usable = ~detector.masked
        q = q_vectors(detector, beam)
        response = detector.solid_angles_sr() * polarization_factors(detector, beam)
        response = np.where(usable, response / response[usable].mean(), 0.0)
        q_length = np.linalg.norm(q, axis=1)
        q_end = float(q_length[usable].max()) + _BEYOND
        hkl = crystal.lattice_points(q_end)
        intensity = intensities(structure, hkl, config.b_factor_angstrom2)
        if solvent is not None:
            intensity = intensity * solvent(crystal.q_inv_angstrom(hkl))
        half = int(np.abs(hkl).max())
        strength = np.zeros((2 * half + 1,) * 3)
        strength[tuple((hkl + half).T)] = intensity
        widths = np.array([config.size_broadening_inv_angstrom, np.deg2rad(config.mosaicity_deg), config.bandwidth])

        def unscaled(rotations: NDArray[np.float64]) -> NDArray[np.float32]:
            return _bragg(q, crystal, strength, widths, response, rotations)

        bragg_share = 1 - config.diffuse_fraction - config.background_fraction
        bragg_scale = photons_per_frame * bragg_share / mean_total(unscaled)
        diffuse_q = np.linspace(0.0, q_end, 1024)
        diffuse_photons = diffuse_form(structure, diffuse_q, config.b_factor_angstrom2)
        diffuse = response * np.interp(np.where(usable, q_length, 0.0), diffuse_q, diffuse_photons)
        diffuse_scale = photons_per_frame * config.diffuse_fraction / float(diffuse.sum())
        background = photons_per_frame * config.background_fraction / usable.sum()
        return cls(
            detector,
            beam,
            crystal,
            strength * bragg_scale,
            widths,
            response,
            diffuse * diffuse_scale,
            np.where(usable, background, 0.0),
            diffuse_q,
            diffuse_photons * diffuse_scale,
            hkl,
            intensity,
        )

    @property
    def smooth(self) -> NDArray[np.float64]:
        """Expected diffuse and background photons of a frame, float64 `(n_pixels,)`."""
        return np.asarray(self.diffuse + self.background)

    def bragg(self, rotations: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the expected Bragg photons of the crystal turned by `(n, 3, 3)`, float32 `(n, n_pixels)`."""
        q = q_vectors(self.detector, self.beam)
        return _bragg(q, self.crystal, self.strength, self.widths, self.response, rotations)

    def true_volume(self, n_voxels: int, voxels_per_cell: int) -> IntensityVolume:
        """Noise-free intensity of the crystal (Bragg and diffuse, no background) on an hkl grid."""
        axis = (np.arange(n_voxels) - n_voxels // 2) / voxels_per_cell
        values = np.empty((n_voxels,) * 3)
        plane = np.empty((n_voxels, n_voxels, 3))
        plane[..., 1] = axis[:, None]
        plane[..., 2] = axis[None, :]
        for number, h in enumerate(axis):
            plane[..., 0] = h
            points = plane.reshape(-1, 3)
            layer = np.empty(len(points))
            bragg_intensity(points, self.crystal.b_matrix, self.strength, self.widths, layer)
            length = self.crystal.q_inv_angstrom(points)
            diffuse = np.interp(length, self.diffuse_q_inv_angstrom, self.diffuse_photons)
            values[number] = (layer + diffuse).reshape(n_voxels, n_voxels)
        return IntensityVolume(values, np.ones_like(values), voxels_per_cell)


def _bragg(
    q: NDArray[np.float64],
    crystal: Crystal,
    strength: NDArray[np.float64],
    widths: NDArray[np.float64],
    response: NDArray[np.float64],
    rotations: NDArray[np.float64],
) -> NDArray[np.float32]:
    transform = np.linalg.inv(crystal.ub_matrix) @ np.swapaxes(rotations, -1, -2)
    pattern = np.empty((len(rotations), len(q)), dtype=np.float32)
    bragg_patterns(q, transform, crystal.b_matrix, strength, widths, response, pattern)
    return pattern
