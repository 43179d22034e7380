"""Phases of a particle's scattering from its intensities: error reduction, hybrid input-output, RAAR, difference map.

Intensities of an isolated particle on a grid that is fine enough to hold its autocorrelation are sought to agree with a
real density that vanishes outside a support and is nowhere negative. The support is tightened as the density emerges
(shrink-wrap, Marchesini et al. 2003, doi:10.1103/PhysRevB.68.140101). Voxels without a measurement are free.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from fewphoton.config.phase import PhasingMethod
from fewphoton.errors import ConvergenceError, DataError

_AUTOCORRELATION_SHARE = 0.04
_TINY = 1e-12
_RIM, _LEAST_RIM = 0.2, 2


@dataclass(frozen=True)
class PhasingSchedule:
    """Which iterations are done, and how the support follows.

    Parameters
    ----------
    steps : tuple of (method, int)
        Methods with their numbers of iterations, in order; error reduction at the end settles the density.
    beta : float
        Relaxation of hybrid input-output and of RAAR.
    shrink_every : int
        Iterations between updates of the support, which never leaves the first one's surroundings; 0: it stays.
    shrink_share : float
        Share of the blurred density's maximum above which a voxel belongs to the support.
    blur_voxel, final_blur_voxel : float
        Standard deviation of the blur at the first update, and what it falls to by 1 % at each.
    free_share : float
        Share of the measured voxels that the iterations do not see, so that starts can be compared: a start whose
        support grew too large agrees with all that it sees, and with nothing else.
    free_seed : int
        Seed of the draw of these voxels; starts that are compared must have the same.
    """

    steps: tuple[tuple[PhasingMethod, int], ...] = (("difference_map", 100), ("raar", 200), ("error_reduction", 80))
    beta: float = 0.9
    shrink_every: int = 20
    shrink_share: float = 0.12
    blur_voxel: float = 2.0
    final_blur_voxel: float = 1.0
    free_share: float = 0.03
    free_seed: int = 0


@dataclass(frozen=True, eq=False)
class PhasedDensity:
    """What one start came to.

    Parameters
    ----------
    density : ndarray of float64, the shape of the intensities
        Not negative, zero outside the support.
    support : ndarray of bool, the same shape
        Last support.
    error, free_error : float
        Square root of the sum over voxels of (calculated - measured amplitude)², relative to that of the measured
        amplitudes squared: over the voxels that the iterations saw, and over those kept from them (NaN: none were).
    """

    density: NDArray[np.float64]
    support: NDArray[np.bool_]
    error: float
    free_error: float


def _project_support(density: NDArray[np.float64], support: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.where(support & (density > 0), density, 0.0)


_Project = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def next_iterate(
    method: PhasingMethod, current: NDArray[np.float64], measured: _Project, support: NDArray[np.bool_], beta: float
) -> NDArray[np.float64]:
    """Return the next iterate; `P` projects onto the measured amplitudes, `S` onto support and positivity.

    - ``error_reduction``: S P x (Fienup 1982, doi:10.1364/AO.21.002758).
    - ``hybrid_input_output``: P x where it obeys the constraints, x - beta P x elsewhere (the same paper).
    - ``raar``: beta / 2 ((2 S - 1)(2 P - 1) x + x) + (1 - beta) P x (Luke 2005, doi:10.1088/0266-5611/21/1/004).
    - ``difference_map``: x + S(2 P x - x) - P x (Elser 2003, doi:10.1364/JOSAA.20.000040, at his beta of 1).

    Parameters
    ----------
    method : str
        One of these.
    current : ndarray of float64
        Iterate x.
    measured : callable
        P.
    support : ndarray of bool
        Where the density may differ from zero.
    beta : float
        Relaxation.
    """
    projected = measured(current)
    if method == "error_reduction":
        return _project_support(projected, support)
    if method == "hybrid_input_output":
        return np.where(support & (projected > 0), projected, current - beta * projected)
    reflected = 2 * projected - current
    inside = _project_support(reflected, support)
    if method == "difference_map":
        return np.asarray(current + inside - projected)
    return np.asarray(0.5 * beta * (2 * inside - reflected + current) + (1 - beta) * projected)


def autocorrelation_support(intensity: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where the autocorrelation exceeds 4 % of its maximum: a support wide enough to begin with.

    Parameters
    ----------
    intensity : ndarray of float64
        Zero frequency at index n // 2 of each axis.
    known : ndarray of bool
        Measured voxels; others count as zero.
    """
    correlation = fft.fftshift(fft.fftn(fft.ifftshift(np.where(known, intensity, 0.0))).real)
    return np.asarray(correlation > _AUTOCORRELATION_SHARE * correlation.max())


def phase_once(
    intensity: NDArray[np.float64],
    known: NDArray[np.bool_],
    schedule: PhasingSchedule,
    rng: np.random.Generator,
    support: NDArray[np.bool_] | None = None,
) -> PhasedDensity:
    """Find a density from random phases.

    Parameters
    ----------
    intensity : ndarray of float64, two or three axes
        Squared amplitudes, the zero frequency at index n // 2 of each axis; negative ones count as zero.
    known : ndarray of bool, the same shape
        Measured voxels; the intensities of the others are not read.
    schedule : PhasingSchedule
        Iterations.
    rng : Generator
        Random phases.
    support : ndarray of bool, optional
        First support; that of the autocorrelation otherwise.

    Raises
    ------
    DataError
        If shapes differ, no voxel is measured, or a measured one is not finite.
    ConvergenceError
        If the support shrinks to nothing.
    """
    if known.shape != intensity.shape or (support is not None and support.shape != intensity.shape):
        raise DataError(f"intensities of shape {intensity.shape} for a mask of shape {known.shape}, or its support")
    if not known.any() or not np.isfinite(intensity[known]).all() or not (intensity[known] > 0).any():
        raise DataError("phasing needs measured voxels that are finite, and some that are above zero")
    shape = intensity.shape
    axes = tuple(range(intensity.ndim))
    half = (*(slice(None) for _ in shape[:-1]), slice(0, shape[-1] // 2 + 1))
    measured_there = fft.ifftshift(known)[half]
    # Half of the waves are kept, so that mates through the centre are free together; only on the first and the last
    # plane of the half both are there.
    free = measured_there & (
        np.random.default_rng(schedule.free_seed).random(measured_there.shape) < schedule.free_share
    )
    seen = measured_there & ~free
    amplitude = np.sqrt(np.maximum(fft.ifftshift(np.where(known, intensity, 0.0))[half], 0.0))

    def calculated(density: NDArray[np.float64]) -> NDArray[np.complex128]:
        return np.asarray(fft.rfftn(density, axes=axes))

    def measured(density: NDArray[np.float64]) -> NDArray[np.float64]:
        waves = calculated(density)
        waves = np.where(seen, amplitude * waves / np.maximum(np.abs(waves), _TINY), waves)
        return np.asarray(fft.irfftn(waves, s=shape, axes=axes))

    inside = autocorrelation_support(intensity, known) if support is None else support
    bound = _widened(inside)
    current = measured(rng.random(shape) * inside)
    blur, done = schedule.blur_voxel, 0
    for method, n_iterations in schedule.steps:
        for _ in range(n_iterations):
            current = next_iterate(method, current, measured, inside, schedule.beta)
            done += 1
            if schedule.shrink_every and done % schedule.shrink_every == 0:
                inside = _shrunk(measured(current), blur, schedule.shrink_share, bound)
                blur = max(0.99 * blur, schedule.final_blur_voxel)
    density = _project_support(measured(current), inside)
    error, free_error = (_relative_error(np.abs(calculated(density)), amplitude, where) for where in (seen, free))
    return PhasedDensity(density, inside, error, free_error)


def _relative_error(calculated: NDArray[np.float64], amplitude: NDArray[np.float64], where: NDArray[np.bool_]) -> float:
    total = float((amplitude[where] ** 2).sum())
    return float(np.sqrt(((calculated - amplitude)[where] ** 2).sum() / total)) if total > 0 else float("nan")


def _widened(support: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a first support with a rim of a fifth of its radius, two voxels at least: no later one leaves it."""
    ball = np.pi if support.ndim == 2 else 4 / 3 * np.pi
    radius = (support.sum() / ball) ** (1 / support.ndim)
    rim = max(_LEAST_RIM, int(np.ceil(_RIM * radius)))
    return np.asarray(ndimage.binary_dilation(support, iterations=rim))


def _shrunk(
    density: NDArray[np.float64], blur_voxel: float, share: float, bound: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    # A density may lie across the edges of the grid, which is periodic.
    smooth = ndimage.gaussian_filter(np.maximum(density, 0.0), blur_voxel, mode="wrap")
    # Intensities that no density meets would otherwise spread it over the whole box.
    inside = (smooth > share * smooth.max()) & bound
    if not inside.any():
        raise ConvergenceError("shrink-wrap left no support: the density vanished")
    return np.asarray(inside)
