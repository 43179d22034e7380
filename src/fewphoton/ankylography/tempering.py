"""Parallel tempering of molecules over a ladder of temperatures (Hukushima & Nemoto 1996, doi:10.1143/JPSJ.65.1604)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from fewphoton.ankylography.search_problem import Lattice, SearchProblem
from fewphoton.kernels.group_moves import move_groups
from fewphoton.kernels.heat_bath import exchange_elements, move_atoms, refresh

# Shifts of groups; as far as the lattice for small moves reaches.
_LONGEST_SHIFT_ANGSTROM = 0.3
# Replicas that move in step. Fixed, so that results are the same for any number of threads.
_GROUP = 5


class TemperedMolecules:
    """Replicas of a molecule at rising temperatures, the coldest first.

    Parameters
    ----------
    problem : SearchProblem
        What is searched.
    temperature : ndarray of float64, `(n_replicas,)`
        Temperatures in units of the cost, the coldest first.
    local_moves : int
        Small moves for each move across the box.
    group_reach_angstrom : float
        Reach of an atom for hydrogens that move with it; 0: none do. Not on a grid.
    random : Generator
        Source of all random numbers.
    """

    def __init__(
        self,
        problem: SearchProblem,
        temperature: NDArray[np.float64],
        local_moves: int,
        random: np.random.Generator,
        group_reach_angstrom: float = 0.0,
    ) -> None:
        self.problem = problem
        self.temperature = np.asarray(temperature, dtype=np.float64)
        self.local_moves = local_moves if problem.local is not None else 0
        self.group_reach_angstrom = group_reach_angstrom if problem.local is not None else 0.0
        self._random = random
        n_replicas, n_atoms, n = len(temperature), len(problem.kind), len(problem.measured)
        self.kind = np.stack([random.permutation(problem.kind) for _ in range(n_replicas)])
        self.position = self._random_places(n_replicas, n_atoms)
        self.cost = np.full(n_replicas, np.inf)
        self._wave = np.empty((n_replicas, n_atoms, 2, n), dtype=np.float32)
        self._amplitude = np.empty((n_replicas, 2, n), dtype=np.float32)
        self._factor = problem.model.factor.astype(np.float32)
        self._measured = problem.measured.astype(np.float32)
        self._weight = problem.weight.astype(np.float32)
        self._q = np.ascontiguousarray(problem.model.q_inv_angstrom)
        # Which pairs come next (0 even, 1 odd), exchanges tried, exchanges made.
        self.exchanges = np.zeros(3, dtype=np.int64)

    def _random_places(self, n_replicas: int, n_atoms: int) -> NDArray[np.float64]:
        half = self.problem.half_box
        if self.problem.local is not None:
            return self._random.uniform(-half, half, (n_replicas, n_atoms, 3))
        lattice = self.problem.lattice
        shape = np.array([len(lattice.along_x), len(lattice.along_y), len(lattice.along_z)])
        sites = [self._random.choice(lattice.n_sites, n_atoms, replace=False) for _ in range(n_replicas)]
        index = np.stack(np.unravel_index(np.array(sites), shape), axis=-1)
        return np.asarray((index - (shape - 1) / 2) * lattice.step)

    def place(self, replica: int, position_angstrom: NDArray[np.float64], kind: NDArray[np.int64]) -> None:
        """Put a molecule into a replica, in place of what it holds."""
        self.position[replica] = position_angstrom
        self.kind[replica] = kind

    def recentre(self) -> None:
        """Shift each molecule to the middle of the box (on a grid, by whole steps); |F|² does not see it."""
        middle = (self.position.min(axis=1) + self.position.max(axis=1)) / 2
        if self.problem.local is None:
            step = self.problem.lattice.step
            middle = np.rint(middle / step) * step
        self.position -= middle[:, None, :]

    def sweep(self, threads: ThreadPoolExecutor | None = None) -> None:
        """Move every atom of every replica once across the box, some a little, exchange elements, and move groups."""
        self.recentre()
        n_replicas, n_atoms = self.kind.shape
        moves = n_atoms * (1 + self.local_moves)
        order = np.stack([self._random.permutation(n_atoms) for _ in range(n_replicas)], axis=1)
        nearby = self._random.integers(n_atoms, size=(moves - n_atoms, n_replicas))
        uniform = self._random.random((moves, n_replicas))
        pairs = self._random.random((n_replicas, n_atoms, 3))
        together = self._random.random((n_replicas, n_atoms, 6))
        groups = [slice(first, first + _GROUP) for first in range(0, n_replicas, _GROUP)]

        def move(group: slice) -> None:
            self._sweep_group(
                group, order[:, group], nearby[:, group], uniform[:, group], pairs[group], together[group]
            )

        list(map(move, groups) if threads is None else threads.map(move, groups))

    def _sweep_group(
        self,
        group: slice,
        order: NDArray[np.int64],
        nearby: NDArray[np.int64],
        uniform: NDArray[np.float64],
        pairs: NDArray[np.float64],
        together: NDArray[np.float64],
    ) -> None:
        problem = self.problem
        temperature = self.temperature[group]
        position, kind = self.position[group], self.kind[group]
        wave, amplitude = self._wave[group], self._amplitude[group]
        refresh(self._q, position, kind, wave, amplitude, self._factor)

        def move(lattice: Lattice, chosen: NDArray[np.int64], draw: NDArray[np.float64]) -> None:
            move_atoms(
                np.ascontiguousarray(chosen),
                np.ascontiguousarray(draw),
                temperature,
                position,
                kind,
                wave,
                amplitude,
                self._factor,
                self._measured,
                self._weight,
                lattice.along_x,
                lattice.along_y,
                lattice.along_z,
                lattice.cosines,
                lattice.sines,
                lattice.step,
                problem.half_box,
                problem.closest,
                lattice.centred,
            )

        count = 0
        for number in range(len(order)):
            move(problem.lattice, order[number], uniform[count])
            count += 1
            for _ in range(self.local_moves):
                assert problem.local is not None
                move(problem.local, nearby[count - number - 1], uniform[count])
                count += 1
        for replica in range(len(kind)):
            self.cost[group.start + replica] = exchange_elements(
                pairs[replica],
                float(temperature[replica]),
                kind[replica],
                wave[replica],
                amplitude[replica],
                self._factor,
                self._measured,
                self._weight,
            )
            if self.group_reach_angstrom > 0:
                self.cost[group.start + replica] = move_groups(
                    together[replica],
                    float(temperature[replica]),
                    self._q,
                    position[replica],
                    kind[replica],
                    wave[replica],
                    amplitude[replica],
                    self._factor,
                    self._measured,
                    self._weight,
                    problem.half_box,
                    problem.closest,
                    problem.follows,
                    self.group_reach_angstrom,
                    _LONGEST_SHIFT_ANGSTROM,
                )

    def exchange_temperatures(self) -> None:
        """Exchange the molecules of neighbouring temperatures with the Metropolis probability, even or odd pairs."""
        for low in range(int(self.exchanges[0]), len(self.cost) - 1, 2):
            high = low + 1
            gain = (self.cost[low] - self.cost[high]) * (1 / self.temperature[low] - 1 / self.temperature[high])
            self.exchanges[1] += 1
            if gain >= 0 or self._random.random() < np.exp(gain):
                for state in (self.position, self.kind, self.cost):
                    state[[low, high]] = state[[high, low]]
                self.exchanges[2] += 1
        self.exchanges[0] ^= 1
