"""Continuous positions (and amplitudes) of atoms by damped least squares on the intensities of a shot.

Levenberg-Marquardt steps (Marquardt 1963, doi:10.1137/0111030; gain-ratio damping after Nielsen 1999, IMM-REP-1999-05)
of sum w (|F|² - c)². The three common translations leave |F|² alone; the damping keeps the mean step of the atoms,
weighted with the diagonal of the normal matrix, at zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from fewphoton.ankylography.forward_model import ForwardModel

_FIRST_DAMPING = 1e-3
_LARGEST_DAMPING = 1e12
_LONGEST_STEP_ANGSTROM = 0.3


@dataclass(frozen=True, eq=False)
class Fit:
    """Where least squares came to rest.

    Parameters
    ----------
    position_angstrom : ndarray of float64, `(n_atoms, 3)`
        Positions.
    occupancy : ndarray of float64, `(n_atoms,)`
        Amplitudes relative to whole atoms.
    cost : float
        sum w (|F|² - c)².
    n_steps : int
        Linear systems solved.
    """

    position_angstrom: NDArray[np.float64]
    occupancy: NDArray[np.float64]
    cost: float
    n_steps: int


def refine_positions(
    model: ForwardModel,
    kind: NDArray[np.int64],
    position_angstrom: NDArray[np.float64],
    measured: NDArray[np.float64],
    weight: NDArray[np.float64],
    *,
    occupancy: NDArray[np.float64] | None = None,
    amplitudes: bool = False,
    max_steps: int = 50,
    tolerance: float = 1e-6,
) -> Fit:
    """Move atoms downhill to the nearest minimum.

    A step costs one pass over waves (`n n_atoms` complex exponentials) and one product of the Jacobian with itself
    (`n (3 n_atoms)²` multiply-adds).

    Parameters
    ----------
    model : ForwardModel
        Directions and form factors, `n` directions.
    kind : ndarray of int64, `(n_atoms,)`
        Element of each atom.
    position_angstrom : ndarray of float64, `(n_atoms, 3)`
        Start.
    measured, weight : ndarray of float64, `(n,)`
        Intensities and their weights.
    occupancy : ndarray of float64, `(n_atoms,)`, optional
        Amplitudes at the start; None: whole atoms.
    amplitudes : bool
        Fit the amplitudes too.
    max_steps : int
        Linear systems to solve at most.
    tolerance : float
        Rest: an accepted step lowers the cost by less than this share.
    """
    n_atoms = len(kind)
    position = np.array(position_angstrom, dtype=np.float64)
    share = np.ones(n_atoms) if occupancy is None else np.array(occupancy, dtype=np.float64)
    root = np.sqrt(weight)

    def residuals(place: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((model.intensity(place, kind, scale) - measured) * root)

    residual = residuals(position, share)
    cost = float(residual @ residual)
    damping, growth, steps = _FIRST_DAMPING, 2.0, 0
    while steps < max_steps:
        columns = model.jacobian(position, kind, share, amplitudes=amplitudes) * root[:, None]
        normal, gradient = columns.T @ columns, columns.T @ residual
        diagonal = np.maximum(np.diag(normal), 1e-9 * np.diag(normal).max(initial=1e-300))
        accepted = rested = False
        while steps < max_steps and damping < _LARGEST_DAMPING:
            steps += 1
            try:
                step = -cho_solve(cho_factor(normal + np.diag(damping * diagonal)), gradient)
            except LinAlgError:
                damping, growth = damping * growth, 2 * growth
                continue
            longest = np.abs(step[: 3 * n_atoms]).max()
            step *= min(1.0, _LONGEST_STEP_ANGSTROM / max(longest, 1e-300))
            new_position = position + step[: 3 * n_atoms].reshape(n_atoms, 3)
            new_share = share + step[3 * n_atoms :] if amplitudes else share
            new_residual = residuals(new_position, new_share)
            new_cost = float(new_residual @ new_residual)
            predicted = -float(step @ (2 * gradient + normal @ step))
            if new_cost < cost:
                gain = (cost - new_cost) / max(predicted, 1e-300)
                damping *= max(1 / 3, 1 - (2 * gain - 1) ** 3)
                growth = 2.0
                rested = cost - new_cost <= tolerance * cost
                position, share, residual, cost = new_position, new_share, new_residual, new_cost
                accepted = True
                break
            damping, growth = damping * growth, 2 * growth
        if rested or not accepted:
            break
    return Fit(position, share, cost, steps)
