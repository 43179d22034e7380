"""The molecule that a simulated shot shows: read or drawn, turned, centred, and put on a grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from fewphoton.config.simulate_shot import SimulateShotConfig
from fewphoton.data import Molecule, PositionGrid
from fewphoton.data.random_molecule import organic_composition, random_molecule
from fewphoton.io.molecule_files import read_molecule
from fewphoton.simulate.grid_snapping import snapped


def true_molecule(config: SimulateShotConfig) -> tuple[Molecule, float]:
    """Return the molecule as it stands in the beam, and the rms shift of its atoms to the grid in angstrom.

    Raises
    ------
    DataError
        If the molecule does not fit on the grid, or random atoms find no room.
    InputFileError
        If the structure cannot be read.
    """
    molecule = _molecule(config)
    if config.orientation_seed is not None:
        turn = Rotation.random(None, np.random.default_rng(config.orientation_seed)).as_matrix()
        molecule = replace(molecule, position_angstrom=molecule.position_angstrom @ turn.T)
    molecule = molecule.centred()
    if config.grid is None:
        return molecule, 0.0
    return snapped(molecule, PositionGrid(config.grid.spacing_angstrom, config.grid.shape))


def _molecule(config: SimulateShotConfig) -> Molecule:
    if config.structure is not None:
        return read_molecule(config.structure, config.chains)
    assert config.random is not None  # the configuration has one of the two
    asked = config.random
    composition = asked.composition
    if composition is None:
        assert asked.n_atoms is not None
        composition = organic_composition(asked.n_atoms)
    rng = np.random.default_rng(asked.seed)
    return random_molecule(composition, rng, asked.shortest_distance_angstrom, asked.volume_per_atom_angstrom3)
