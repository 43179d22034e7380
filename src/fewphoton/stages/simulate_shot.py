"""simulate-shot: one noisy diffraction pattern of one molecule on the Ewald sphere, with its truth kept apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fewphoton.ankylography.feasibility import predict_feasibility
from fewphoton.ankylography.fisher_information import standard_errors
from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.ankylography.simulated_shot import SimulatedShot
from fewphoton.config.simulate_shot import SimulateShotConfig
from fewphoton.data import Molecule
from fewphoton.errors import DataError
from fewphoton.io.metrics import write_metrics
from fewphoton.io.molecule_files import write_xyz
from fewphoton.io.provenance import Provenance, file_digest
from fewphoton.io.shot_files import write_shot_file
from fewphoton.stages.contract import Context, path_field
from fewphoton.stages.true_molecule import true_molecule

Config = SimulateShotConfig


@dataclass(frozen=True)
class Inputs:
    """Nothing but the structure that the configuration may name is read."""


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    shot: Path = path_field("the shot, without any trace of where the atoms are (HDF5)")
    truth: Path | None = path_field("the same shot together with the true molecule, for scores (HDF5)", optional=True)
    molecule: Path | None = path_field("the true molecule for viewers (XYZ)", optional=True)
    metrics: Path | None = path_field("numbers of the run (JSON)", optional=True)


def run(inputs: Inputs, outputs: Outputs, config: SimulateShotConfig, context: Context) -> None:
    """Simulate.

    Raises
    ------
    DataError
        If the molecule has a single atom or no whole atoms, does not fit on the grid, or finds no room.
    """
    molecule, shift = true_molecule(config)
    simulated = SimulatedShot.of(molecule, config)
    feasibility = predict_feasibility(simulated.shot)
    if feasibility.hopeless:
        context.say(f"simulate-shot: nothing can be recovered from this shot: {feasibility.reason}")

    content = config.model_dump(mode="json")
    digests = {}
    if config.structure is not None:
        content["structure"] = config.structure.name
        digests[f"structure:{config.structure.name}"] = file_digest(config.structure)
    provenance = Provenance("simulate-shot", content, digests, ("simulated",))
    # The name of a structure, or the seed of a random molecule, would give the atoms away.
    hidden = ("structure", "chains", "random", "orientation_seed")
    told = {key: value for key, value in content.items() if key not in hidden}
    write_shot_file(outputs.shot, simulated.shot, Provenance("simulate-shot", told, {}, ("simulated",)))
    if outputs.truth is not None:
        write_shot_file(outputs.truth, simulated.shot, provenance, molecule)
    if outputs.molecule is not None:
        write_xyz(outputs.molecule, molecule, "true molecule of a simulated shot")
    if outputs.metrics is not None:
        record = {
            "n_atoms": len(molecule),
            "diameter_angstrom": molecule.diameter_angstrom,
            "rms_shift_to_grid_angstrom": shift,
            "n_detectors": config.n_detectors,
            "usable_detectors": len(simulated.shot),
            "detectors_above_noise": feasibility.n_usable,
            "power_electron4": simulated.power_electron4,
            "white_sigma_electron2": simulated.shot.white_sigma_electron2,
            "photons_per_electron2": simulated.shot.photons_per_electron2,
            "expected_photons": simulated.expected_photons,
            "hopeless": feasibility.hopeless,
        }
        write_metrics(outputs.metrics, record | _bound(simulated, molecule))


def _bound(simulated: SimulatedShot, molecule: Molecule) -> dict[str, Any]:
    """Return medians of the Cramér-Rao bounds at the truth; None where the shot does not fix all positions."""
    model = ForwardModel.of(simulated.shot)
    variance = simulated.shot.variance(simulated.true_intensity_electron2)
    names = [f"standard_error_{axis}_median_angstrom" for axis in "xyz"]
    try:
        error = standard_errors(model, variance, molecule.position_angstrom, model.kinds(molecule.element))
    except DataError:
        return dict.fromkeys(["standard_error_median_angstrom", *names])
    medians = dict(zip(names, np.median(error, axis=0).tolist(), strict=True))
    return {"standard_error_median_angstrom": float(np.median(error))} | medians
