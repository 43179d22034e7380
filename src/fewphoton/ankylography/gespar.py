"""Recovery of a molecule from one shot by GESPAR with counts of atoms for each element (Mutzafi et al. 2015).

Greedy sparse phase retrieval as in the Methods of Nat. Commun. 6, 7950 (doi:10.1038/ncomms8950): unknown amplitudes on
a grid of sites for each element, as many non-zero ones as the composition says.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fewphoton.ankylography.gespar_search import GesparSearch
from fewphoton.ankylography.grid_solutions import GridSolutions
from fewphoton.ankylography.sparse_problem import SparseProblem
from fewphoton.config.gespar import GesparConfig
from fewphoton.data.position_grid import PositionGrid
from fewphoton.data.recovered_molecule import RecoveredMolecule
from fewphoton.data.shot import Shot


def recover_by_gespar(
    shot: Shot, config: GesparConfig, seed: int, stop: Callable[[], bool], say: Callable[[str], None]
) -> list[RecoveredMolecule]:
    """Return distinct molecules that explain a shot, best first by the weighted misfit.

    A restart puts one atom on a random site, adds atoms until the composition is complete, and swaps sites as long as
    that helps. Restarts end with the first molecule whose misfit noise alone explains, with ``n_restarts``, or when
    ``stop`` says so; additions of the first restart are always finished, so that there is a molecule to return. The
    number of a restart and the seed determine its random draws.

    Parameters
    ----------
    shot : Shot
        Intensities and composition.
    config : GesparConfig
        Grid and options.
    seed : int
        Seed of all random draws.
    stop : callable
        Asked between moves; true ends the search.
    say : callable
        Takes a line of progress for each restart.

    Raises
    ------
    DataError
        If the grid has too few sites or the shot too few detectors.
    ConfigError
        If weights by noise are asked for and there is none, or finufft is not installed.
    """
    grid = PositionGrid(config.grid.spacing_angstrom, config.grid.shape)
    problem = SparseProblem.of(shot, grid, config.weights, config.kappa)
    solutions = GridSolutions(problem, config.n_solutions)
    for restart in range(config.n_restarts):
        search = GesparSearch(problem, config, np.random.default_rng([seed, restart]))
        n_swaps = _complete(search, stop, must_finish=restart == 0)
        if search.missing.any():
            break
        atoms = search.finished()
        solutions.add(atoms.objective, atoms.kind, atoms.site, atoms.amplitude)
        say(
            f"GESPAR restart {restart + 1}: {n_swaps} swaps, residual {problem.residual(atoms.objective):.3e}, "
            f"best {problem.residual(solutions.best):.3e}, noise alone up to {problem.residual(problem.floor):.3e}"
        )
        if solutions.best <= problem.floor or stop():
            break
    return solutions.molecules()


def _complete(search: GesparSearch, stop: Callable[[], bool], *, must_finish: bool) -> int:
    """Add atoms until none is missing, swapping sites as configured; return the number of swaps."""
    n_swaps = 0
    each_time = search.config.swap_after == "each_addition"
    while True:
        if each_time or not search.missing.any():
            while not stop() and search.swap():
                n_swaps += 1
        if not search.missing.any() or (stop() and not must_finish):
            return n_swaps
        search.add()
