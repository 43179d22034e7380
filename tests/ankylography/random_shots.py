"""Shots of small random molecules."""

from __future__ import annotations

from typing import Any

import numpy as np

from fewphoton.ankylography.simulated_shot import SimulatedShot
from fewphoton.config.simulate_shot import SimulateShotConfig
from fewphoton.config.tempering import TemperingConfig
from fewphoton.data import Molecule, PositionGrid, Shot
from fewphoton.data.random_molecule import random_molecule

GRID = {"spacing_angstrom": 0.9, "shape": (5, 5, 5)}


def random_shot(composition: dict[str, int], seed: int, **options: Any) -> tuple[Shot, Molecule]:
    """Half of the Ewald sphere with white noise of level 1e-4 unless ``options`` say otherwise, and the truth."""
    molecule = random_molecule(composition, np.random.default_rng(seed))
    return exposed(molecule, **options), molecule


def grid_shot(composition: dict[str, int], seed: int, **options: Any) -> tuple[Shot, Molecule]:
    """The same of atoms on random sites inside of ``GRID``."""
    names = tuple(name for name, count in composition.items() for _ in range(count))
    grid = PositionGrid(GRID["spacing_angstrom"], (4, 4, 4))
    site = np.random.default_rng(seed).choice(64, len(names), replace=False)
    molecule = Molecule(names, grid.positions(site), np.ones(len(names)), np.zeros(len(names)))
    return exposed(molecule, **options), molecule


def exposed(molecule: Molecule, **options: Any) -> Shot:
    config = {
        "structure": "unused.xyz",
        "wavelength_angstrom": 0.8,
        "n_detectors": 300,
        "largest_angle_deg": 90,
        "white_level": 1e-4,
    }
    return SimulatedShot.of(molecule, SimulateShotConfig(**config | options)).shot


def small_search(**options: Any) -> TemperingConfig:
    """A search of a second for five atoms."""
    config = {
        "box_angstrom": (4.0, 4.0, 4.0),
        "replicas": 5,
        "hottest": 0.5,
        "coldest": 0.01,
        "detectors": 80,
        "closest_angstrom": 0.8,
        "polish_every": 5,
        "max_sweeps": 200,
    }
    return TemperingConfig(**config | options)
