"""recover-molecule: the atoms of a molecule from one shot. A truth in the shot's file is not looked at."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from fewphoton.ankylography.composition_check import doubt_composition
from fewphoton.ankylography.feasibility import predict_feasibility
from fewphoton.ankylography.search_state import SearchState
from fewphoton.ankylography.solutions import distinct_molecules
from fewphoton.config.recover_molecule import RecoverMoleculeConfig
from fewphoton.data import Shot
from fewphoton.data.recovered_molecule import RecoveredMolecule
from fewphoton.emc.communicator import Communicator, world
from fewphoton.io.metrics import write_metrics
from fewphoton.io.provenance import Provenance, file_digest
from fewphoton.io.recovered_files import write_best_molecule, write_recovered_file
from fewphoton.io.search_checkpoint import SearchCheckpointFile
from fewphoton.io.shot_files import read_shot_file
from fewphoton.stages.contract import Context, input_files, path_field
from fewphoton.stages.recovery_methods import recover

Config = RecoverMoleculeConfig


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    shot: Path = path_field("intensities on the Ewald sphere, with the composition (HDF5)")


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    recovered: Path = path_field("distinct solutions, best first, with misfits and standard errors (JSON)")
    molecule: Path = path_field("the best solution for viewers (XYZ)")
    model: Path = path_field("the best solution with its standard errors as B and ANISOU (PDB)")
    metrics: Path | None = path_field("numbers of the run (JSON)", optional=True)
    checkpoint: Path | None = path_field(
        "where a search is kept, and taken up again after an interruption (HDF5; removed at the end; the rank is added "
        "to its name where there are several)",
        optional=True,
    )


class _CheckpointMemory:
    """Keeps the state of a search in a file."""

    def __init__(self, file: SearchCheckpointFile) -> None:
        self.file = file

    def recall(self) -> SearchState | None:
        parts = self.file.read()
        return None if parts is None else SearchState(**parts)

    def keep(self, state: SearchState) -> None:
        self.file.write(asdict(state))


def run(inputs: Inputs, outputs: Outputs, config: RecoverMoleculeConfig, context: Context) -> None:
    """Recover.

    Raises
    ------
    ConfigError
        If the box or the grid cannot hold the atoms, or a package that the method needs is not installed.
    DataError
        If there are fewer detectors than unknown coordinates.
    """
    shot = read_shot_file(inputs.shot)
    content = config.model_dump(mode="json")
    with world(context.expected_ranks) as ranks:
        if ranks.rank == 0:
            feasibility = predict_feasibility(shot)
            if feasibility.hopeless:
                context.say(f"recover-molecule: there is little hope of success: {feasibility.reason}")
            doubt = doubt_composition(shot)
            if doubt is not None:
                context.say(f"recover-molecule: the composition is doubtful: {doubt}")
        memory = None
        if outputs.checkpoint is not None and config.method == "fewphoton":
            path = outputs.checkpoint
            if ranks.size > 1:
                path = path.with_name(f"{path.stem}_{ranks.rank}{path.suffix}")
            told = {key: value for key, value in content.items() if key not in ("time_budget_s", "tasks")}
            identity = {"config": told, "shot": file_digest(inputs.shot), "rank": ranks.rank}
            memory = _CheckpointMemory(SearchCheckpointFile(path, identity, config.fewphoton.replicas, shot.n_atoms))
        begin = time.perf_counter()

        def say(line: str) -> None:
            prefix = f"rank {ranks.rank}: " if ranks.size > 1 else ""
            context.say(f"{prefix}{time.perf_counter() - begin:7.1f} s  {line}")

        def largest(value: float) -> float:
            values = np.array([value], dtype=np.float64)
            ranks.maximum(values)
            return float(values[0])

        found = recover(
            shot,
            config,
            say if context.progress else lambda line: None,
            threads=context.threads,
            largest=largest,
            rank=ranks.rank,
            memory=memory,
        )
        seconds = time.perf_counter() - begin
        solutions = _of_all_ranks(found, shot, ranks)
        if ranks.rank == 0:
            provenance = Provenance.of("recover-molecule", content, input_files(inputs), ("recovered",))
            write_recovered_file(outputs.recovered, solutions, provenance)
            write_best_molecule(outputs.molecule, outputs.model, solutions)
            if outputs.metrics is not None:
                best = solutions[0]
                errors = best.standard_error_angstrom
                record = {
                    "method": config.method,
                    "seconds": seconds,
                    "n_solutions": len(solutions),
                    "reduced_chi2": best.reduced_chi2,
                    "standard_error_median_angstrom": None if errors is None else float(np.median(errors)),
                }
                write_metrics(outputs.metrics, record)
        # No rank gives its search away before the results are written.
        largest(0.0)
        if memory is not None:
            memory.file.remove()


def _of_all_ranks(found: list[RecoveredMolecule], shot: Shot, ranks: Communicator) -> list[RecoveredMolecule]:
    """Return the distinct solutions of all ranks, best first."""
    if ranks.size == 1:
        return found
    lists = ranks.gather(np.array([*found, None], dtype=object)[:-1])
    return distinct_molecules([molecule for one in lists for molecule in one], shot)
