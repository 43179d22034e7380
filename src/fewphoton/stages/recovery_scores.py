"""Scores of the solutions of a recovery against the truth, with the Cramér-Rao bound of their shot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.ankylography.fisher_information import standard_errors
from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.config.score_molecule import ScoreMoleculeConfig
from fewphoton.data import Molecule, Shot
from fewphoton.data.recovered_molecule import RecoveredMolecule
from fewphoton.errors import DataError
from fewphoton.evaluate.molecule_match import MoleculeMatch, match_molecules
from fewphoton.evaluate.molecule_score import score
from fewphoton.stages.recovered_solutions import molecule_of


def score_solutions(
    truth: Molecule,
    solutions: Sequence[RecoveredMolecule | Molecule],
    shot: Shot | None,
    config: ScoreMoleculeConfig,
    say: Callable[[str], None],
) -> tuple[list[dict[str, Any]], list[MoleculeMatch]]:
    """Return the scores of each solution, in the order of the method, and each solution laid upon the truth.

    Parameters
    ----------
    truth : Molecule
        True atoms.
    solutions : sequence of RecoveredMolecule or Molecule
        What a method returned, best first.
    shot : Shot, optional
        What it had; its noise bounds the errors.
    config : ScoreMoleculeConfig
        Tolerances.
    say : callable
        Told where a shot has no bound.

    Raises
    ------
    DataError
        If a molecule has no atom of occupancy above 0.
    """
    bound = None if shot is None else _bound(shot, truth, config, say)
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
    return records, matches


def _bound(
    shot: Shot, truth: Molecule, config: ScoreMoleculeConfig, say: Callable[[str], None]
) -> NDArray[np.float64] | None:
    """Return the smallest standard errors of the true positions, `(n_atoms, 3)`; None where the shot bounds none."""
    if shot.white_sigma_electron2 == 0 and shot.photons_per_electron2 is None:
        return None
    model = ForwardModel.build(shot.q_inv_angstrom, tuple(dict.fromkeys(truth.element)), shot.atom_model)
    kind = model.kinds(truth.element)
    variance = shot.variance(model.intensity(truth.position_angstrom, kind, truth.occupancy))
    try:
        return standard_errors(
            model, variance, truth.position_angstrom, kind, truth.occupancy, amplitudes=config.free_amplitudes
        )
    except DataError as error:
        say(f"no Cramér-Rao bound: {error}")
        return None
