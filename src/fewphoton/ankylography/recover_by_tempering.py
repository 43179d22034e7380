"""The suite's own solver: parallel tempering at low q, least squares over rising q, rest on the noise floor."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fewphoton.ankylography.polish import Polisher
from fewphoton.ankylography.search_problem import SearchProblem
from fewphoton.ankylography.solutions import Candidate, NoiseFloor, Solutions
from fewphoton.ankylography.tempering import TemperedMolecules
from fewphoton.config.tempering import TemperingConfig
from fewphoton.data.molecule import Molecule
from fewphoton.data.recovered_molecule import RecoveredMolecule
from fewphoton.data.shot import Shot


def recover_by_tempering(
    shot: Shot,
    config: TemperingConfig,
    seed: int,
    stop: Callable[[], bool],
    say: Callable[[str], None],
    threads: int = 1,
) -> list[RecoveredMolecule]:
    """Find the molecule of a shot.

    Replicas of the molecule at different temperatures move atom by atom with exact conditional probabilities over a
    lattice through the box (:mod:`fewphoton.kernels.heat_bath`) under the intensities at low q. Every few sweeps the
    coldest ones are refined by least squares over rising q. The search ends when noise alone explains what is left.

    Parameters
    ----------
    shot : Shot
        Measurement and composition.
    config : TemperingConfig
        Parameters.
    seed : int
        Seed of all random numbers; the result does not depend on ``threads``.
    stop : callable
        Asked after every sweep; True ends the search with what there is.
    say : callable
        Takes lines of progress.
    threads : int
        Threads that share the replicas.

    Returns
    -------
    list of RecoveredMolecule
        Distinct solutions, the one that explains the shot best first.

    Raises
    ------
    ConfigError
        If the box or the grid cannot hold the atoms.
    DataError
        If there are fewer detectors than unknown coordinates.
    """
    random = np.random.default_rng([seed])
    problem = SearchProblem.build(shot, config, config.q_max_inv_angstrom, config.detectors, config.model_error)
    floor = NoiseFloor(shot)
    polisher = Polisher(shot, config, floor)
    ladder = np.geomspace(config.coldest, config.hottest, config.replicas) * len(problem.measured)
    replicas = TemperedMolecules(problem, ladder, config.local_moves, random)
    solutions = Solutions(floor, config.solutions)
    with ThreadPoolExecutor(threads) as pool:
        for number in range(1, config.max_sweeps + 1):
            replicas.sweep(pool if threads > 1 else None)
            replicas.exchange_temperatures()
            ended = stop() or number == config.max_sweeps
            if number % config.polish_every == 0 or ended:
                for replica in np.argsort(replicas.cost, kind="stable")[: config.polish_replicas]:
                    solutions.add(polisher.improve(replicas.position[replica], replicas.kind[replica], random))
                best = solutions.best_first[0]
                say(
                    f"sweep {number}: misfit {best.misfit:.3f} of the best molecule, search cost "
                    f"{replicas.cost.min() / len(problem.measured):.3f}, "
                    f"{replicas.exchanges_made / max(1, replicas.exchanges_tried):.0%} of exchanges accepted"
                )
                if floor.explains(best):
                    say("noise alone explains what is left")
                    break
            if ended:
                break
    return [as_recovered(item, floor) for item in solutions.best_first]


def as_recovered(candidate: Candidate, floor: NoiseFloor) -> RecoveredMolecule:
    """Return a candidate as a molecule centred on the origin."""
    n_atoms = len(candidate.kind)
    molecule = Molecule(
        tuple(floor.model.elements[number] for number in candidate.kind),
        candidate.position_angstrom - candidate.position_angstrom.mean(axis=0),
        candidate.occupancy,
        np.zeros(n_atoms),
    )
    return RecoveredMolecule(molecule, floor.reduced_chi2(candidate))
