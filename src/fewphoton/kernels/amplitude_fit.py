"""Amplitudes of atoms at given places, fitted to intensities by damped Gauss-Newton steps.

The objective is f(x) = sum over detectors of w (|F|² - c)² with F = sum over atoms of x times the atom's wave, x real.
Waves are two rows each, real and imaginary part, as everything here is a real sum over detectors.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from fewphoton.kernels.insertion_cost import intensity_cost

HALVING, MARQUARDT = 0, 1
"""How steps are damped: Gauss-Newton steps halved until the objective falls, or Levenberg and Marquardt's."""

_HELD = 1e150
_SMALLEST_PIVOT = 1e-13
_SHORTEST_SHARE = 1e-9
_FIRST_RIDGE, _LARGEST_RIDGE = 1e-3, 1e12


@numba.njit(cache=True, fastmath={"reassoc", "contract", "nsz"})
def add_waves(columns: NDArray[np.float64], amplitude: NDArray[np.float64], wave: NDArray[np.float64]) -> None:
    """Write F, the sum of ``amplitude`` times ``columns``, to ``wave``.

    16 bytes read and 4 operations per atom and detector.

    Parameters
    ----------
    columns : ndarray of float64, `(n_atoms, 2, n)`
        Real and imaginary part of each atom's wave.
    amplitude : ndarray of float64, `(n_atoms,)`
        Amplitudes.
    wave : ndarray of float64, `(2, n)`
        Result.
    """
    n = columns.shape[2]
    for part in range(2):
        for i in range(n):
            wave[part, i] = 0.0
        for atom in range(len(amplitude)):
            share = amplitude[atom]
            for i in range(n):
                wave[part, i] += share * columns[atom, part, i]


@numba.njit(cache=True, fastmath={"reassoc", "contract", "nsz"})
def _normal_equations(
    columns: NDArray[np.float64],
    wave: NDArray[np.float64],
    weight: NDArray[np.float64],
    measured: NDArray[np.float64],
    slope: NDArray[np.float64],
    normal: NDArray[np.float64],
    gradient: NDArray[np.float64],
) -> None:
    """Fill the lower triangle of J' W J and J' W r for r = |F|² - c, J = 2 Re(F* columns); n_atoms² n operations."""
    n = columns.shape[2]
    for atom in range(len(gradient)):
        for i in range(n):
            slope[atom, i] = 2 * (wave[0, i] * columns[atom, 0, i] + wave[1, i] * columns[atom, 1, i])
        total = 0.0
        for i in range(n):
            excess = wave[0, i] * wave[0, i] + wave[1, i] * wave[1, i] - measured[i]
            total += slope[atom, i] * weight[i] * excess
        gradient[atom] = total
    for atom in range(len(gradient)):
        for other in range(atom + 1):
            total = 0.0
            for i in range(n):
                total += slope[atom, i] * weight[i] * slope[other, i]
            normal[atom, other] = total


@numba.njit(cache=True)
def _solve(
    normal: NDArray[np.float64],
    gradient: NDArray[np.float64],
    held: NDArray[np.bool_],
    ridge: float,
    factor: NDArray[np.float64],
    step: NDArray[np.float64],
) -> None:
    """Solve (normal + ridge diag) step = -gradient by Cholesky's factors; n_atoms³ / 3 operations.

    Held unknowns, and those that others already determine, do not move.
    """
    n = len(gradient)
    for row in range(n):
        for column in range(row + 1):
            total = 0.0
            if not (held[row] or held[column]):
                total = normal[row, column]
            for k in range(column):
                total -= factor[row, k] * factor[column, k]
            if row == column:
                total += ridge * normal[row, row]
                floor = _SMALLEST_PIVOT * normal[row, row]
                factor[row, row] = _HELD if held[row] or total <= floor else np.sqrt(total)
            else:
                factor[row, column] = total / factor[column, column]
    for row in range(n):
        total = 0.0 if held[row] else -gradient[row]
        for k in range(row):
            total -= factor[row, k] * step[k]
        step[row] = total / factor[row, row]
    for row in range(n - 1, -1, -1):
        total = step[row]
        for k in range(row + 1, n):
            total -= factor[k, row] * step[k]
        step[row] = total / factor[row, row]


@numba.njit(cache=True)
def fit_amplitudes(
    columns: NDArray[np.float64],
    amplitude: NDArray[np.float64],
    weight: NDArray[np.float64],
    measured: NDArray[np.float64],
    positive: bool,
    rule: int,
    n_steps: int,
    tolerance: float,
) -> float:
    """Improve ``amplitude`` in place by damped Gauss-Newton steps; return the objective.

    Halving starts from twice the share of the last step (at most the whole) and halves it until the objective falls
    (Shechtman, Beck & Eldar 2014, IEEE Trans. Signal Process. 62, 928, doi:10.1109/TSP.2013.2297687). With
    ``positive``, amplitudes at 0 that would fall are held and the others stop at 0 (Bertsekas 1982, SIAM J. Control
    Optim. 20, 221, doi:10.1137/0320018), so that each step still descends.

    A step reads the waves twice, 32 bytes per atom and detector, and does about n_atoms² operations per detector;
    each trial of a share reads them once more.

    Parameters
    ----------
    columns : ndarray of float64, `(n_atoms, 2, n)`
        Waves.
    amplitude : ndarray of float64, `(n_atoms,)`
        Start; replaced by the result.
    weight, measured : ndarray of float64, `(n,)`
        Weights of the squared misfits, and intensities.
    positive : bool
        Keep amplitudes at or above 0; negative ones of the start are lifted.
    rule : int
        ``HALVING`` or ``MARQUARDT``.
    n_steps : int
        Largest number of steps; 0 only evaluates the objective.
    tolerance : float
        Stop when no amplitude moves by more.
    """
    n_atoms, _, n = columns.shape
    wave = np.empty((2, n))
    slope = np.empty((n_atoms, n))
    normal = np.empty((n_atoms, n_atoms))
    factor = np.empty((n_atoms, n_atoms))
    gradient = np.empty(n_atoms)
    step = np.empty(n_atoms)
    trial = np.empty(n_atoms)
    held = np.zeros(n_atoms, dtype=np.bool_)
    if positive:
        for atom in range(n_atoms):
            amplitude[atom] = max(amplitude[atom], 0.0)
    add_waves(columns, amplitude, wave)
    objective = intensity_cost(wave, measured, weight)
    share = 1.0
    ridge = _FIRST_RIDGE if rule == MARQUARDT else 0.0
    for _ in range(n_steps):
        _normal_equations(columns, wave, weight, measured, slope, normal, gradient)
        for atom in range(n_atoms):
            held[atom] = positive and amplitude[atom] <= 0.0 and gradient[atom] >= 0.0
        share = min(1.0, 2 * share)
        if rule == MARQUARDT:
            share = 1.0
        _solve(normal, gradient, held, ridge, factor, step)
        fell = False
        while share > _SHORTEST_SHARE and ridge < _LARGEST_RIDGE:
            for atom in range(n_atoms):
                moved = amplitude[atom] + share * step[atom]
                trial[atom] = max(moved, 0.0) if positive else moved
            add_waves(columns, trial, wave)
            value = intensity_cost(wave, measured, weight)
            if value < objective:
                fell = True
                break
            if rule == MARQUARDT:
                ridge *= 8
                _solve(normal, gradient, held, ridge, factor, step)
            else:
                share *= 0.5
        if not fell:
            break
        largest = 0.0
        for atom in range(n_atoms):
            largest = max(largest, abs(trial[atom] - amplitude[atom]))
            amplitude[atom] = trial[atom]
        objective = value
        ridge /= 5
        if largest < tolerance:
            break
    return float(objective)


@numba.njit(cache=True)
def _try_replacement(
    columns: NDArray[np.float64],
    slot: int,
    candidate: NDArray[np.float64],
    weight: NDArray[np.float64],
    measured: NDArray[np.float64],
    positive: bool,
    rule: int,
    n_steps: int,
    tolerance: float,
    amplitude: NDArray[np.float64],
) -> float:
    """Fit ``amplitude`` in place with the wave of one atom replaced; return the objective."""
    waves = columns.copy()
    waves[slot] = candidate
    return float(fit_amplitudes(waves, amplitude, weight, measured, positive, rule, n_steps, tolerance))


@numba.njit(cache=True, parallel=True)
def try_replacements(
    columns: NDArray[np.float64],
    amplitude: NDArray[np.float64],
    slot: NDArray[np.int64],
    candidate: NDArray[np.float64],
    weight: NDArray[np.float64],
    measured: NDArray[np.float64],
    positive: bool,
    rule: int,
    n_steps: int,
    tolerance: float,
) -> NDArray[np.float64]:
    """Fit amplitudes with one atom's wave replaced, for each of several candidates; return their objectives.

    Candidates are independent and share nothing that is written. Each copies the waves, 32 bytes per atom and
    detector, and then costs what :func:`fit_amplitudes` costs.

    Parameters
    ----------
    columns : ndarray of float64, `(n_atoms, 2, n)`
        Waves of the present atoms.
    amplitude : ndarray of float64, `(n_candidates, n_atoms)`
        Amplitudes that each fit starts from; replaced by the fitted ones.
    slot : ndarray of int64, `(n_candidates,)`
        Atom whose wave each candidate replaces.
    candidate : ndarray of float64, `(n_candidates, 2, n)`
        Waves of the candidates.
    weight, measured, positive, rule, n_steps, tolerance
        As for :func:`fit_amplitudes`.
    """
    objective = np.empty(len(slot))
    for number in numba.prange(len(slot)):
        objective[number] = _try_replacement(
            columns,
            slot[number],
            candidate[number],
            weight,
            measured,
            positive,
            rule,
            n_steps,
            tolerance,
            amplitude[number],
        )
    return objective
