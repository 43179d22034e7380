"""The box that stands for a unit cell where the sample is a single particle."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fewphoton.errors import GeometryError
from fewphoton.io.volumes import VolumeFile


def box_edge_angstrom(found: VolumeFile, path: Path) -> float:
    """Return the edge of the box whose inverse is the distance of the volume's voxels.

    Raises
    ------
    GeometryError
        If the volume belongs to a crystal: a cell that is no cube, a space group other than P 1, or turned axes.
    """
    cell, crystal = found.crystal.cell, found.crystal
    cubic = np.allclose(cell, (*(cell[0],) * 3, 90.0, 90.0, 90.0), rtol=1e-6)
    upright = np.allclose(crystal.u_matrix, np.eye(3), atol=1e-6)
    if not cubic or not upright or crystal.space_group.replace(" ", "") != "P1":
        raise GeometryError(
            f"{path}: belongs to a crystal (space group {crystal.space_group}, cell {cell}); the volume of a single "
            "particle has a cubic box of space group P 1 along the axes, as simulate-particles describes it"
        )
    return float(cell[0] * found.volume.voxels_per_cell)
