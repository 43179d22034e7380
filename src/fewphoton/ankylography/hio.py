"""Recovery of a molecule from one shot by hybrid input-output, with and without sparsity.

The baselines of Mutzafi et al. 2015 (Nat. Commun. 6, 7950, doi:10.1038/ncomms8950, Fig. 2): densities of voxels,
densities of spheres for each element, and the latter with all but the largest coefficients left out in each iteration.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fewphoton.ankylography.grid_solutions import GridSolutions
from fewphoton.ankylography.hybrid_input_output import HybridInputOutput
from fewphoton.ankylography.misfit_weights import reduced_chi2
from fewphoton.ankylography.sparse_problem import SparseProblem
from fewphoton.config.hybrid_input_output import HybridInputOutputConfig
from fewphoton.data.molecule import Molecule
from fewphoton.data.position_grid import PositionGrid
from fewphoton.data.recovered_molecule import RecoveredMolecule
from fewphoton.data.shot import Shot
from fewphoton.kernels.amplitude_fit import HALVING, fit_amplitudes

# An estimate costs as much to judge as half an iteration.
_JUDGED_EVERY = 10
_REFIT_STEPS, _REFIT_TOLERANCE = 100, 1e-6

Stop = Callable[[], bool]
Say = Callable[[str], None]


def recover_by_hio(
    shot: Shot, config: HybridInputOutputConfig, seed: int, stop: Stop, say: Say
) -> list[RecoveredMolecule]:
    """Return molecules from random starts of hybrid input-output, best first by their own residual.

    Without sparsity the residual is that of the moduli, sqrt(sum((|F| - measured)²) / sum(measured²)), and all sites
    with more than a share of the largest density are listed as atoms, occupied by the electrons found over those of
    the element; chi² is that of the listed densities. With sparsity a molecule has the composition's atoms, the
    residual is that of the intensities, and starts end with the first molecule that noise alone explains.

    Parameters
    ----------
    shot : Shot
        Intensities and composition.
    config : HybridInputOutputConfig
        Grid and options.
    seed : int
        Seed of the starts.
    stop : callable
        Asked in each iteration; true ends the search with what there is, at least one estimate.
    say : callable
        Takes a line of progress for each start.

    Raises
    ------
    DataError
        If the grid has too few sites, the shot has too few detectors or more than 6000, or no intensity is positive.
    ConfigError
        If finufft is not installed.
    """
    grid = PositionGrid(config.grid.spacing_angstrom, config.grid.shape)
    problem = SparseProblem.of(shot, grid, "none", 1.0)
    iterations = HybridInputOutput(problem, config)
    judge = _SparseJudge(iterations) if config.sparse else _DenseJudge(iterations)
    for restart in range(config.n_restarts):
        judge.begin()
        start = iterations.start(np.random.default_rng([seed, restart]))
        for number, estimate in enumerate(iterations.estimates(start)):
            stopped = stop()
            if number % _JUDGED_EVERY == 0 or number == config.n_iterations - 1 or stopped:
                judge.see(estimate)
            if stopped or judge.satisfied:
                break
        judge.end()
        kind = "sparse HIO" if config.sparse else "HIO"
        say(f"{kind} start {restart + 1}: residual {judge.latest:.4g}, best {judge.best:.4g}")
        if stopped or judge.satisfied:
            break
    return judge.molecules()


class _DenseJudge:
    """Keeps the estimate of each start that explains the moduli best."""

    satisfied = False

    def __init__(self, iterations: HybridInputOutput) -> None:
        self._iterations = iterations
        self._found: list[tuple[float, NDArray[np.float64]]] = []
        self.begin()

    @property
    def best(self) -> float:
        return self._found[0][0]

    def begin(self) -> None:
        self.latest = np.inf
        self._density: NDArray[np.float64] | None = None

    def see(self, estimate: NDArray[np.float64]) -> None:
        residual = self._iterations.residual(estimate)
        if residual < self.latest and estimate.any():
            self.latest, self._density = residual, estimate

    def end(self) -> None:
        if self._density is not None:
            self._found.append((self.latest, self._density))
        self._found = sorted(self._found, key=lambda one: one[0])[: self._iterations.config.n_solutions]

    def molecules(self) -> list[RecoveredMolecule]:
        return [self._listed(density) for _, density in self._found]

    def _listed(self, density: NDArray[np.float64]) -> RecoveredMolecule:
        iterations, config = self._iterations, self._iterations.config
        flat = density.ravel()
        place = np.argsort(-flat, kind="stable")[: config.n_listed]
        place = np.sort(place[flat[place] > config.listed_share * flat.max()])
        element, site = np.divmod(place, iterations.problem.grid.n_sites)
        basis = iterations.basis
        molecule = Molecule(
            tuple(basis.element[number] for number in element),
            iterations.problem.grid.positions(site),
            flat[place] / basis.electrons[element],
            np.zeros(len(place)),
        )
        listed = np.zeros_like(flat)
        listed[place] = flat[place]
        wave = iterations.projection.wave(listed.reshape(density.shape))
        return RecoveredMolecule(molecule, reduced_chi2(iterations.problem.shot, np.abs(wave) ** 2))


class _SparseJudge:
    """Keeps the molecules whose intensities fit best, their amplitudes fitted if that is wished."""

    def __init__(self, iterations: HybridInputOutput) -> None:
        self._iterations = iterations
        self._problem = iterations.problem
        self._solutions = GridSolutions(iterations.problem, iterations.config.n_solutions)
        self.begin()

    @property
    def satisfied(self) -> bool:
        return self._solutions.best <= self._problem.floor

    @property
    def best(self) -> float:
        return self._problem.residual(self._solutions.best)

    def begin(self) -> None:
        self.latest = np.inf

    def see(self, estimate: NDArray[np.float64]) -> None:
        problem = self._problem
        chosen = self._iterations.largest(estimate, problem.counts).reshape(len(problem.counts), -1)
        kind, site = np.nonzero(chosen)
        amplitude = estimate.reshape(chosen.shape)[kind, site] / self._iterations.basis.electrons[kind]
        objective = fit_amplitudes(
            problem.columns(kind, site),
            amplitude,
            problem.weight,
            problem.shot.intensity_electron2,
            True,
            HALVING,
            _REFIT_STEPS if self._iterations.config.refit else 0,
            _REFIT_TOLERANCE,
        )
        self.latest = min(self.latest, problem.residual(objective))
        self._solutions.add(objective, kind, site, amplitude)

    def end(self) -> None:
        pass

    def molecules(self) -> list[RecoveredMolecule]:
        return self._solutions.molecules()
