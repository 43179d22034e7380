"""score-molecule: recovered molecules against the true one.

The headline is the solution that the method ranks first; the truth chooses none. Nothing of it reaches a recovery.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fewphoton.config.score_molecule import ScoreMoleculeConfig
from fewphoton.evaluate.molecule_score import headline
from fewphoton.io.metrics import write_metrics, write_table
from fewphoton.io.molecule_files import write_xyz
from fewphoton.io.shot_files import read_shot_file
from fewphoton.stages.contract import Context, path_field
from fewphoton.stages.recovered_solutions import is_shot_file, read_solutions, read_truth
from fewphoton.stages.recovery_scores import score_solutions

Config = ScoreMoleculeConfig


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    truth: Path = path_field("true molecule: a simulated shot (HDF5), XYZ, PDB or mmCIF")
    recovered: Path = path_field("recovered molecules (JSON), or one molecule (XYZ, PDB, mmCIF)")
    shot: Path | None = path_field(
        "shot of the molecule, for the Cramér-Rao bound (HDF5); not needed where the truth is one", optional=True
    )


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    metrics: Path = path_field("metrics of the solution ranked first (JSON)")
    molecule: Path | None = path_field("that solution laid upon the truth (XYZ)", optional=True)
    solutions: Path | None = path_field("metrics of every solution (CSV)", optional=True)


def run(inputs: Inputs, outputs: Outputs, config: ScoreMoleculeConfig, context: Context) -> None:
    """Score the solutions.

    Raises
    ------
    DataError
        If a molecule has no atom of occupancy above 0.
    """
    truth = read_truth(inputs.truth)
    path = inputs.shot or (inputs.truth if is_shot_file(inputs.truth) else None)
    shot = None if path is None else read_shot_file(path)
    records, matches = score_solutions(truth, read_solutions(inputs.recovered), shot, config, context.say)
    write_metrics(outputs.metrics, {name: value for name, value in headline(records).items() if name != "rank"})
    if outputs.solutions is not None:
        write_table(outputs.solutions, records)
    if outputs.molecule is not None:
        best = records[0]
        words = f"laid upon the truth ({best['hand']}), error {best['error']:.6g}"
        write_xyz(outputs.molecule, matches[0].aligned, words)
