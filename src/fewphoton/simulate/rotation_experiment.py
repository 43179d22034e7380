"""A crystal turned about one axis before an area detector.

The experiment of Ayyer et al. 2015, doi:10.1107/S2052252514022313, section 3; see
:mod:`fewphoton.simulate.crystal_scattering` for the parts of the expected counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.simulate import SimulateRotationConfig
from fewphoton.data import Beam, Crystal, FrameTable, PhotonFrames
from fewphoton.data.orientations import rotation_about_axis
from fewphoton.data.structure import AtomicStructure
from fewphoton.simulate.crystal_scattering import CrystalScattering
from fewphoton.simulate.snapshots import photons_at
from fewphoton.simulate.tiled_detector import tiled_detector


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
    return FrameTable(number, np.ones(n_exposures, dtype=np.int32), batch, start, start + config.rotation_per_frame_deg)


@dataclass(frozen=True, eq=False)
class RotationExperiment(CrystalScattering):
    """Everything that fixes the expected counts of each exposure.

    Parameters
    ----------
    rotation_axis : ndarray of float64, `(3,)`
        Goniometer axis; the other parameters are those of
        :class:`~fewphoton.simulate.crystal_scattering.CrystalScattering`.
    """

    rotation_axis: NDArray[np.float64]

    @classmethod
    def build(cls, config: SimulateRotationConfig, structure: AtomicStructure) -> RotationExperiment:
        """Set up the experiment and scale it to the wanted photons per frame.

        The Bragg share is scaled by its mean over 360 equally spaced angles.
        """
        axis = np.asarray(config.rotation_axis, dtype=np.float64)

        def mean_over_the_turn(patterns: Callable[[NDArray[np.float64]], NDArray[np.float32]]) -> float:
            rotations = rotation_about_axis(axis, np.arange(360.0))
            return float(np.mean([patterns(rotation[None]).sum(dtype=np.float64) for rotation in rotations]))

        parts = CrystalScattering.scaled(
            config,
            structure,
            tiled_detector(config.detector),
            Beam(config.wavelength_angstrom),
            Crystal(structure.cell, structure.space_group, euler_zyz(config.u_euler_deg)),
            config.photons_per_frame,
            mean_over_the_turn,
        )
        return cls(**vars(parts), rotation_axis=axis)

    def patterns(self, omega_deg: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the expected counts at goniometer angles `(n,)` in degrees, float32 `(n, n_pixels)`."""
        pattern = self.bragg(rotation_about_axis(self.rotation_axis, omega_deg))
        pattern += self.smooth.astype(np.float32)
        return pattern

    def draw(self, table: FrameTable, rng: np.random.Generator) -> PhotonFrames:
        """Draw Poisson photons of the exposures of ``table``; each is seen at the middle of its rotation range."""
        pattern = self.patterns(table.omega_deg)
        n_photons = rng.poisson(pattern.sum(axis=1, dtype=np.float64))
        draw_ptr = np.concatenate([[0], np.cumsum(n_photons)]).astype(np.int64)
        frame = np.repeat(np.arange(len(table)), n_photons)
        uniform = rng.random(draw_ptr[-1])
        return photons_at(pattern, draw_ptr, uniform[np.lexsort((uniform, frame))], table)


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
        yield experiment.draw(table.take(slice(start, start + config.chunk_frames)), rng), rng
