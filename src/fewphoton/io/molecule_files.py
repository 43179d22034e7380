"""Molecules from PDB and mmCIF files through gemmi."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gemmi
import numpy as np

from fewphoton.data import Molecule
from fewphoton.errors import DataError, InputFileError


def read_molecule(path: Path | str, chains: Sequence[str] = (), *, waters: bool = False) -> Molecule:
    """Read the atoms of the first model of a file, as they stand in it.

    No biological assembly is built. Atoms of several alternative conformations all count, with their occupancies.

    Parameters
    ----------
    path : Path or str
        PDB or mmCIF file; ``.gz`` may follow.
    chains : sequence of str
        Names of the chains to take; none: all.
    waters : bool
        Take water molecules too.

    Raises
    ------
    InputFileError
        If the file cannot be read, holds no such chain or no atoms, or holds unknown elements.
    """
    source = Path(path)
    if not source.is_file():
        raise InputFileError(source, "no such file")
    try:
        structure = gemmi.read_structure(str(source))
    except (RuntimeError, ValueError, IndexError, OSError) as error:
        raise InputFileError(source, f"cannot be read as a molecule: {error}") from error
    if not len(structure):
        raise InputFileError(source, "holds no model", remedy="Give a PDB or mmCIF file with atoms")
    model = structure[0]
    present = list(dict.fromkeys(chain.name for chain in model))
    missing = [name for name in chains if name not in present]
    if missing:
        raise InputFileError(source, f"holds no chain {', '.join(missing)}", found=f"chains {', '.join(present)}")
    atoms = [
        atom
        for chain in model
        if not chains or chain.name in chains
        for residue in chain
        if waters or not residue.is_water()
        for atom in residue
        if atom.occ > 0
    ]
    try:
        return Molecule(
            tuple(atom.element.name for atom in atoms),
            np.array([atom.pos.tolist() for atom in atoms]).reshape(-1, 3),
            np.array([atom.occ for atom in atoms]),
            np.array([atom.b_iso for atom in atoms]),
        )
    except DataError as error:
        raise InputFileError(source, f"holds no usable molecule: {error}") from error
