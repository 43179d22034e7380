"""Snapshots of a single particle: expected patterns of a molecule in any orientation, and the true Fourier volume.

Expected photons of a pixel are r_e² J Ω P |F(R⁻¹ q)|² with the classical electron radius r_e, the fluence J, the
pixel's solid angle Ω and polarization factor P.

A particle is described as a crystal of the space group P 1 with a cubic cell of edge L, the box, and U the identity:
fractional indices are then q L, and an hkl grid with one voxel per cell is the Fourier volume with voxels 1/L apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import spline_filter

from fewphoton.config.simulate_particles import SimulateParticlesConfig
from fewphoton.data import Beam, Crystal, Detector, IntensityVolume, Molecule, Orientations
from fewphoton.data.detector import polarization_factors, q_vectors
from fewphoton.data.physical_constants import ELECTRON_RADIUS_M, KEV_ANGSTROM
from fewphoton.data.volume import voxels_to_hold
from fewphoton.errors import ConfigError
from fewphoton.kernels.cubic_slices import cubic_patterns
from fewphoton.simulate.molecular_transform import MolecularTransform
from fewphoton.simulate.snapshots import Snapshots, mean_over_orientations
from fewphoton.simulate.tiled_detector import square_detector

LARGEST_ERROR = 1e-3
"""Largest root mean square error of the grid's patterns in a shell of q, relative to the shell's mean intensity."""
_MARGIN = 12  # voxels; over them the spline filter forgets how the grid ends, by (2 - sqrt 3)^12
_N_SHELLS = 10
_CHECKED = 3
_SMALLEST_BOX = 2.0


class IntensitySpline:
    """|F|² of a molecule by cubic splines through its values on a dense grid.

    Parameters
    ----------
    transform : MolecularTransform
        Molecule.
    oversampling : float
        Grid points per 1/(2 diameter) along each axis.
    """

    def __init__(self, transform: MolecularTransform, oversampling: float) -> None:
        # An atom is no point: its own width keeps the spacing finite where there is only one.
        extent = max(transform.molecule.diameter_angstrom, _SMALLEST_BOX)
        self._spacing = 1 / (2 * oversampling * extent)
        n = voxels_to_hold(transform.q_max_inv_angstrom, self._spacing, _MARGIN)
        grid = transform.intensity_grid(n, self._spacing)
        self._coefficients = spline_filter(grid, order=3, output=np.float32, mode="mirror")

    def patterns(self, q: NDArray[np.float64], rotations: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return |F|² at ``q`` `(n_pixels, 3)` of the molecule turned by ``rotations`` `(n, 3, 3)`, `(n, n_pixels)`."""
        pattern = np.empty((len(rotations), len(q)), dtype=np.float32)
        to_voxels = np.ascontiguousarray(np.swapaxes(rotations, -1, -2)) / self._spacing
        cubic_patterns(self._coefficients, q, to_voxels, float(len(self._coefficients) // 2), pattern)
        return pattern


def shell_errors(q_length: NDArray[np.float64], found: NDArray[Any], exact: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the RMS difference in ten equal steps of q relative to the shell's mean, `(10,)`; 0 in empty shells.

    Parameters
    ----------
    q_length : ndarray of float64, `(n_pixels,)`
        Length of q.
    found, exact : ndarray, `(n, n_pixels)`
        Patterns.
    """
    shell = np.minimum((q_length / q_length.max() * _N_SHELLS).astype(int), _N_SHELLS - 1)
    square = np.bincount(shell, ((found - exact) ** 2).mean(axis=0), _N_SHELLS)
    mean = np.bincount(shell, exact.mean(axis=0), _N_SHELLS)
    pixels = np.maximum(np.bincount(shell, minlength=_N_SHELLS), 1)
    return np.asarray(np.sqrt(square / pixels) / np.where(mean > 0, mean / pixels, 1.0))


@dataclass(frozen=True, eq=False)
class ParticleExperiment:
    """Everything that fixes the expected photons of the snapshots.

    Parameters
    ----------
    config : SimulateParticlesConfig
        Brightness, seed.
    detector, beam : Detector, Beam
        Geometry.
    crystal : Crystal
        The box, in place of a unit cell.
    transform : MolecularTransform
        Scattering of the centred molecule.
    spline : IntensitySpline or None
        The fast way; None: the exact sum.
    pixels : ndarray of int64, `(n_usable,)`
        Usable pixels.
    q_inv_angstrom : ndarray of float64, `(n_usable, 3)`
        Their scattering vectors.
    response : ndarray of float64, `(n_usable,)`
        Solid angle times polarization, mean 1.
    photons_per_electron2 : float
        Photons on a pixel of response 1 at fluence 1, per electron².
    mean_photons : float
        Photons that the particle scatters to the usable pixels, mean over orientations.
    interpolation_error : float
        Largest relative error of the splines over shells of q, 0 for the exact sum.
    """

    config: SimulateParticlesConfig
    detector: Detector
    beam: Beam
    crystal: Crystal
    transform: MolecularTransform
    spline: IntensitySpline | None
    pixels: NDArray[np.int64]
    q_inv_angstrom: NDArray[np.float64]
    response: NDArray[np.float64]
    photons_per_electron2: float
    mean_photons: float
    interpolation_error: float

    @classmethod
    def build(cls, config: SimulateParticlesConfig, molecule: Molecule) -> ParticleExperiment:
        """Set up the experiment.

        Raises
        ------
        ConfigError
            If the box is smaller than the particle, or the grid is too coarse.
        GeometryError
            If the beam stop hides the detector.
        """
        centred = molecule.centred()
        diameter = max(centred.diameter_angstrom, _SMALLEST_BOX)
        box = config.box_angstrom or 2 * diameter
        if box < diameter:
            raise ConfigError(f"a box of {box} angstrom does not hold a particle of {diameter:.1f} angstrom")
        detector = square_detector(config.detector)
        beam = Beam(KEV_ANGSTROM / config.photon_energy_kev, polarization_fraction=config.polarization_fraction)
        pixels = np.flatnonzero(~detector.masked)
        q = q_vectors(detector, beam)[pixels]
        q_length = np.linalg.norm(q, axis=1)
        absolute = (detector.solid_angles_sr() * polarization_factors(detector, beam))[pixels]
        response = absolute / absolute.mean()
        transform = MolecularTransform(centred, float(q_length.max()), b_factors=config.b_factors)
        spline = IntensitySpline(transform, config.grid_oversampling)
        error = cls._error(transform, spline, q, q_length)
        if config.intensity == "grid" and error > LARGEST_ERROR:
            raise ConfigError(
                f"a grid_oversampling of {config.grid_oversampling} leaves errors of {error:.1e} of a shell's mean "
                f"intensity, more than {LARGEST_ERROR}; raise it, or set intensity to exact"
            )
        # Both ways share the scale, which the grid gives fast.
        mean_electron2 = mean_over_orientations(
            lambda rotations: spline.patterns(q, rotations) * response.astype(np.float32)
        )
        if config.pulse is not None:
            fluence = config.pulse.photons / config.pulse.focus_area_m2
            scale = ELECTRON_RADIUS_M**2 * fluence * float(absolute.mean())
        else:
            assert config.photons_per_frame is not None  # the configuration has one of the two
            scale = config.photons_per_frame / mean_electron2
        return cls(
            config,
            detector,
            beam,
            Crystal((box, box, box, 90.0, 90.0, 90.0), "P 1"),
            transform,
            spline if config.intensity == "grid" else None,
            pixels,
            q,
            response,
            scale,
            scale * mean_electron2,
            error if config.intensity == "grid" else 0.0,
        )

    @staticmethod
    def _error(
        transform: MolecularTransform, spline: IntensitySpline, q: NDArray[np.float64], q_length: NDArray[np.float64]
    ) -> float:
        sample = Orientations.over_rotation_group(1).matrices()
        rotations = sample[:: len(sample) // _CHECKED]
        exact = np.stack([transform.intensity(q @ rotation) for rotation in rotations])
        return float(shell_errors(q_length, spline.patterns(q, rotations), exact).max())

    def patterns(self, rotations: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the photons expected from the particle turned by `(n, 3, 3)` at fluence 1, float32 `(n, n_pixels)`."""
        if self.spline is not None:
            squares = self.spline.patterns(self.q_inv_angstrom, rotations)
        else:
            # Rows of q R are R⁻¹ q: what the particle's own frame sees.
            squares = np.stack([self.transform.intensity(self.q_inv_angstrom @ rotation) for rotation in rotations])
        pattern = np.zeros((len(rotations), self.detector.n_pixels), dtype=np.float32)
        pattern[:, self.pixels] = squares * (self.photons_per_electron2 * self.response)
        return pattern

    def snapshots(self) -> Snapshots:
        """Return the frames, not yet drawn."""
        background = np.zeros(self.detector.n_pixels, dtype=np.float32)
        background[self.pixels] = self.config.background_photons_per_frame / len(self.pixels)
        return Snapshots(self.patterns, background, self.config.n_frames, self.config.fluence_spread, self.config.seed)

    def true_volume(self) -> IntensityVolume:
        """Noise-free photons on a pixel of response 1 at fluence 1, without background, on the box's hkl grid."""
        spacing = 1 / self.crystal.cell[0]
        reach = float(np.linalg.norm(self.q_inv_angstrom, axis=1).max())
        n = self.config.truth_n_voxels or voxels_to_hold(reach, spacing, 1)
        values = self.photons_per_electron2 * self.transform.intensity_grid(n, spacing)
        return IntensityVolume(values, np.ones_like(values), 1)
