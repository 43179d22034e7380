"""Several starts of phasing brought together: shift and inversion, average, and how well their phases agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from fewphoton.errors import DataError
from fewphoton.particle.measured_intensity import distance_from_centre
from fewphoton.particle.phasing import PhasedDensity

_ROUNDS = 3


def inverted(density: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the density at -r, about index 0 of the periodic grid; its intensities are the same."""
    flipped = density[(slice(None, None, -1),) * density.ndim]
    return np.asarray(np.roll(flipped, 1, axis=tuple(range(density.ndim))))


def _best_shift(reference: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Return the highest correlation and the shift in voxels of ``other`` that gives it, to parts of a voxel."""
    correlation = fft.ifftn(fft.fftn(reference) * np.conj(fft.fftn(other))).real
    peak = np.unravel_index(int(np.argmax(correlation)), correlation.shape)
    shift = np.array(peak, dtype=np.float64)
    for axis, size in enumerate(correlation.shape):
        sides = [list(peak), list(peak)]
        sides[0][axis], sides[1][axis] = (peak[axis] - 1) % size, (peak[axis] + 1) % size
        before, middle, after = correlation[tuple(sides[0])], correlation[peak], correlation[tuple(sides[1])]
        curvature = before - 2 * middle + after
        if curvature < 0:
            shift[axis] += 0.5 * (before - after) / curvature
    return float(correlation[peak]), shift


def _shifted(density: NDArray[np.float64], shift: NDArray[np.float64]) -> NDArray[np.float64]:
    waves = fft.fftn(density)
    for axis, size in enumerate(density.shape):
        along = [1] * density.ndim
        along[axis] = size
        waves = waves * np.exp(-2j * np.pi * fft.fftfreq(size) * shift[axis]).reshape(along)
    return np.asarray(fft.ifftn(waves).real)


def shifted_onto(reference: NDArray[np.float64], density: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the density shifted to where it agrees best with the reference (periodic grid).

    Raises
    ------
    DataError
        If the shapes differ.
    """
    _require_one_grid(reference, density)
    return _shifted(density, _best_shift(reference, density)[1])


def centred(density: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the density moved by whole voxels so that its centre of mass lies at index n // 2 (periodic grid).

    Along each axis the centre is the phase of the lowest Fourier coefficient, which an edge of the grid does not part.
    """
    moves = []
    for axis, size in enumerate(density.shape):
        along = np.maximum(density, 0.0).sum(axis=tuple(other for other in range(density.ndim) if other != axis))
        turn = np.angle((along * np.exp(2j * np.pi * np.arange(size) / size)).sum())
        moves.append(size // 2 - round(float(turn) * size / (2 * np.pi)))
    return np.asarray(np.roll(density, moves, axis=tuple(range(density.ndim))))


def _require_one_grid(reference: NDArray[np.float64], density: NDArray[np.float64]) -> None:
    if reference.shape != density.shape:
        raise DataError(f"a density of shape {density.shape} cannot be laid on one of {reference.shape}")


def aligned_to(reference: NDArray[np.float64], density: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the density, or its inversion, shifted to where it agrees best with the reference (periodic grid).

    Raises
    ------
    DataError
        If the shapes differ.
    """
    _require_one_grid(reference, density)
    candidates = [density, inverted(density)]
    found = [_best_shift(reference, candidate) for candidate in candidates]
    better = int(found[1][0] > found[0][0])
    return _shifted(candidates[better], found[better][1])


def kept_starts(starts: Sequence[PhasedDensity], tolerance: float = 2.0) -> list[PhasedDensity]:
    """Return the starts whose free error is within a factor of the lowest one, the best first.

    Parameters
    ----------
    starts : sequence of PhasedDensity
        Results of several seeds with the same free voxels.
    tolerance : float
        Factor, at least 1.

    Raises
    ------
    DataError
        If there is no start, or none has a free error.
    """
    ranked = sorted((start for start in starts if np.isfinite(start.free_error)), key=lambda start: start.free_error)
    if not ranked:
        raise DataError("starts of phasing cannot be ranked without free voxels")
    return [start for start in ranked if start.free_error <= tolerance * ranked[0].free_error]


@dataclass(frozen=True, eq=False)
class AveragedDensity:
    """Average of several starts.

    Parameters
    ----------
    density : ndarray of float64
        Mean of the aligned densities.
    aligned : ndarray of float64, `(n_starts, ...)`
        The aligned densities.
    phase_agreement : ndarray of float64, the shape of the density
        Length of the mean of the starts' phase factors at each frequency, the zero frequency at index n // 2: 1 where
        all agree, about 1 / sqrt(n_starts) where they are random. This is the phase retrieval transfer function of
        Chapman et al. 2006, doi:10.1364/JOSAA.23.001179, of starts that hold the measured amplitudes.
    """

    density: NDArray[np.float64]
    aligned: NDArray[np.float64]
    phase_agreement: NDArray[np.float64]


def average_densities(densities: Sequence[NDArray[np.float64]]) -> AveragedDensity:
    """Align densities to the first, then twice to their mean, and average them.

    Parameters
    ----------
    densities : sequence of ndarray of float64
        The best first: the others are laid on it.

    Raises
    ------
    DataError
        If there is none, or shapes differ.
    """
    if not densities:
        raise DataError("there is no density to average")
    reference = densities[0]
    for _ in range(_ROUNDS):
        aligned = np.stack([aligned_to(reference, density) for density in densities])
        reference = aligned.mean(axis=0)
    axes = tuple(range(1, aligned.ndim))
    waves = fft.fftshift(fft.fftn(aligned, axes=axes), axes=axes)
    factor = waves / np.maximum(np.abs(waves), np.finfo(np.float64).tiny)
    return AveragedDensity(reference, aligned, np.abs(factor.mean(axis=0)))


def by_frequency_shell(
    values: NDArray[np.float64], known: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return radii in steps of the Fourier grid, and means of values over the known voxels of each shell.

    Shell k holds voxels nearer than half a step to radius k about index n // 2 of each axis, up to the shortest edge's
    Nyquist frequency; shells without a known voxel are NaN.
    """
    shell = np.rint(distance_from_centre(values.shape)).astype(np.int64)
    last = min(values.shape) // 2
    inside = known & (shell <= last)
    number = np.bincount(shell[inside], minlength=last + 1)
    total = np.bincount(shell[inside], values[inside], last + 1)
    return np.arange(last + 1.0), np.divide(total, number, out=np.full(last + 1, np.nan), where=number > 0)
