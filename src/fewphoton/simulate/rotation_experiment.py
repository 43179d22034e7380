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
