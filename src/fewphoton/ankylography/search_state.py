"""All that a search needs to go on where it was left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class SearchState:
    """A search after some sweeps.

    Parameters
    ----------
    sweep : int
        Sweeps made.
    found_at : int
        Sweep after which the best solution was found.
    random : str
        State of the random generator, JSON.
    position : ndarray of float64, `(n_replicas, n_atoms, 3)`
        Atoms of the replicas.
    kind : ndarray of int64, `(n_replicas, n_atoms)`
        Their elements.
    cost : ndarray of float64, `(n_replicas,)`
        Costs of the replicas.
    exchanges : ndarray of int64, `(3,)`
        Pairs of temperatures that come next (0 even, 1 odd), exchanges tried, exchanges made.
    solution_position, solution_kind, solution_occupancy
        The solutions so far, `(n_solutions, n_atoms, 3)` and `(n_solutions, n_atoms)` twice.
    mended_position, mended_kind
        Minima that need no more mending, `(n_mended, n_atoms, 3)` and `(n_mended, n_atoms)`.
    """

    sweep: int
    found_at: int
    random: str
    position: NDArray[np.float64]
    kind: NDArray[np.int64]
    cost: NDArray[np.float64]
    exchanges: NDArray[np.int64]
    solution_position: NDArray[np.float64]
    solution_kind: NDArray[np.int64]
    solution_occupancy: NDArray[np.float64]
    mended_position: NDArray[np.float64]
    mended_kind: NDArray[np.int64]


class SearchMemory(Protocol):
    """Where the state of a search is kept between runs."""

    def recall(self) -> SearchState | None:
        """Return the state that was kept last; None: there is none for this search."""

    def keep(self, state: SearchState) -> None:
        """Keep a state in place of the one before."""
