"""Least squares of a peptide against a shot: motions of its parts, then single atoms held by ideal distances.

Levenberg (1944, doi:10.1090/qam/10666) and Marquardt (1963, doi:10.1137/0111030).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.ankylography.residue_basis import Moves
from fewphoton.data.arrays import frozen_array
from fewphoton.data.orientations import rotation_about_axis
from fewphoton.data.peptide_chain import PeptideChain
from fewphoton.kernels.gibbs_turns import SHIFT, TURN

_FIRST_DAMPING = 1e-2
_LEAST_DAMPING = 1e-7
_TRIALS = 8
_TOLERANCE = 1e-5
_ITERATIONS = 60
# Motions of the whole molecule do not change the intensity, and a normal matrix must still have an inverse.
_RIDGE = 1e-9


@dataclass(frozen=True, eq=False)
class WeightedIntensities:
    """Some detectors of a shot with the weights of their squared misfits.

    Parameters
    ----------
    model : ForwardModel
        Scattering into these detectors.
    intensity, weight : ndarray of float64, `(n,)`
        Measured intensities and weights.
    """

    model: ForwardModel
    intensity: NDArray[np.float64]
    weight: NDArray[np.float64]

    def __post_init__(self) -> None:
        n = len(self.model.q_inv_angstrom)
        for name in ("intensity", "weight"):
            object.__setattr__(self, name, frozen_array(name, getattr(self, name), np.float64, (n,)))

    def __len__(self) -> int:
        return len(self.intensity)

    def misfit(self, kind: NDArray[np.int64], place: NDArray[np.float64]) -> float:
        """Return sum w (|F|² - I)² of atoms at ``place`` `(n_atoms, 3)`."""
        return float(self.weight @ (self.model.intensity(place, kind) - self.intensity) ** 2)

    def thinned(self, largest: int) -> WeightedIntensities:
        """Return at most ``largest`` of the detectors, evenly taken."""
        if len(self) <= largest:
            return self
        chosen = np.arange(largest) * len(self) // largest
        return WeightedIntensities(self.model.at(chosen), self.intensity[chosen], self.weight[chosen])


@dataclass(frozen=True, eq=False)
class DistanceRestraints:
    """Ideal distances of pairs of atoms.

    Parameters
    ----------
    pair : ndarray of int64, `(n, 2)`
        Atoms.
    distance_angstrom, sigma_angstrom : ndarray of float64, `(n,)`
        Ideal distances and their expected deviations.
    """

    pair: NDArray[np.int64]
    distance_angstrom: NDArray[np.float64]
    sigma_angstrom: NDArray[np.float64]

    @classmethod
    def of(cls, chain: PeptideChain, bond_sigma_angstrom: float, angle_sigma_angstrom: float) -> DistanceRestraints:
        """Return those of a chain's bonds and of atoms bonded to the same third."""
        pair, n_bonds = chain.neighbour_pairs()
        vector = chain.position_angstrom[pair[:, 0]] - chain.position_angstrom[pair[:, 1]]
        sigma = np.repeat([bond_sigma_angstrom, angle_sigma_angstrom], [n_bonds, len(pair) - n_bonds])
        return cls(pair, np.linalg.norm(vector, axis=1), sigma)

    def deviations(self, place: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return deviations in units of sigma `(n,)` and their derivatives `(n, 3 n_atoms)`."""
        vector = place[self.pair[:, 0]] - place[self.pair[:, 1]]
        length = np.linalg.norm(vector, axis=1)
        unit = vector / (length * self.sigma_angstrom)[:, None]
        slope = np.zeros((len(self.pair), len(place), 3))
        rows = np.arange(len(self.pair))
        slope[rows, self.pair[:, 0]] = unit
        slope[rows, self.pair[:, 1]] = -unit
        return (length - self.distance_angstrom) / self.sigma_angstrom, slope.reshape(len(rows), -1)


class Motions:
    """The coordinates in which rigid parts of a molecule are refined: every move, unbound axes along x, y and z."""

    def __init__(self, moves: Moves) -> None:
        self._single: list[tuple[int, int, NDArray[np.bool_], NDArray[np.float64]]] = []
        seen = set()
        for (first, second), moving in zip(moves.bond.tolist(), moves.moving, strict=True):
            if (first, second, moving.tobytes()) in seen:
                continue
            seen.add((first, second, moving.tobytes()))
            axes = np.eye(3) if first in (TURN, SHIFT) else np.zeros((1, 3))
            self._single += [(first, second, moving, axis) for axis in axes]

    def __len__(self) -> int:
        return len(self._single)

    def velocities(self, place: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how atoms move with each coordinate, `(n_coordinates, n_atoms, 3)`."""
        velocity = np.zeros((len(self), *place.shape))
        for number, (first, second, moving, axis) in enumerate(self._single):
            if first == SHIFT:
                velocity[number, moving] = axis
            else:
                start, along = _turning_axis(place, first, second, moving, axis)
                velocity[number, moving] = np.cross(along, place[moving] - start)
        return velocity

    def moved(self, place: NDArray[np.float64], step: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the atoms after finite steps `(n_coordinates,)` in angstrom and radians, one after the other."""
        result = np.array(place)
        for (first, second, moving, axis), amount in zip(self._single, step, strict=True):
            if first == SHIFT:
                result[moving] += amount * axis
            else:
                start, along = _turning_axis(result, first, second, moving, axis)
                rotation = rotation_about_axis(along, np.rad2deg(amount))
                result[moving] = (result[moving] - start) @ rotation.T + start
        return result


def _turning_axis(
    place: NDArray[np.float64], first: int, second: int, moving: NDArray[np.bool_], axis: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if first == TURN:
        return place[moving].mean(axis=0), axis
    along = place[second] - place[first]
    return np.array(place[first]), along / np.linalg.norm(along)


def refine(
    data: WeightedIntensities,
    kind: NDArray[np.int64],
    place: NDArray[np.float64],
    motions: Motions | None = None,
    restraints: DistanceRestraints | None = None,
    iterations: int = _ITERATIONS,
) -> tuple[NDArray[np.float64], float]:
    """Minimize the weighted misfit of intensities, and of ideal distances where given.

    Parameters
    ----------
    data : WeightedIntensities
        What to explain.
    kind : ndarray of int64, `(n_atoms,)`
        Element of each atom in ``data.model``.
    place : ndarray of float64, `(n_atoms, 3)`
        Start, in angstrom.
    motions : Motions, optional
        Coordinates; every atom's position by default.
    restraints : DistanceRestraints, optional
        Ideal distances.
    iterations : int
        Steps at most; it ends sooner when a step gains less than 1e-5 of the misfit.

    Returns
    -------
    place : ndarray of float64, `(n_atoms, 3)`
        Refined positions.
    misfit : float
        sum w (|F|² - I)² of them, without the restraints' part.
    """
    root = np.sqrt(data.weight)

    def residuals(at: NDArray[np.float64]) -> NDArray[np.float64]:
        part = root * (data.model.intensity(at, kind) - data.intensity)
        return part if restraints is None else np.concatenate([part, restraints.deviations(at)[0]])

    damping = _FIRST_DAMPING
    residual = residuals(place)
    total = float(residual @ residual)
    for _ in range(iterations):
        slope = root[:, None] * data.model.jacobian(place, kind)
        if restraints is not None:
            slope = np.concatenate([slope, restraints.deviations(place)[1]])
        if motions is not None:
            slope = slope @ motions.velocities(place).reshape(len(motions), -1).T
        normal, gradient = slope.T @ slope, slope.T @ residual
        ridge = _RIDGE * np.trace(normal)
        for _ in range(_TRIALS):
            matrix = normal + np.diag(damping * np.diag(normal) + ridge)
            step = np.asarray(-np.linalg.solve(matrix, gradient), dtype=np.float64)
            trial = place + step.reshape(-1, 3) if motions is None else motions.moved(place, step)
            trial_residual = residuals(trial)
            trial_total = float(trial_residual @ trial_residual)
            if trial_total < total:
                break
            damping *= 4
        else:
            break
        gain = total - trial_total
        place, residual, total = trial, trial_residual, trial_total
        damping = max(damping / 5, _LEAST_DAMPING)
        if gain < _TOLERANCE * total:
            break
    n = len(data)
    return place, float(residual[:n] @ residual[:n])
