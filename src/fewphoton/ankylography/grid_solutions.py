"""The best distinct molecules that a search on a grid has met."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fewphoton.ankylography.misfit_weights import reduced_chi2
from fewphoton.ankylography.sparse_problem import SparseProblem
from fewphoton.data.molecule import Molecule
from fewphoton.data.recovered_molecule import RecoveredMolecule


@dataclass(frozen=True, eq=False)
class _Solution:
    objective: float
    kind: NDArray[np.int64]
    site: NDArray[np.int64]
    amplitude: NDArray[np.float64]


@dataclass
class GridSolutions:
    """Up to ``n_best`` molecules in order of their objective.

    Those that differ only by a shift along the grid, by inversion, or by which of like atoms is which, scatter alike
    and count as one.

    Parameters
    ----------
    problem : SparseProblem
        Shot and grid.
    n_best : int
        Molecules to keep.
    """

    problem: SparseProblem
    n_best: int
    _found: dict[bytes, _Solution] = field(default_factory=dict)

    @property
    def best(self) -> float:
        """Smallest objective so far; infinite before the first solution."""
        return min((solution.objective for solution in self._found.values()), default=np.inf)

    def add(
        self, objective: float, kind: NDArray[np.int64], site: NDArray[np.int64], amplitude: NDArray[np.float64]
    ) -> None:
        """Take a solution in: elements, sites and amplitudes of its atoms, each `(n_atoms,)`."""
        key = self._key(kind, site)
        known = self._found.get(key)
        if known is None or objective < known.objective:
            self._found[key] = _Solution(float(objective), kind.copy(), site.copy(), amplitude.copy())
        if len(self._found) > self.n_best:
            del self._found[max(self._found, key=lambda name: self._found[name].objective)]

    def molecules(self) -> list[RecoveredMolecule]:
        """Return the molecules, best first, atoms in the composition's order."""
        model = self.problem.model
        found = []
        for solution in sorted(self._found.values(), key=lambda one: one.objective):
            order = np.lexsort((solution.site, solution.kind))
            kind, amplitude = solution.kind[order], solution.amplitude[order]
            position = self.problem.grid.positions(solution.site[order])
            molecule = Molecule(
                tuple(model.elements[number] for number in kind), position, amplitude, np.zeros(len(kind))
            )
            chi2 = reduced_chi2(self.problem.shot, model.intensity(position, kind, amplitude))
            found.append(RecoveredMolecule(molecule, chi2))
        return found

    def _key(self, kind: NDArray[np.int64], site: NDArray[np.int64]) -> bytes:
        index = np.stack(np.unravel_index(site, self.problem.grid.shape), axis=-1)
        rows = []
        for hand in (index, -index):
            table = np.column_stack([kind, hand - hand.min(axis=0)])
            rows.append(table[np.lexsort(table.T[::-1])].tobytes())
        return min(rows)
