"""A crystal small enough to reconstruct in a second, seen in 400 frames of 60 photons."""

from __future__ import annotations

import numpy as np
import pytest

from fewphoton.config import ReconstructConfig, SimulateRotationConfig
from fewphoton.data import AtomicStructure, Orientations, PhotonFrames
from fewphoton.emc.communicator import Serial
from fewphoton.emc.pixels import PixelRows
from fewphoton.emc.problem import Problem
from fewphoton.simulate.rotation_experiment import RotationExperiment, exposures

VOXELS_PER_CELL = 4
SIMULATION = SimulateRotationConfig(
    structure="unused.cif",
    detector={"tiles": (1, 1), "tile_pixels": 48, "pixel_size_m": 8e-4, "distance_m": 0.037, "gap_pixels": 0},
    n_batches=1,
    frames_per_batch=400,
    rotation_per_frame_deg=0.9,
    photons_per_frame=60,
    size_broadening_inv_angstrom=0.012,
    readout=None,
    seed=5,
)
CONFIG = ReconstructConfig(
    grid={"voxels_per_cell": VOXELS_PER_CELL},
    axis_margin_pixels=2,
    start_width_voxels=1,
    max_iterations=12,
    tolerance=0,
    q_max_inv_angstrom=0.55,
)


def structure() -> AtomicStructure:
    """Three atoms in P 21 21 21, far from any higher symmetry."""
    return AtomicStructure(
        (9.1, 10.3, 11.9, 90, 90, 90),
        "P 21 21 21",
        ("S", "O", "N"),
        np.array([[0.11, 0.23, 0.37], [0.31, 0.05, 0.17], [0.44, 0.39, 0.08]]),
        np.ones(3),
        np.full(3, 2.0),
    )


@pytest.fixture(scope="package")
def experiment() -> RotationExperiment:
    return RotationExperiment.build(SIMULATION, structure())


@pytest.fixture(scope="package")
def photons(experiment) -> PhotonFrames:
    return PhotonFrames.concatenate([frames for frames, _ in exposures(experiment, SIMULATION)])


@pytest.fixture(scope="package")
def rows(experiment) -> PixelRows:
    return PixelRows.select(
        experiment.detector,
        experiment.beam,
        experiment.crystal,
        experiment.rotation_axis,
        voxels_per_cell=VOXELS_PER_CELL,
        n_voxels=None,
        axis_margin_pixels=2,
        q_max_inv_angstrom=0.55,
        corrections=True,
    )


@pytest.fixture(scope="package")
def orientations(experiment) -> Orientations:
    return Orientations.about_axis(experiment.rotation_axis, 160)


@pytest.fixture(scope="package")
def problem(experiment, photons, rows, orientations) -> Problem:
    return Problem.build([photons], rows, experiment.crystal, orientations, 128, Serial())
