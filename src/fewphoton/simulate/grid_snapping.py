"""Moving the atoms of a molecule to sites of a grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

from fewphoton.data import Molecule, PositionGrid
from fewphoton.errors import DataError


def snapped(molecule: Molecule, grid: PositionGrid) -> tuple[Molecule, float]:
    """Return a molecule whose atoms sit on sites, no two on the same, and the root mean square shift in angstrom.

    The sum of squared shifts is the smallest possible (an assignment problem; Crouse 2016, IEEE Trans. Aerosp.
    Electron. Syst. 52, 1679, doi:10.1109/TAES.2016.140952).

    Raises
    ------
    DataError
        If an atom lies outside the grid, or there are more atoms than sites.
    """
    position = molecule.position_angstrom
    n_atoms = len(molecule)
    grid.nearest_site(position)  # refuses atoms outside
    if n_atoms > grid.n_sites:
        raise DataError(f"{n_atoms} atoms find no room on {grid.n_sites} sites")
    sites = grid.positions()
    # The others take at most n - 1 of an atom's n nearest sites, so the best assignment uses no site beyond them.
    _, near = KDTree(sites).query(position, k=range(1, n_atoms + 1))
    candidate = np.unique(near)
    _, column = linear_sum_assignment(cdist(position, sites[candidate], "sqeuclidean"))
    moved = sites[candidate[column]]
    shift2 = ((moved - position) ** 2).sum(axis=1)
    return replace(molecule, position_angstrom=moved), float(np.sqrt(shift2.mean()))
