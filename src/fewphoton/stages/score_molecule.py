"""score-molecule: recovered molecules against the true one.

The headline is the solution that the method ranks first; the truth chooses none. Nothing of it reaches a recovery.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fewphoton.ankylography.fisher_information import CramerRaoBound, fisher_information
from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.config.score_molecule import ScoreMoleculeConfig
from fewphoton.data import Molecule
from fewphoton.data.recovered_molecule import RecoveredMolecule
from fewphoton.errors import DataError
from fewphoton.evaluate.molecule_match import match_molecules
from fewphoton.evaluate.molecule_score import headline, score
from fewphoton.io.metrics import write_metrics, write_table
from fewphoton.io.molecule_files import write_xyz
from fewphoton.io.shot_files import read_shot_file
from fewphoton.stages.contract import Context, path_field
from fewphoton.stages.recovered_solutions import is_shot_file, molecule_of, read_solutions, read_truth

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
    bound = _bound(inputs, truth, config, context)
    solutions = read_solutions(inputs.recovered)
    matches = [match_molecules(truth, molecule_of(solution), config.match_angstrom) for solution in solutions]
    records = []
    for number, (solution, match) in enumerate(zip(solutions, matches, strict=True)):
        known = solution if isinstance(solution, RecoveredMolecule) else None
        records.append(
            {"rank": number + 1, "reduced_chi2": None if known is None else known.reduced_chi2}
            | score(
                match,
                close_angstrom=config.close_angstrom,
                grid_spacing_angstrom=config.grid_spacing_angstrom,
                bound_angstrom=bound,
                standard_error_angstrom=None if known is None else known.standard_error_angstrom,
            )
        )
    write_metrics(outputs.metrics, {name: value for name, value in headline(records).items() if name != "rank"})
    if outputs.solutions is not None:
        write_table(outputs.solutions, records)
    if outputs.molecule is not None:
        best = records[0]
        words = f"laid upon the truth ({best['hand']}), error {best['error']:.6g}"
        write_xyz(outputs.molecule, matches[0].aligned, words)


def _bound(
    inputs: Inputs, truth: Molecule, config: ScoreMoleculeConfig, context: Context
) -> NDArray[np.float64] | None:
    """Return the smallest standard errors of the true positions, `(n_atoms, 3)`; None where no shot bounds them."""
    path = inputs.shot or (inputs.truth if is_shot_file(inputs.truth) else None)
    if path is None:
        return None
    shot = read_shot_file(path)
    if shot.white_sigma_electron2 == 0 and shot.photons_per_electron2 is None:
        return None
    model = ForwardModel.build(shot.q_inv_angstrom, tuple(dict.fromkeys(truth.element)), shot.atom_model)
    kind = model.kinds(truth.element)
    variance = shot.variance(model.intensity(truth.position_angstrom, kind, truth.occupancy))
    try:
        information = fisher_information(
            model, variance, truth.position_angstrom, kind, truth.occupancy, amplitudes=config.free_amplitudes
        )
        return CramerRaoBound.of(information, len(truth)).standard_error_angstrom
    except DataError as error:
        context.say(f"no Cramér-Rao bound: {error}")
        return None
