"""Snapshots of randomly oriented crystals before an area detector: serial crystallography with one wavelength.

Every frame draws from a random stream of its own, so that the frames made at a time do not change them.

Solvent enters by Babinet's principle: at low resolution it scatters like the molecules with the sign turned, and weaker
(one factor for all reflections of a resolution; what finer models add is told by Fenn et al. 2010, Acta Cryst. D66,
1024-1031, doi:10.1107/S0907444910031045).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.simulate_stills import SimulateStillsConfig
from fewphoton.data import Beam, Crystal, Detector, Orientations, Reflections
from fewphoton.data.detector import q_vectors
from fewphoton.data.still_truth import StillShots, StillSpots
from fewphoton.data.structure import AtomicStructure
from fewphoton.errors import ConfigError
from fewphoton.kernels.poisson_tables import GUIDE_BITS, draw_poisson, poisson_tables
from fewphoton.kernels.still_spots import add_photons
from fewphoton.simulate.modular_detector import modular_detector, with_dead_pixels
from fewphoton.simulate.ring_background import BackgroundLevels, background_mean
from fewphoton.simulate.still_pattern import EXCITATION_REACH, StillPatterns, excitation_widths
from fewphoton.simulate.structure_factors import intensities, solvent_factor

_SCALE_ORIENTATIONS = 128
# Streams of the seed: one for the detector, one for the scale; frames take (_FRAME, number).
_DETECTOR, _SCALE, _FRAME = 0, 1, 2


def uniform_rotation(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a rotation matrix `(3, 3)` uniform over SO(3): four normal numbers make a uniform unit quaternion."""
    quaternion = rng.standard_normal(4)
    quaternion /= np.linalg.norm(quaternion)
    return np.asarray(Orientations(quaternion[None], np.ones(1)).matrices()[0])


@dataclass(frozen=True, eq=False)
class StillExperiment:
    """Everything that fixes the expected counts of the snapshots.

    Parameters
    ----------
    config : SimulateStillsConfig
        Widths, shares, seed.
    detector, beam : Detector, Beam
        Geometry; the mask includes the dead pixels.
    crystal : Crystal
        Cell and space group, not oriented.
    patterns : StillPatterns
        Makes the spots of an oriented crystal.
    reference : Reflections
        |F|² of the Laue class's asymmetric unit.
    background : BackgroundLevels
        Background of scale 1.
    photons_per_electron2 : float
        Scale of a crystal of scale 1.
    """

    config: SimulateStillsConfig
    detector: Detector
    beam: Beam
    crystal: Crystal
    patterns: StillPatterns
    reference: Reflections
    background: BackgroundLevels
    photons_per_electron2: float

    @classmethod
    def build(
        cls,
        config: SimulateStillsConfig,
        structure: AtomicStructure,
        geometry: tuple[Detector, Beam] | None = None,
    ) -> StillExperiment:
        """Set up the experiment and scale it to the wanted photons per crystal.

        Parameters
        ----------
        config : SimulateStillsConfig
            Parameters.
        structure : AtomicStructure
            Atoms.
        geometry : tuple of Detector and Beam, optional
            Takes the place of the configured detector, wavelength and polarization.

        Raises
        ------
        GeometryError
            If no pixel is usable.
        ConfigError
            If no lattice point scatters onto the detector.
        """
        if geometry is None:
            detector, beam = (
                modular_detector(config.detector),
                Beam(config.wavelength_angstrom, polarization_fraction=config.polarization_fraction),
            )
        else:
            detector, beam = geometry
        detector = with_dead_pixels(detector, config.dead_pixels, _stream(config, _DETECTOR))
        background = BackgroundLevels.of(background_mean(config.background, detector, beam))
        crystal = Crystal(structure.cell, structure.space_group)
        hkl = crystal.lattice_points(_resolution_limit(config, detector, beam))
        hkl = hkl[crystal.space_group_allows(hkl)]
        unique, back = np.unique(crystal.to_laue_asu(hkl), axis=0, return_inverse=True)
        intensity = intensities(structure, unique, config.b_factor_angstrom2)
        q = crystal.q_inv_angstrom(unique)
        intensity *= solvent_factor(q, config.solvent_contrast, config.solvent_b_factor_angstrom2)
        patterns = StillPatterns(config, detector, beam, hkl, intensity[back.ravel()])
        rng = _stream(config, _SCALE)
        total = sum(
            float(patterns.of(uniform_rotation(rng) @ crystal.b_matrix, 1.0).photons.sum())
            for _ in range(_SCALE_ORIENTATIONS)
        )
        if not total > 0:
            raise ConfigError(
                "no reflection falls on a usable pixel in any orientation; bring the detector nearer or raise "
                "the resolution (d_min_angstrom)"
            )
        scale = config.photons_per_crystal * _SCALE_ORIENTATIONS / total
        reference = Reflections.bare(unique.astype(np.int32), intensity)
        return cls(config, detector, beam, crystal, patterns, reference, background, scale)

    def shot(self, number: int) -> StillShots:
        """Return the crystal and the scales of frame ``number``, without drawing its pixels."""
        return self._shot(_stream(self.config, _FRAME, number))

    def frame(self, number: int) -> tuple[NDArray[Any], StillShots, StillSpots]:
        """Draw frame ``number``: counts `(n_slow, n_fast)` and what is known of it."""
        rng = _stream(self.config, _FRAME, number)
        shot = self._shot(rng)
        counts = self._draw_background(float(shot.background_scale[0]), rng)
        spots = _NO_SPOTS
        if shot.is_hit[0]:
            pattern = self.patterns.of(shot.ub_inv_angstrom[0], float(shot.photons_per_electron2[0]))
            spots = pattern.spots
            add_photons(pattern.pixel, rng.poisson(pattern.photons), self.config.largest_count, counts)
        return counts.reshape(self.detector.frame_shape), shot, spots

    def _shot(self, rng: np.random.Generator) -> StillShots:
        # All is drawn in every frame, hit or not, so that the hit fraction does not change crystals or backgrounds.
        is_hit = rng.random() < self.config.hit_fraction
        ub = uniform_rotation(rng) @ self.crystal.b_matrix
        scale = _log_normal(rng, self.config.crystal_scale_spread) * self.photons_per_electron2
        background_scale = _log_normal(rng, self.config.background.scale_spread)
        return StillShots(
            np.array([is_hit]),
            (ub if is_hit else np.full((3, 3), np.nan))[None],
            np.array([scale if is_hit else 0.0]),
            np.array([background_scale]),
        )

    def _draw_background(self, scale: float, rng: np.random.Generator) -> NDArray[Any]:
        mean = self.background.mean * scale
        # Nine standard deviations (and 24 counts) off the mean, tails are less probable than a random word resolves.
        first = np.maximum(np.floor(mean - 9 * np.sqrt(mean)), 0).astype(np.int64)
        n_columns = int(np.ceil(18 * np.sqrt(mean[-1]))) + 26
        threshold = np.empty((len(mean), n_columns), dtype=np.uint32)
        guide = np.empty((len(mean), 2**GUIDE_BITS), dtype=np.uint16)
        poisson_tables(mean, first, threshold, guide)
        word = rng.integers(0, 2**32, self.detector.n_pixels, dtype=np.uint32)
        counts = np.empty(self.detector.n_pixels, dtype=self.config.dtype)
        draw_poisson(
            self.background.level,
            first,
            threshold,
            guide,
            word,
            self.config.largest_count,
            self.config.masked_value,
            counts,
        )
        return counts


def stills(
    experiment: StillExperiment,
) -> Iterator[tuple[NDArray[Any], StillShots, StillSpots]]:
    """Yield all frames, `(k, n_slow, n_fast)`, with what is known of them, ``config.chunk_frames`` at a time."""
    config = experiment.config
    for start in range(0, config.n_frames, config.chunk_frames):
        numbers = range(start, min(start + config.chunk_frames, config.n_frames))
        counts = np.empty((len(numbers), *experiment.detector.frame_shape), dtype=config.dtype)
        shots, spots = [], []
        for place, number in enumerate(numbers):
            counts[place], shot, found = experiment.frame(number)
            shots.append(shot)
            spots.append(found)
        yield counts, StillShots.concatenate(shots), StillSpots.concatenate(spots)


_NO_SPOTS = StillSpots(
    np.zeros(2, dtype=np.int64),
    np.zeros((0, 3), dtype=np.int32),
    np.zeros(0, dtype=np.int32),
    *(np.zeros(0, dtype=np.float32),) * 7,
)


def _stream(config: SimulateStillsConfig, *purpose: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=purpose))


def _resolution_limit(config: SimulateStillsConfig, detector: Detector, beam: Beam) -> float:
    """Largest q (1/angstrom) whose lattice points can reach a pixel, or the configured limit where it is nearer."""
    q_max = float(np.nanmax(np.linalg.norm(q_vectors(detector, beam), axis=1)))
    growth = np.array([1.0, q_max, 0.5 * beam.wavelength_angstrom * q_max**2])
    # A lattice point off the sphere is seen where its ray meets the detector; a percent covers the spot's width.
    limit = 1.01 * q_max + EXCITATION_REACH * float(np.linalg.norm(excitation_widths(config) * growth))
    return limit if config.d_min_angstrom is None else min(limit, 1 / config.d_min_angstrom)


def _log_normal(rng: np.random.Generator, spread: float) -> float:
    """Draw a scale of mean 1 whose logarithm has the standard deviation ``spread``."""
    return float(np.exp(spread * rng.standard_normal() - 0.5 * spread**2))
