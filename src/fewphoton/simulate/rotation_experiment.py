"""A crystal turned about one axis before an area detector.

The experiment of Ayyer et al. 2015, doi:10.1107/S2052252514022313, section 3.

Expected counts of a pixel are the sum of three parts, each with its share of the mean photons of a frame: Bragg
peaks and diffuse scattering of the crystal, which share solid angle and polarization, and a flat background.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.simulate import SimulatedDetector, SimulateRotationConfig
from fewphoton.data import Beam, Crystal, Detector, FrameTable, IntensityVolume, Panel, PhotonFrames
from fewphoton.data.detector import polarization_factors, q_vectors
from fewphoton.data.orientations import rotation_about_axis
from fewphoton.data.structure import AtomicStructure
from fewphoton.errors import GeometryError
from fewphoton.kernels.bragg_pattern import bragg_intensity, bragg_patterns
from fewphoton.simulate.snapshots import photons_at
from fewphoton.simulate.structure_factors import diffuse_form, intensities


def tiled_detector(config: SimulatedDetector) -> Detector:
    """Build a flat tiled detector, centred on the beam, rows running down (-y) and columns to -x."""
    edge = config.tile_pixels
    pitch = edge + config.gap_pixels
    size = config.pixel_size_m
    n_rows, n_columns = config.tiles
    height = (n_rows * edge + (n_rows - 1) * config.gap_pixels) * size
    width = (n_columns * edge + (n_columns - 1) * config.gap_pixels) * size
    panels = [
        Panel(
            f"tile{row}{column}",
            row * edge,
            column * edge,
            edge,
            edge,
            np.array([width / 2 - column * pitch * size, height / 2 - row * pitch * size, config.distance_m]),
            np.array([0.0, -size, 0.0]),
            np.array([-size, 0.0, 0.0]),
        )
        for row in range(n_rows)
        for column in range(n_columns)
    ]
    detector = Detector((n_rows * edge, n_columns * edge), tuple(panels))
    centres = detector.pixel_centres_m()
    masked = np.hypot(centres[:, 0], centres[:, 1]) < config.beam_stop_radius_m
    if masked.all():
        raise GeometryError(f"a beam stop of {config.beam_stop_radius_m} m hides the whole simulated detector")
    return detector.with_mask(masked)


def euler_zyz(angles_deg: tuple[float, float, float]) -> NDArray[np.float64]:
    """Return Rz(a) Ry(b) Rz(c) for angles a, b, c in degrees, `(3, 3)`."""
    first, second, third = angles_deg
    z, y = (0.0, 0.0, 1.0), (0.0, 1.0, 0.0)
    return np.asarray(rotation_about_axis(z, first) @ rotation_about_axis(y, second) @ rotation_about_axis(z, third))


def exposure_table(config: SimulateRotationConfig) -> FrameTable:
    """Return batch and rotation range of every exposure of the experiment, in order of time."""
    spacing = config.batch_spacing_deg or 360.0 * config.n_turns / config.n_batches
    n_exposures = config.n_batches * config.frames_per_batch
    number = np.arange(n_exposures)
    batch, place = np.divmod(number, config.frames_per_batch)
    start = batch * spacing + place * config.rotation_per_frame_deg
    fluence, background = None, None
    if config.fluence_spread > 0 or config.background_spread > 0:
        # A stream of their own: photons are drawn from the same numbers as without.
        rng = np.random.default_rng([config.seed, 2])
        fluence = _factors(config.fluence_spread, n_exposures, rng)
        background = _factors(config.background_spread, n_exposures, rng)
    end = start + config.rotation_per_frame_deg
    return FrameTable(
        number,
        np.ones(n_exposures, dtype=np.int32),
        batch,
        start,
        end,
        true_fluence=fluence,
        true_background=background,
    )


def _factors(spread: float, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw factors of mean 1 from a gamma distribution."""
    return rng.gamma(spread**-2, spread**2, n) if spread > 0 else np.ones(n)


@dataclass(frozen=True, eq=False)
class RotationExperiment:
    """Everything that fixes the expected counts of each exposure.

    Parameters
    ----------
    detector, beam, crystal
        Geometry; the crystal holds U.
    rotation_axis : ndarray of float64, `(3,)`
        Goniometer axis.
    strength : ndarray of float64, `(2 m + 1, 2 m + 1, 2 m + 1)`
        Scaled integrated intensity of each lattice point.
    widths : ndarray of float64, `(3,)`
        See :func:`fewphoton.kernels.bragg_pattern.bragg_intensity`.
    response : ndarray of float64, `(n_pixels,)`
        Solid angle times polarization, mean 1 over unmasked pixels, 0 on masked ones.
    smooth : ndarray of float64, `(n_pixels,)`
        Expected diffuse and background photons of a frame.
    background : ndarray of float64, `(n_pixels,)`
        The background among them.
    diffuse_q_inv_angstrom, diffuse_photons : ndarray of float64, `(m,)`
        Table of the diffuse scattering: photons per pixel of response 1 against q.
    hkl, intensity : ndarray, `(n, 3)` int32 and `(n,)` float64
        The structure's reflections and |F|² (electrons², unscaled).
    """

    detector: Detector
    beam: Beam
    crystal: Crystal
    rotation_axis: NDArray[np.float64]
    strength: NDArray[np.float64]
    widths: NDArray[np.float64]
    response: NDArray[np.float64]
    smooth: NDArray[np.float64]
    background: NDArray[np.float64]
    diffuse_q_inv_angstrom: NDArray[np.float64]
    diffuse_photons: NDArray[np.float64]
    hkl: NDArray[np.int32]
    intensity: NDArray[np.float64]

    @classmethod
    def build(cls, config: SimulateRotationConfig, structure: AtomicStructure) -> RotationExperiment:
        """Set up the experiment and scale it to the wanted photons per frame.

        The Bragg share is scaled by its mean over 360 equally spaced angles.
        """
        detector = tiled_detector(config.detector)
        beam = Beam(config.wavelength_angstrom)
        crystal = Crystal(structure.cell, structure.space_group, euler_zyz(config.u_euler_deg))
        usable = ~detector.masked
        q = q_vectors(detector, beam)
        response = detector.solid_angles_sr() * polarization_factors(detector, beam)
        response = np.where(usable, response / response[usable].mean(), 0.0)
        q_length = np.linalg.norm(q, axis=1)
        hkl = crystal.lattice_points(float(q_length[usable].max()) + 0.1)
        intensity = intensities(structure, hkl, config.b_factor_angstrom2)
        half = int(np.abs(hkl).max())
        strength = np.zeros((2 * half + 1,) * 3)
        strength[tuple((hkl + half).T)] = intensity
        widths = np.array([config.size_broadening_inv_angstrom, np.deg2rad(config.mosaicity_deg), config.bandwidth])
        axis = np.asarray(config.rotation_axis, dtype=np.float64)

        bragg_total = np.empty(360)
        pattern = np.empty((1, detector.n_pixels), dtype=np.float32)
        to_hkl = np.linalg.inv(crystal.ub_matrix)
        for number, rotation in enumerate(rotation_about_axis(axis, np.arange(360.0))):
            bragg_patterns(q, (to_hkl @ rotation.T)[None], crystal.b_matrix, strength, widths, response, pattern)
            bragg_total[number] = pattern.sum(dtype=np.float64)
        bragg_share = 1 - config.diffuse_fraction - config.background_fraction
        strength *= config.photons_per_frame * bragg_share / bragg_total.mean()
        diffuse_q = np.linspace(0.0, float(q_length[usable].max()) + 0.1, 1024)
        diffuse_photons = diffuse_form(structure, diffuse_q, config.b_factor_angstrom2)
        diffuse = response * np.interp(np.where(usable, q_length, 0.0), diffuse_q, diffuse_photons)
        diffuse_scale = config.photons_per_frame * config.diffuse_fraction / float(diffuse.sum())
        level = config.photons_per_frame * config.background_fraction / usable.sum()
        background = np.where(usable, level, 0.0)
        smooth = diffuse * diffuse_scale + background
        return cls(
            detector,
            beam,
            crystal,
            axis,
            strength,
            widths,
            response,
            smooth,
            background,
            diffuse_q,
            diffuse_photons * diffuse_scale,
            hkl,
            intensity,
        )

    def patterns(self, omega_deg: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the expected counts at goniometer angles `(n,)` in degrees, float32 `(n, n_pixels)`."""
        transform = np.linalg.inv(self.crystal.ub_matrix) @ np.swapaxes(
            rotation_about_axis(self.rotation_axis, omega_deg), -1, -2
        )
        pattern = np.empty((len(omega_deg), self.detector.n_pixels), dtype=np.float32)
        bragg_patterns(
            q_vectors(self.detector, self.beam),
            transform,
            self.crystal.b_matrix,
            self.strength,
            self.widths,
            self.response,
            pattern,
        )
        pattern += self.smooth.astype(np.float32)
        return pattern

    def draw(self, table: FrameTable, rng: np.random.Generator, exposures_per_pattern: int = 1) -> PhotonFrames:
        """Draw Poisson photons of the exposures of ``table``.

        Each is seen at the middle of the rotation range of ``exposures_per_pattern`` successive exposures, of which
        the table must hold a whole number. Fluence and background are those of the table, or the mean ones where it
        has none.
        """
        first, last = table.omega_start_deg[::exposures_per_pattern], table.omega_end_deg[exposures_per_pattern - 1 : :]
        pattern = self.patterns(0.5 * (first + last[::exposures_per_pattern]))
        pattern_of_frame = np.arange(len(table)) // exposures_per_pattern
        if table.true_fluence is not None and table.true_background is not None:
            pattern, pattern_of_frame = pattern[pattern_of_frame], np.arange(len(table))
            fluence, level = (part[:, None].astype(np.float32) for part in (table.true_fluence, table.true_background))
            pattern *= fluence
            pattern += (level - fluence) * self.background.astype(np.float32)
            np.maximum(pattern, 0.0, out=pattern)
        n_photons = rng.poisson(pattern.sum(axis=1, dtype=np.float64)[pattern_of_frame])
        frame = np.repeat(np.arange(len(table)), n_photons)
        uniform = rng.random(len(frame))
        drawn_from = pattern_of_frame[frame]
        draw_ptr = np.searchsorted(drawn_from, np.arange(len(pattern) + 1)).astype(np.int64)
        order = np.lexsort((uniform, drawn_from))
        return photons_at(pattern, draw_ptr, uniform[order], table, frame[order])

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


def exposures(
    experiment: RotationExperiment, config: SimulateRotationConfig
) -> Iterator[tuple[PhotonFrames, np.random.Generator]]:
    """Yield the photons of the whole experiment chunk by chunk, each with its own random generator.

    The generator has drawn the photons; what is drawn from it next (read noise, say) is reproducible as well.
    """
    table = exposure_table(config)
    starts = range(0, len(table), config.chunk_frames)
    for start, seed in zip(starts, np.random.SeedSequence(config.seed).spawn(len(starts)), strict=True):
        rng = np.random.default_rng(seed)
        part = table.take(slice(start, start + config.chunk_frames))
        yield experiment.draw(part, rng, config.exposures_per_pattern), rng
