"""Moves of an atom's hydrogens as a rigid group: turned about the atom, or shifted together with it.

A methyl or amine group that is turned, or a heavy atom that is a little off with its hydrogens around it, would need
several single moves at once, each of them uphill.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from fewphoton.kernels.insertion_cost import add_wave, fill_waves, intensity_cost


@numba.njit(cache=True, nogil=True)
def find_followers(
    position: NDArray[np.float64],
    kind: NDArray[np.int64],
    atom: int,
    follows: NDArray[np.bool_],
    reach: float,
    member: NDArray[np.bool_],
) -> int:
    """Mark the atoms that go with ``atom`` in ``member`` `(n_atoms,)` and return their number (8 operations an atom).

    Parameters
    ----------
    position, kind
        Atoms, `(n_atoms, 3)` and `(n_atoms,)`.
    atom : int
        The middle of the group; not a member itself.
    follows : ndarray of bool, `(n_elements, n_elements)`
        Whether the second element goes with the first.
    reach : float
        Largest distance of a member.
    member : ndarray of bool, `(n_atoms,)`
        Set in place.
    """
    count = 0
    for other in range(len(kind)):
        distance2 = 0.0
        for axis in range(3):
            distance2 += (position[other, axis] - position[atom, axis]) ** 2
        member[other] = other != atom and follows[kind[atom], kind[other]] and distance2 < reach * reach
        count += member[other]
    return count


@numba.njit(cache=True, nogil=True)
def turn_matrix(uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a rotation by a uniform angle about a uniform axis, `(3, 3)`, from three numbers in [0, 1)."""
    z = 2 * uniform[0] - 1
    across = math.sqrt(max(0.0, 1 - z * z))
    axis = np.array([across * math.cos(2 * math.pi * uniform[1]), across * math.sin(2 * math.pi * uniform[1]), z])
    angle = math.pi * (2 * uniform[2] - 1)
    cosine, sine = math.cos(angle), math.sin(angle)
    matrix = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            matrix[i, j] = (1 - cosine) * axis[i] * axis[j] + (cosine if i == j else 0.0)
    matrix[0, 1] -= sine * axis[2]
    matrix[0, 2] += sine * axis[1]
    matrix[1, 0] += sine * axis[2]
    matrix[1, 2] -= sine * axis[0]
    matrix[2, 0] -= sine * axis[1]
    matrix[2, 1] += sine * axis[0]
    return matrix


@numba.njit(cache=True, nogil=True)
def is_allowed(
    position: NDArray[np.float64],
    kind: NDArray[np.int64],
    moved: NDArray[np.bool_],
    half_box: NDArray[np.float64],
    closest: NDArray[np.float64],
) -> bool:
    """Whether all moved atoms are in the box and far enough from those that stayed (8 operations a pair)."""
    for atom in range(len(kind)):
        if not moved[atom]:
            continue
        for axis in range(3):
            if abs(position[atom, axis]) > half_box[axis]:
                return False
        for other in range(len(kind)):
            if moved[other]:
                continue
            distance2 = 0.0
            for axis in range(3):
                distance2 += (position[atom, axis] - position[other, axis]) ** 2
            if distance2 < closest[kind[atom], kind[other]] ** 2:
                return False
    return True


@numba.njit(cache=True, nogil=True)
def move_groups(
    uniform: NDArray[np.float64],
    temperature: float,
    q: NDArray[np.float64],
    position: NDArray[np.float64],
    kind: NDArray[np.int64],
    wave: NDArray[np.float32],
    amplitude: NDArray[np.float32],
    factor: NDArray[np.float32],
    measured: NDArray[np.float32],
    weight: NDArray[np.float32],
    half_box: NDArray[np.float64],
    closest: NDArray[np.float64],
    follows: NDArray[np.bool_],
    reach: float,
    longest_shift: float,
) -> float:
    """Try to turn or shift groups of one replica (Metropolis) and return the cost.

    Per try and moved atom one sine and cosine and about 8 multiply-adds a detector.

    Parameters
    ----------
    uniform : ndarray of float64, `(n_tries, 6)`
        Random numbers in [0, 1): the atom, turn or shift, three of the move, the decision.
    temperature : float
        In units of the cost.
    q : ndarray of float64, `(n, 3)`
        Scattering vectors.
    position, kind, wave, amplitude
        State of the replica, `(n_atoms, 3)`, `(n_atoms,)`, `(n_atoms, 2, n)`, `(2, n)`; changed in place.
    factor, measured, weight, half_box, closest
        As for :func:`fewphoton.kernels.heat_bath.move_atoms`.
    follows, reach
        As for :func:`find_followers`.
    longest_shift : float
        Largest shift along each axis.
    """
    n_atoms = len(kind)
    cost: float = intensity_cost(amplitude, measured, weight)
    member = np.empty(n_atoms, dtype=np.bool_)
    member_after = np.empty(n_atoms, dtype=np.bool_)
    trial_amplitude, trial_wave = np.empty_like(amplitude), np.empty_like(wave)
    for number in range(len(uniform)):
        draw = uniform[number]
        middle = int(draw[0] * n_atoms)
        if find_followers(position, kind, middle, follows, reach, member) == 0:
            continue
        trial = position.copy()
        if draw[1] < 0.5:
            matrix = turn_matrix(draw[2:5])
            for atom in range(n_atoms):
                if member[atom]:
                    for i in range(3):
                        trial[atom, i] = position[middle, i]
                        for j in range(3):
                            trial[atom, i] += matrix[i, j] * (position[atom, j] - position[middle, j])
        else:
            member[middle] = True
            for atom in range(n_atoms):
                if member[atom]:
                    for axis in range(3):
                        trial[atom, axis] += longest_shift * (2 * draw[2 + axis] - 1)
        if not is_allowed(trial, kind, member, half_box, closest):
            continue
        # The way back must be as likely: the same atoms have to go along from the new place.
        find_followers(trial, kind, middle, follows, reach, member_after)
        changed = False
        for atom in range(n_atoms):
            changed |= atom != middle and member[atom] != member_after[atom]
        if changed:
            continue
        trial_amplitude[:] = amplitude
        for atom in range(n_atoms):
            if member[atom]:
                fill_waves(q, trial[atom : atom + 1], trial_wave[atom : atom + 1])
                add_wave(trial_amplitude, wave[atom], factor[kind[atom]], -1.0)
                add_wave(trial_amplitude, trial_wave[atom], factor[kind[atom]], 1.0)
        new_cost = intensity_cost(trial_amplitude, measured, weight)
        if new_cost <= cost or draw[5] < math.exp((cost - new_cost) / temperature):
            cost = new_cost
            amplitude[:] = trial_amplitude
            position[:] = trial
            for atom in range(n_atoms):
                if member[atom]:
                    wave[atom] = trial_wave[atom]
    return cost
