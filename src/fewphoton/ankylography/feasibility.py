"""Whether a shot can tell the positions of its atoms at all, told from stoichiometry and noise before any search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fewphoton.ankylography.fisher_information import standard_errors
from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.ankylography.misfit_weights import wilson_intensity
from fewphoton.data.random_molecule import random_molecule
from fewphoton.data.shot import Shot
from fewphoton.errors import DataError

HOPELESS_ERROR_ANGSTROM = 0.5
"""Half the distance at which atoms are told apart."""


@dataclass(frozen=True)
class Feasibility:
    """A verdict.

    Parameters
    ----------
    n_measurements : int
        Detectors.
    n_unknowns : int
        Coordinates without a common shift.
    n_usable : int
        Detectors whose expected intensity exceeds one standard deviation of its noise.
    median_standard_error_angstrom : float
        Expected standard error of a coordinate at best; infinite where the shot does not fix all of them.
    hopeless : bool
        No search can succeed.
    reason : str
        The verdict in words.
    """

    n_measurements: int
    n_unknowns: int
    n_usable: int
    median_standard_error_angstrom: float
    hopeless: bool
    reason: str


def predict_feasibility(shot: Shot, seed: int = 1, n_molecules: int = 5) -> Feasibility:
    """Tell whether a shot can fix the positions of its atoms.

    The intensities are not looked at. The expected intensity is the sum over atoms of f² (Wilson 1942, Nature 150, 152,
    doi:10.1038/150152a0), and the expected errors are medians of the Cramér-Rao bounds of random compact molecules of
    the same composition.

    Parameters
    ----------
    shot : Shot
        Directions, noise and composition.
    seed : int
        Seed of the random molecules.
    n_molecules : int
        Random molecules.

    Raises
    ------
    DataError
        If an element has no form factor, or there is a single atom.
    """
    model = ForwardModel.of(shot)
    n_unknowns = 3 * (shot.n_atoms - 1)
    if n_unknowns == 0:
        raise DataError("a single atom has no positions to tell: the shot does not change where it shifts")
    expected = wilson_intensity(shot, model)
    usable = int((expected > np.sqrt(shot.variance(expected))).sum())
    if len(shot) < n_unknowns:
        reason = f"{len(shot)} detectors cannot fix {n_unknowns} coordinates"
        return Feasibility(len(shot), n_unknowns, usable, np.inf, True, reason)
    if not shot.variance(expected).any():
        return Feasibility(len(shot), n_unknowns, usable, 0.0, False, "there is no noise")
    error = _expected_error(shot, model, np.random.default_rng(seed), n_molecules)
    hopeless = error > HOPELESS_ERROR_ANGSTROM
    if np.isinf(error):
        reason = f"the directions of {len(shot)} detectors do not fix {n_unknowns} coordinates"
    else:
        reason = (
            f"{usable} of {len(shot)} detectors expect more than their noise for {n_unknowns} coordinates; the "
            f"standard error of a coordinate is {error:.3g} angstrom at best, "
            f"{'more' if hopeless else 'less'} than {HOPELESS_ERROR_ANGSTROM:g}"
        )
    return Feasibility(len(shot), n_unknowns, usable, error, hopeless, reason)


def _expected_error(shot: Shot, model: ForwardModel, rng: np.random.Generator, n_molecules: int) -> float:
    errors = []
    for _ in range(n_molecules):
        molecule = random_molecule(shot.composition, rng)
        position, kind = molecule.position_angstrom, model.kinds(molecule.element)
        variance = shot.variance(model.intensity(position, kind))
        try:
            errors.append(standard_errors(model, variance, position, kind))
        except DataError:
            errors.append(np.full((len(molecule), 3), np.inf))
    return float(np.median(errors))
