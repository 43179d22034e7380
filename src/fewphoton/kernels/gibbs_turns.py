"""Gibbs sampling of a molecule's shape: bonds turn and parts move, each to one of many candidates at once."""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from fewphoton.kernels.waves import add_wave, wave_misfit

TURN, SHIFT = -1, -2
"""Marks in place of a bond's first atom: a turn about an axis through the centroid, a shift along an axis."""
N_DRAWS = 10
"""Random numbers of a step: seven uniform ones from 0 to 1, three normal ones."""

_SMALL_TURN = 0.5
_SMALL_SHIFT_ANGSTROM = 0.5
_WIDE_SHIFT_ANGSTROM = 3.0


@numba.njit(cache=True)
def turn_atoms(
    place: NDArray[np.float64],
    moving: NDArray[np.bool_],
    start: NDArray[np.float64],
    axis: NDArray[np.float64],
    angle: float,
) -> None:
    """Turn the moving atoms of ``place`` `(n_atoms, 3)` in place, by radians about a unit axis through ``start``."""
    cosine, sine = math.cos(angle), math.sin(angle)
    for atom in range(len(place)):
        if moving[atom]:
            x, y, z = place[atom, 0] - start[0], place[atom, 1] - start[1], place[atom, 2] - start[2]
            along = (1.0 - cosine) * (axis[0] * x + axis[1] * y + axis[2] * z)
            place[atom, 0] = start[0] + cosine * x + sine * (axis[1] * z - axis[2] * y) + along * axis[0]
            place[atom, 1] = start[1] + cosine * y + sine * (axis[2] * x - axis[0] * z) + along * axis[1]
            place[atom, 2] = start[2] + cosine * z + sine * (axis[0] * y - axis[1] * x) + along * axis[2]


@numba.njit(cache=True)
def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return vector / math.sqrt(vector[0] ** 2 + vector[1] ** 2 + vector[2] ** 2)


@numba.njit(cache=True)
def _centroid(place: NDArray[np.float64], moving: NDArray[np.bool_]) -> NDArray[np.float64]:
    total, count = np.zeros(3), 0
    for atom in range(len(place)):
        if moving[atom]:
            total += place[atom]
            count += 1
    return total / count


@numba.njit(cache=True)
def _apply(
    place: NDArray[np.float64],
    moving: NDArray[np.bool_],
    first: int,
    second: int,
    direction: NDArray[np.float64],
    amount: float,
) -> None:
    if first == SHIFT:
        for atom in range(len(place)):
            if moving[atom]:
                place[atom] += amount * direction
    elif first == TURN:
        turn_atoms(place, moving, _centroid(place, moving), direction, amount)
    else:
        start = place[first].copy()
        turn_atoms(place, moving, start, _unit(place[second] - start), amount)


@numba.njit(cache=True)
def _chosen(misfit: NDArray[np.float64], temperature: float, draw: float) -> int:
    lowest = misfit.min()
    total = 0.0
    for value in misfit:
        total += math.exp((lowest - value) / temperature)
    left = draw * total
    for c in range(len(misfit)):
        left -= math.exp((lowest - misfit[c]) / temperature)
        if left <= 0.0:
            return c
    return int(misfit.argmin())


@numba.njit(cache=True)
def gibbs_turns(
    q: NDArray[np.float32],
    factor: NDArray[np.float32],
    kind: NDArray[np.int64],
    intensity: NDArray[np.float32],
    weight: NDArray[np.float32],
    bond: NDArray[np.int64],
    moving: NDArray[np.bool_],
    other: NDArray[np.bool_],
    n_candidates: int,
    temperature: NDArray[np.float64],
    draw: NDArray[np.float64],
    place: NDArray[np.float64],
    best_place: NDArray[np.float64],
    best_misfit: NDArray[np.float64],
) -> None:
    """Walk through shapes of a molecule, one move a step.

    Half of the moves scan the whole turn in ``n_candidates`` angles (shifts: up to 3 angstrom to both sides), half a
    narrow fan about the present place. The candidate is drawn by its Boltzmann factor. Beside the listed moves, two
    bonds may turn by equal or opposite angles at once, which keeps far ends of a chain near their place. A step costs
    ``n_candidates`` x moving atoms x detectors waves (see :func:`fewphoton.kernels.waves.add_wave`).

    Parameters
    ----------
    q : ndarray of float32, `(3, n)`
        Scattering vectors in 1/angstrom, without 2 pi.
    factor : ndarray of float32, `(n_kinds, n)`
        Form factors.
    kind : ndarray of int64, `(n_atoms,)`
        Row of ``factor`` of each atom.
    intensity, weight : ndarray of float32, `(n,)`
        Measured intensities and the weights of their squared misfits.
    bond : ndarray of int64, `(n_moves, 2)`
        Atoms of the bond that turns; or :data:`TURN` or :data:`SHIFT` as the first. Bonds come before the others.
    moving, other : ndarray of bool, `(n_moves, n_atoms)`
        Atoms that move, and those that may do so in their place (with the same effect up to a motion of the whole).
    n_candidates : int
        Candidates of a step, at least 2.
    temperature : ndarray of float64, `(n_steps,)`
        Temperature of each step, in units of the misfit.
    draw : ndarray of float64, `(n_steps, N_DRAWS)`
        Random numbers.
    place : ndarray of float64, `(n_atoms, 3)`
        Atoms in angstrom; overwritten with their last places.
    best_place : ndarray of float64, `(n_atoms, 3)`
        Overwritten where a place fits better than ``best_misfit``.
    best_misfit : ndarray of float64, `(1,)`
        Misfit of ``best_place``; overwritten likewise.
    """
    n_atoms, n_moves = len(kind), len(bond)
    n_bonds = 0
    while n_bonds < n_moves and bond[n_bonds, 0] >= 0:
        n_bonds += 1
    n_choices = n_moves + (1 if n_bonds > 1 else 0)
    real_rest, imaginary_rest = np.zeros(q.shape[1], np.float32), np.zeros(q.shape[1], np.float32)
    real, imaginary = np.zeros(q.shape[1], np.float32), np.zeros(q.shape[1], np.float32)
    trial = place.copy()
    misfit, amount = np.zeros(n_candidates), np.zeros(n_candidates)
    half = n_candidates // 2
    for step in range(len(temperature)):
        move = min(int(draw[step, 0] * n_choices), n_choices - 1)
        paired = move == n_moves
        second, sign = 0, 1.0
        if paired:
            move = min(int(draw[step, 5] * n_bonds), n_bonds - 1)
            second = (move + 1 + min(int(draw[step, 6] * (n_bonds - 1)), n_bonds - 2)) % n_bonds
            sign = 1.0 if draw[step, 1] < 0.5 else -1.0
        swapped = draw[step, 1] < 0.5 and not paired
        turning = other[move] if swapped else moving[move]
        moved = turning | moving[second] if paired else turning
        direction = _unit(draw[step, 7:10])
        small = draw[step, 2] < 0.5
        shift = bond[move, 0] == SHIFT
        for c in range(n_candidates):
            if small:
                width = _SMALL_SHIFT_ANGSTROM if shift else _SMALL_TURN
                amount[c] = width * draw[step, 3] * (c - half) / half
            elif shift:
                amount[c] = _WIDE_SHIFT_ANGSTROM * draw[step, 3] * (c - half) / half
            else:
                amount[c] = 2.0 * math.pi * c / n_candidates
        real_rest[:] = 0.0
        imaginary_rest[:] = 0.0
        for atom in range(n_atoms):
            if not moved[atom]:
                add_wave(q, place[atom], factor[kind[atom]], real_rest, imaginary_rest)
        for c in range(n_candidates):
            trial[:] = place
            _apply(trial, turning, bond[move, 0], bond[move, 1], direction, amount[c])
            if paired:
                _apply(trial, moving[second], bond[second, 0], bond[second, 1], direction, sign * amount[c])
            real[:] = real_rest
            imaginary[:] = imaginary_rest
            for atom in range(n_atoms):
                if moved[atom]:
                    add_wave(q, trial[atom], factor[kind[atom]], real, imaginary)
            misfit[c] = wave_misfit(real, imaginary, intensity, weight)
        c = _chosen(misfit, temperature[step], draw[step, 4])
        _apply(place, turning, bond[move, 0], bond[move, 1], direction, amount[c])
        if paired:
            _apply(place, moving[second], bond[second, 0], bond[second, 1], direction, sign * amount[c])
        if misfit[c] < best_misfit[0]:
            best_misfit[0] = misfit[c]
            best_place[:] = place
