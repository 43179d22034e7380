"""The small crystal again, with a fluence and a background that differ from frame to frame."""

from __future__ import annotations

from functools import cache

from fewphoton.data import Orientations, PhotonFrames
from fewphoton.emc.communicator import Serial
from fewphoton.emc.pixels import PixelRows
from fewphoton.emc.problem import Problem
from fewphoton.simulate.rotation_experiment import RotationExperiment, exposures
from tests.emc.conftest import SIMULATION, VOXELS_PER_CELL, structure

VARIED = SIMULATION.model_copy(
    update={"photons_per_frame": 300, "background_fraction": 0.5, "fluence_spread": 0.6, "background_spread": 0.5}
)


@cache
def varied_experiment() -> RotationExperiment:
    return RotationExperiment.build(VARIED, structure())


@cache
def varied_photons() -> PhotonFrames:
    return PhotonFrames.concatenate([frames for frames, _ in exposures(varied_experiment(), VARIED)])


@cache
def varied_problem(axis_margin_pixels: float = 2.0) -> tuple[Problem, Orientations]:
    experiment = varied_experiment()
    rows = PixelRows.select(
        experiment.detector,
        experiment.beam,
        experiment.crystal,
        experiment.rotation_axis,
        voxels_per_cell=VOXELS_PER_CELL,
        n_voxels=None,
        axis_margin_pixels=axis_margin_pixels,
        q_max_inv_angstrom=0.55,
        corrections=True,
    )
    orientations = Orientations.about_axis(experiment.rotation_axis, 160)
    return Problem.build([varied_photons()], rows, experiment.crystal, orientations, 128, Serial()), orientations
