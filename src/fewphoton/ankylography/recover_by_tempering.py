"""The suite's own solver: parallel tempering at low q, least squares over rising q, rest on the noise floor."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fewphoton.ankylography.fisher_information import standard_errors
from fewphoton.ankylography.polish import Polisher
from fewphoton.ankylography.search_problem import SearchProblem
from fewphoton.ankylography.search_state import SearchMemory, SearchState
from fewphoton.ankylography.solutions import Candidate, NoiseFloor, Solutions
from fewphoton.ankylography.tempering import TemperedMolecules
from fewphoton.config.tempering import TemperingConfig
from fewphoton.data.molecule import Molecule
from fewphoton.data.recovered_molecule import RecoveredMolecule
from fewphoton.data.shot import Shot
from fewphoton.errors import DataError

# A search goes on for so many times the sweeps that its best molecule took, and so many rounds more, where noise may
# explain what is left but usually leaves less.
_PATIENCE = 3
_PATIENT_ROUNDS = 8
_NEAR_FACES_ANGSTROM = 0.3


def recover_by_tempering(
    shot: Shot,
    config: TemperingConfig,
    seed: int,
    stop: Callable[[], bool],
    say: Callable[[str], None],
    threads: int = 1,
    *,
    largest: Callable[[float], float] = float,
    rank: int = 0,
    memory: SearchMemory | None = None,
) -> list[RecoveredMolecule]:
    """Find the molecule of a shot.

    Replicas of the molecule at different temperatures move atom by atom with exact conditional probabilities over a
    lattice through the box (:mod:`fewphoton.kernels.heat_bath`) under the intensities at low q. After every round of
    ``polish_every`` sweeps the coldest ones are refined by least squares over rising q. The search ends when noise
    alone explains what is left.

    Parameters
    ----------
    shot : Shot
        Measurement and composition.
    config : TemperingConfig
        Parameters.
    seed : int
        Seed of all random numbers; the result does not depend on ``threads``.
    stop : callable
        Asked after every round; True ends the search with what there is (at least one round's finds).
    say : callable
        Takes a line of progress each round.
    threads : int
        Threads that share the replicas.
    largest : callable
        The largest of a number over all ranks; ranks ask for it in step.
    rank : int
        Number of this search; together with the seed it determines the random numbers.
    memory : SearchMemory, optional
        Keeps the state after every round; a search goes on from it to the same result.

    Returns
    -------
    list of RecoveredMolecule
        Distinct solutions with their standard errors, the one that explains the shot best first; none where another
        rank's search had ended before this one began.

    Raises
    ------
    ConfigError
        If the box or the grid cannot hold the atoms.
    DataError
        If there are fewer detectors than unknown coordinates.
    """
    random = np.random.default_rng([seed, rank])
    floor = NoiseFloor(shot, on_grid=config.grid is not None)
    problem = SearchProblem.build(
        shot, floor.model, config, config.q_max_inv_angstrom, config.detectors, config.model_error
    )
    polisher = Polisher(shot, config, floor)
    ladder = np.geomspace(config.coldest, config.hottest, config.replicas) * len(problem.measured)
    replicas = TemperedMolecules(problem, ladder, config.local_moves, random, config.group_reach_angstrom)
    solutions = Solutions(floor, config.solutions)
    sweep = found_at = 0
    kept = None if memory is None else memory.recall()
    if kept is not None:
        sweep, found_at = _take_up(kept, replicas, solutions, polisher, random, floor)
        say(f"goes on after sweep {sweep}")

    def explained() -> bool:
        if not solutions.best_first:
            return False
        patient = sweep >= _PATIENCE * found_at + _PATIENT_ROUNDS * config.polish_every
        return floor.explains(solutions.best_first[0], patient=patient)

    def ended() -> bool:
        return explained() or (sweep > 0 and (stop() or sweep >= config.max_sweeps))

    # Threads share the replicas, and results must not depend on how a product is divided: BLAS works alone.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        # Ranks may have been left a round apart; those behind then know that the search went on.
        furthest = largest(sweep)
        # Asked before the first round too: a search may have been left when it had ended already.
        while sweep < furthest or not largest(ended()):
            for _ in range(min(config.polish_every, config.max_sweeps - sweep)):
                replicas.sweep(pool if threads > 1 else None)
                replicas.exchange_temperatures()
                sweep += 1
            for replica in np.argsort(replicas.cost, kind="stable")[: config.polish_replicas]:
                if solutions.add(polisher.improve(replicas.position[replica], replicas.kind[replica], random)):
                    found_at = sweep
            best = solutions.best_first[0]
            say(
                f"sweep {sweep}: misfit {best.misfit:.3f} of the best molecule, search cost "
                f"{replicas.cost.min() / len(problem.measured):.3f}, "
                f"{replicas.exchanges[2] / max(1, replicas.exchanges[1]):.0%} of exchanges accepted"
            )
            if memory is not None:
                memory.keep(_state(sweep, found_at, replicas, solutions, polisher, random))
        found = solutions.best_first
        if explained():
            say("noise alone explains what is left")
        elif found and _fills(found[0].position_angstrom, problem.half_box):
            where = "box_angstrom" if config.grid is None else "grid"
            say(f"the best molecule reaches from face to face of the box: a larger {where} may hold a better one")
        if config.free_amplitudes:
            found = sorted((polisher.finish(item, amplitudes=True) for item in found), key=lambda item: item.misfit)
        return [as_recovered(item, floor, amplitudes=config.free_amplitudes) for item in found]


def _fills(position: NDArray[np.float64], half_box: NDArray[np.float64]) -> bool:
    return bool((np.ptp(position, axis=0) > 2 * half_box - _NEAR_FACES_ANGSTROM).any())


def _state(
    sweep: int,
    found_at: int,
    replicas: TemperedMolecules,
    solutions: Solutions,
    polisher: Polisher,
    random: np.random.Generator,
) -> SearchState:
    found, mended = solutions.best_first, polisher.mended
    n_atoms = replicas.kind.shape[1]
    return SearchState(
        sweep,
        found_at,
        json.dumps(random.bit_generator.state),
        replicas.position.copy(),
        replicas.kind.copy(),
        replicas.cost.copy(),
        replicas.exchanges.copy(),
        np.stack([item.position_angstrom for item in found]),
        np.stack([item.kind for item in found]),
        np.stack([item.occupancy for item in found]),
        np.array([item.position_angstrom for item in mended]).reshape(-1, n_atoms, 3),
        np.array([item.kind for item in mended], dtype=np.int64).reshape(-1, n_atoms),
    )


def _take_up(
    kept: SearchState,
    replicas: TemperedMolecules,
    solutions: Solutions,
    polisher: Polisher,
    random: np.random.Generator,
    floor: NoiseFloor,
) -> tuple[int, int]:
    random.bit_generator.state = json.loads(kept.random)
    for name in ("position", "kind", "cost", "exchanges"):
        getattr(replicas, name)[:] = getattr(kept, name)
    # Not by add(): under counting noise two may pass for the same from one side only, and all of these were kept.
    solutions.best_first = [
        floor.candidate(position, kind, occupancy)
        for position, kind, occupancy in zip(
            kept.solution_position, kept.solution_kind, kept.solution_occupancy, strict=True
        )
    ]
    polisher.mended = [
        floor.candidate(position, kind) for position, kind in zip(kept.mended_position, kept.mended_kind, strict=True)
    ]
    return kept.sweep, kept.found_at


def as_recovered(candidate: Candidate, floor: NoiseFloor, *, amplitudes: bool = False) -> RecoveredMolecule:
    """Return a candidate as a molecule centred on the origin, with standard errors where the shot fixes them all."""
    molecule = Molecule(
        tuple(floor.model.elements[number] for number in candidate.kind),
        candidate.position_angstrom - candidate.position_angstrom.mean(axis=0),
        candidate.occupancy,
        np.zeros(len(candidate.kind)),
    )
    return RecoveredMolecule(molecule, floor.reduced_chi2(candidate), _standard_errors(candidate, floor, amplitudes))


def _standard_errors(candidate: Candidate, floor: NoiseFloor, amplitudes: bool) -> NDArray[np.float64] | None:
    try:
        return standard_errors(
            floor.model,
            floor.variance(candidate),
            candidate.position_angstrom,
            candidate.kind,
            candidate.occupancy,
            amplitudes=amplitudes,
        )
    except DataError:
        return None
