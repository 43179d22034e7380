"""True and recovered molecules, in whichever of their formats they are given."""

from __future__ import annotations

from pathlib import Path

from fewphoton.data import Molecule
from fewphoton.data.recovered_molecule import RecoveredMolecule
from fewphoton.errors import InputFileError
from fewphoton.io.molecule_files import read_molecule
from fewphoton.io.recovered_files import read_recovered_file
from fewphoton.io.shot_files import read_true_molecule

_HDF5 = (".h5", ".hdf5")


def is_shot_file(path: Path) -> bool:
    """Tell by its suffix whether a file is a shot and no molecule."""
    return path.suffix.lower() in _HDF5


def read_truth(path: Path) -> Molecule:
    """Read the true molecule from a simulated shot (HDF5), or from XYZ, PDB or mmCIF.

    Raises
    ------
    InputFileError
        If the file cannot be used.
    """
    return read_true_molecule(path) if is_shot_file(path) else read_molecule(path, waters=True)


def read_solutions(path: Path) -> list[RecoveredMolecule | Molecule]:
    """Read all solutions of a recovery (JSON), or one molecule of another program (XYZ, PDB, mmCIF).

    Raises
    ------
    InputFileError
        If the file cannot be used or holds no solution.
    """
    if path.suffix.lower() != ".json":
        return [read_molecule(path, waters=True)]
    solutions = read_recovered_file(path)
    if not solutions:
        raise InputFileError(path, "holds no solution", remedy="Give the recovery more time or restarts")
    return list(solutions)


def molecule_of(solution: RecoveredMolecule | Molecule) -> Molecule:
    """Return the atoms of a solution."""
    return solution if isinstance(solution, Molecule) else solution.molecule
