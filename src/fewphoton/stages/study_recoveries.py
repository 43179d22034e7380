"""study-recoveries: a batch of a study's recoveries, each a shot of a known molecule given to a method and scored.

The seeds of molecule, orientation and noise follow from the study's seed and the number of the example alone, so that
all methods see the same shots, and molecules keep their noise at other wavelengths and levels. A method is given the
shot; the truth is looked at when it has ended.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fewphoton.ankylography.simulated_shot import SimulatedShot
from fewphoton.config.recovery_study import RANDOM, StudyRecoveriesConfig, StudyRecovery, batch_recoveries
from fewphoton.config.simulate_shot import RandomMoleculeConfig, SimulateShotConfig
from fewphoton.data import Molecule, Shot
from fewphoton.data.recovered_molecule import RecoveredMolecule
from fewphoton.emc.communicator import Communicator, world
from fewphoton.errors import ConfigError, FewphotonError
from fewphoton.evaluate.molecule_score import headline
from fewphoton.io.metrics import write_table
from fewphoton.io.provenance import Provenance, file_digest, record_digest
from fewphoton.io.recovery_log import RecoveryLog
from fewphoton.stages.contract import Context, path_field
from fewphoton.stages.recovery_methods import recover
from fewphoton.stages.recovery_scores import score_solutions
from fewphoton.stages.true_molecule import true_molecule

Config = StudyRecoveriesConfig

_AT_ONCE_S = 1e-9


@dataclass(frozen=True)
class Inputs:
    """Nothing but the structures that the configuration may name is read."""


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    table: Path = path_field(
        "scores, a row for each recovery (CSV); finished ones are kept beside it until all are done (.partial.*.jsonl)"
    )


def run(inputs: Inputs, outputs: Outputs, config: StudyRecoveriesConfig, context: Context) -> None:
    """Recover and score; what an interrupted run finished is not done again.

    Raises
    ------
    ConfigError
        If a molecule is a file that has not been fetched.
    DataError
        If a molecule has a single atom or no whole atoms, does not fit on the grid, or finds no room.
    """
    recoveries = batch_recoveries(config)
    identity = config.model_dump(mode="json", exclude={"tasks", "batch"}) | _digests(config)
    with world(context.expected_ranks) as ranks:
        mine = recoveries[ranks.rank :: ranks.size]
        log = RecoveryLog(outputs.table, identity, ranks.rank)
        done = log.read()
        wanting = [recovery for recovery in mine if recovery.number not in done]
        if len(wanting) < len(mine):
            context.say(f"study-recoveries: {len(mine) - len(wanting)} of {len(mine)} recoveries were done before")
        warm: set[str] = set()
        for recovery in context.track(wanting, f"recoveries of rank {ranks.rank}", "recovery", len(wanting)):
            record = _record(recovery, config, context, warm)
            log.append(recovery.number, record | {"provenance_sha256": _provenance_digest(record, recovery, config)})
            if context.progress:
                context.say(_line(record))
        every = _of_all_ranks([log.read()[recovery.number] for recovery in mine], mine, ranks)
        if ranks.rank == 0:
            write_table(outputs.table, every)
            log.remove()


def _digests(config: StudyRecoveriesConfig) -> dict[str, Any]:
    missing = [name for name, molecule in config.molecules.items() if molecule.structure is None]
    if missing:
        raise ConfigError(f"molecules.{missing[0]}: the stage needs `structure`, the file that was fetched")
    return {"digests": {name: file_digest(str(molecule.structure)) for name, molecule in config.molecules.items()}}


def _provenance_digest(record: dict[str, Any], recovery: StudyRecovery, config: StudyRecoveriesConfig) -> str:
    """Return the digest of what decides a row: shot, seeds, method and code, not what else the study does."""
    parameters: dict[str, Any] = {
        "cell": asdict(recovery.cell),
        "shot": config.shot.model_dump(mode="json"),
        "method": config.methods[recovery.method].model_dump(mode="json", exclude={"only", "examples"}),
        "score": config.score.model_dump(mode="json"),
        "time_budget_s": config.time_budget_s,
        **{name: value for name, value in record.items() if name.endswith("_seed")},
    }
    digests = {}
    if recovery.cell.molecule != RANDOM:
        molecule = config.molecules[recovery.cell.molecule]
        parameters["chains"] = molecule.chains
        digests = {f"structure:{recovery.cell.molecule}": file_digest(str(molecule.structure))}
    return record_digest(Provenance("study-recoveries", parameters, digests).record())


def _of_all_ranks(
    records: list[dict[str, Any]], recoveries: list[StudyRecovery], ranks: Communicator
) -> list[dict[str, Any]]:
    """Return the records of all ranks in the order of their recoveries, on every rank."""
    own = [(recovery.number, record) for recovery, record in zip(recoveries, records, strict=True)]
    texts = ranks.gather(np.frombuffer(json.dumps(own).encode(), dtype=np.uint8))
    every = [item for text in texts for item in json.loads(text.tobytes())]
    return [record for _, record in sorted(every, key=lambda item: int(item[0]))]


def _record(recovery: StudyRecovery, config: StudyRecoveriesConfig, context: Context, warm: set[str]) -> dict[str, Any]:
    """Return the row of a recovery; ``warm`` names the methods whose kernels are compiled."""
    method = config.methods[recovery.method]
    molecule_seed, orientation_seed, noise_seed = _seeds(config.seed, recovery.example)
    (method_seed,) = np.random.SeedSequence([config.seed, recovery.example, method.seed]).generate_state(1).tolist()
    exposure = _exposure(recovery, config, molecule_seed, orientation_seed, noise_seed)
    truth, _ = true_molecule(exposure)
    shot = SimulatedShot.of(truth, exposure).shot
    record: dict[str, Any] = asdict(recovery.cell) | {
        "n_atoms": len(truth),
        "composition": " ".join(f"{name}{count}" for name, count in shot.composition.items()),
        "example": recovery.example,
        "method": recovery.method,
        "molecule_seed": molecule_seed if recovery.cell.molecule == RANDOM else None,
        "orientation_seed": exposure.orientation_seed,
        "noise_seed": noise_seed,
        "method_seed": method_seed,
        "time_budget_s": config.time_budget_s,
    }

    def search(time_budget_s: float | None) -> list[RecoveredMolecule]:
        return recover(shot, method.recovery(time_budget_s, method_seed), _silent, threads=context.threads)

    failure, solutions = "", []
    begin, begin_cpu = time.perf_counter(), time.process_time()
    try:
        if recovery.method not in warm:
            # Compiling kernels, or loading them, must not count as time to the solution.
            search(_AT_ONCE_S)
            warm.add(recovery.method)
            begin, begin_cpu = time.perf_counter(), time.process_time()
        solutions = search(config.time_budget_s)
    except FewphotonError as error:
        failure = f"{type(error).__name__}: {error}"
    record |= {"seconds": time.perf_counter() - begin, "cpu_seconds": time.process_time() - begin_cpu}
    return record | {"failure": failure} | _scores(truth, solutions, shot, config, context.say)


def _scores(
    truth: Molecule,
    solutions: list[RecoveredMolecule],
    shot: Shot,
    config: StudyRecoveriesConfig,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Return the scores of the solution that the method ranks first; without any, nothing overlaps the truth."""
    if not solutions:
        return {"solved": False, "error": 1.0, "n_matched": 0, "n_heavy_matched": 0, "n_solutions": 0}
    score = config.score
    if config.shot.grid is not None and score.grid_spacing_angstrom is None:
        score = score.model_copy(update={"grid_spacing_angstrom": config.shot.grid.spacing_angstrom})
    records, _ = score_solutions(truth, solutions, shot, score, say)
    return {name: value for name, value in headline(records).items() if name not in ("rank", "n_atoms")}


def _seeds(seed: int, example: int) -> tuple[int, int, int]:
    """Return the seeds of molecule, orientation and noise of an example."""
    molecule, orientation, noise = np.random.SeedSequence([seed, example]).generate_state(3).tolist()
    return molecule, orientation, noise


def _exposure(
    recovery: StudyRecovery, config: StudyRecoveriesConfig, molecule_seed: int, orientation_seed: int, noise_seed: int
) -> SimulateShotConfig:
    """Return the parameters of the shot of a recovery."""
    cell, shot = recovery.cell, config.shot
    given: dict[str, Any] = {
        "wavelength_angstrom": cell.wavelength_angstrom,
        "n_detectors": shot.n_detectors,
        "largest_angle_deg": shot.largest_angle_deg,
        "beam_stop_deg": shot.beam_stop_deg,
        "grid": shot.grid,
        "atom_model": cell.atom_model,
        "white_level": cell.noise_level,
        "photons_per_shot": cell.photons_per_shot,
        "seed": noise_seed,
    }
    if cell.molecule != RANDOM:
        molecule = config.molecules[cell.molecule]
        given |= {"structure": molecule.structure, "chains": molecule.chains, "orientation_seed": orientation_seed}
        return SimulateShotConfig(**given)
    drawn = RandomMoleculeConfig(
        n_atoms=cell.n_atoms,
        shortest_distance_angstrom=shot.shortest_distance_angstrom,
        volume_per_atom_angstrom3=shot.volume_per_atom_angstrom3,
        seed=molecule_seed,
    )
    return SimulateShotConfig(**given, random=drawn)


def _silent(line: str) -> None:
    """Take a method's own line of progress; a study tells one line a recovery."""


def _line(record: dict[str, Any]) -> str:
    noise = f"N = {record['noise_level']:g}" if record["noise_level"] else f"{record['photons_per_shot']:g} photons"
    found = record["failure"] or (
        f"{'solved' if record['solved'] else 'not solved'}, {record['n_matched']} atoms, error {record['error']:.3f}"
    )
    return (
        f"{record['method']}: {record['molecule']} of {record['n_atoms']} atoms, {record['wavelength_angstrom']:g} Å, "
        f"{noise}, example {record['example']}: {found} after {record['seconds']:.1f} s"
    )
