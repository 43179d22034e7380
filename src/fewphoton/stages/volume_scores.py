"""Fourier volume and density of a particle against its true structure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage
from scipy.spatial.transform import Rotation

from fewphoton.config.score_particles import ScoreParticlesConfig
from fewphoton.data import Crystal, IntensityVolume, Molecule
from fewphoton.data.density import Density
from fewphoton.data.orientations import rotation_matrices
from fewphoton.errors import DataError, InputFileError
from fewphoton.evaluate.density_score import mean_correlation
from fewphoton.evaluate.fourier_shell import (
    ShellCorrelation,
    density_shell_correlation,
    intensity_shell_correlation,
)
from fewphoton.evaluate.rotation_matching import RotationMatch, match_rotation
from fewphoton.io.density_files import read_density_file
from fewphoton.io.volumes import read_volume_file
from fewphoton.particle.measured_intensity import MeasuredIntensity, distance_from_centre
from fewphoton.particle.phase_average import inverted, shifted_onto
from fewphoton.simulate.molecular_transform import MolecularTransform
from fewphoton.simulate.particle import IntensitySpline
from fewphoton.stages.particle_box import box_edge_angstrom

Hand = Literal["as found", "inverted"]
_SMALLEST_DIAMETER = 2.0


@dataclass(frozen=True, eq=False)
class ScoredVolume:
    """Pearson's correlation of a Fourier volume with the true intensities by shell, that of chance, and its voxel."""

    correlation: ShellCorrelation
    chance: ShellCorrelation
    voxel_angstrom: float


@dataclass(frozen=True, eq=False)
class ScoredDensity:
    """Fourier shell correlation of a density with the true one, of both hands, and both densities for viewing.

    Parameters
    ----------
    correlation, other_hand : ShellCorrelation
        Of the hand that agrees better, and of the other.
    chance : ShellCorrelation
        Mean over random rotations of the true structure, each in the shift and hand that agree best: the shape of a
        compact particle alone correlates.
    hand : str
        The one that agrees better.
    box_angstrom, voxel_angstrom : float
        Grid.
    aligned, true : ndarray of float64, `(n, n, n)`
        Found and true density in the frame of the truth, up to the q that was measured.
    """

    correlation: ShellCorrelation
    other_hand: ShellCorrelation
    chance: ShellCorrelation
    hand: Hand
    box_angstrom: float
    voxel_angstrom: float
    aligned: NDArray[np.float64]
    true: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ScoredVolumes:
    """Scores, and the rotation that brought the volumes to the truth."""

    volume: ScoredVolume | None
    density: ScoredDensity | None
    alignment: NDArray[np.float64]
    alignment_correlation: float


def score_volumes(
    volume_path: Path | None,
    density_path: Path | None,
    molecule: Molecule,
    config: ScoreParticlesConfig,
    also: Sequence[NDArray[np.float64]] = (),
) -> ScoredVolumes:
    """Bring the volumes to the truth by one rotation, and score them.

    The rotation comes from the Fourier volume, or from the density's own intensities where that is left out. The true
    structure is turned to the volumes, never they to it, so nothing that is scored was interpolated.

    Parameters
    ----------
    volume_path, density_path : Path or None
        Files; one at least.
    molecule : Molecule
        True structure.
    config : ScoreParticlesConfig
        Displacements, grid of the search.
    also : sequence of ndarray of float64, `(4,)`
        Alignments that are tried beside those of the search.
    """
    centred = molecule.centred()
    density = None if density_path is None else read_density_file(density_path)
    found: IntensityVolume | None = None
    spacing = q_low = q_high = 0.0
    if volume_path is not None:
        file = read_volume_file(volume_path, with_halves=False)
        found, spacing = file.volume, 1 / box_edge_angstrom(file, volume_path)
        try:
            q_low, q_high = MeasuredIntensity.of(found, spacing).measured_q_inv_angstrom()
        except DataError as error:
            raise InputFileError(volume_path, str(error)) from error
        sought, reach = found, q_high
    elif density is not None:
        waves = fft.fftshift(fft.fftn(density.values))
        sought = IntensityVolume(np.abs(waves) ** 2, np.ones(waves.shape), 1)
        spacing, reach = 1 / density.box_angstrom, density.q_high_inv_angstrom
    else:
        raise DataError("neither a volume nor a density was given")
    match = _matched(sought, spacing, reach, centred, config, also)
    turn = rotation_matrices(match.alignment[None])[0]
    elsewhere = list(Rotation.random(config.shuffles, np.random.default_rng(config.seed)).as_matrix())
    scored_volume = None
    if found is not None:
        plain = IntensityVolume(np.where(found.weight > 0, found.values, 0.0), found.weight, 1)
        first, last = max(1, round(q_low / spacing)), round(q_high / spacing)
        edges = np.asarray(spacing * (np.arange(first, last + 2) - 0.5), dtype=np.float64)
        box = Crystal((1 / spacing, 1 / spacing, 1 / spacing, 90.0, 90.0, 90.0), "P 1")

        def compared(rotation: NDArray[np.float64]) -> ShellCorrelation:
            transform = _transform(centred.turned(rotation), spacing * plain.n, config)
            true = IntensityVolume(transform.intensity_grid(plain.n, spacing), np.ones(plain.values.shape), 1)
            return intensity_shell_correlation(plain, true, box, edges)

        by_chance = _mean([compared(rotation) for rotation in elsewhere])
        scored_volume = ScoredVolume(compared(turn), by_chance, 1 / (spacing * found.n))
    scored_density = None if density is None else _scored_density(density, centred, turn, elsewhere, config)
    return ScoredVolumes(scored_volume, scored_density, match.alignment, match.correlation)


def _transform(molecule: Molecule, q_edge: float, config: ScoreParticlesConfig) -> MolecularTransform:
    # Corners of a grid lie sqrt(3) / 2 of its full width away.
    return MolecularTransform(molecule, float(np.sqrt(0.75)) * q_edge, b_factors=config.b_factors)


def _matched(
    sought: IntensityVolume,
    spacing: float,
    q_high: float,
    molecule: Molecule,
    config: ScoreParticlesConfig,
    also: Sequence[NDArray[np.float64]],
) -> RotationMatch:
    transform = MolecularTransform(molecule, q_high + spacing, b_factors=config.b_factors)
    spline = IntensitySpline(transform, config.grid_oversampling)
    upright = np.eye(3)[None]

    def intensity(q: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(spline.patterns(np.ascontiguousarray(q), upright)[0], dtype=np.float64)

    diameter = max(molecule.diameter_angstrom, _SMALLEST_DIAMETER)
    return match_rotation(sought, spacing, intensity, q_high, diameter, also)


def _scored_density(
    density: Density,
    molecule: Molecule,
    turn: NDArray[np.float64],
    elsewhere: Sequence[NDArray[np.float64]],
    config: ScoreParticlesConfig,
) -> ScoredDensity:
    n, box = density.n, density.box_angstrom
    laid, curves = _both_hands(density, molecule.turned(turn), config)
    better: Hand = max(curves, key=lambda hand: mean_correlation(curves[hand]))
    other: Hand = "inverted" if better == "as found" else "as found"
    by_chance = []
    for rotation in elsewhere:
        _, wrong = _both_hands(density, molecule.turned(rotation), config)
        by_chance.append(max(wrong.values(), key=mean_correlation))
    upright = _transform(molecule, n / box, config).density_grid(n, box)
    # At p of the truth stands what was at A p.
    middle = np.full(3, float(n // 2))
    moved = _low_passed(laid[better], density)
    aligned = ndimage.affine_transform(moved, turn, offset=middle - turn @ middle, order=3, mode="constant")
    return ScoredDensity(
        curves[better],
        curves[other],
        _mean(by_chance),
        better,
        box,
        density.voxel_angstrom,
        aligned,
        _low_passed(upright, density),
    )


def _both_hands(
    density: Density, molecule: Molecule, config: ScoreParticlesConfig
) -> tuple[dict[Hand, NDArray[np.float64]], dict[Hand, ShellCorrelation]]:
    """Return the density in both hands, shifted to the true one, and their shell correlations with it."""
    n, box = density.n, density.box_angstrom
    true = _transform(molecule, n / box, config).density_grid(n, box)
    hands: tuple[tuple[Hand, NDArray[np.float64]], ...] = (
        ("as found", density.values),
        ("inverted", inverted(density.values)),
    )
    laid: dict[Hand, NDArray[np.float64]] = {}
    curves: dict[Hand, ShellCorrelation] = {}
    for hand, values in hands:
        laid[hand] = shifted_onto(true, values)
        whole = density_shell_correlation(laid[hand], true, density.voxel_angstrom)
        curves[hand] = whole.between(density.q_low_inv_angstrom, density.q_high_inv_angstrom)
    return laid, curves


def _mean(curves: Sequence[ShellCorrelation]) -> ShellCorrelation:
    """Mean of the curves, shell by shell."""
    mean = np.mean([curve.correlation for curve in curves], axis=0)
    return ShellCorrelation(curves[0].q_inv_angstrom, mean, curves[0].n_voxels)


def _low_passed(values: NDArray[np.float64], density: Density) -> NDArray[np.float64]:
    """Leave out what lies beyond the measured q, so that both densities show detail of one kind."""
    q = distance_from_centre(values.shape) / density.box_angstrom
    waves = fft.fftn(values) * fft.ifftshift(q <= density.q_high_inv_angstrom)
    return np.asarray(fft.ifftn(waves).real)
