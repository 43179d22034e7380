"""Molecules in PDB and mmCIF files through gemmi, and in XYZ files.

An XYZ file holds the number of atoms, a comment, and a line ``element x y z`` an atom, in angstrom; it knows neither
occupancies nor displacements nor chains.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import gemmi
import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Molecule
from fewphoton.errors import DataError, InputFileError, OutputFileError
from fewphoton.io.atomic import write_text, written_aside

# The columns of a PDB file end there.
_LARGEST_COORDINATE = 999.0
_LARGEST_NUMBER = 999
_LARGEST_B_ANGSTROM2 = 999.99


def read_molecule(path: Path | str, chains: Sequence[str] = (), *, waters: bool = False) -> Molecule:
    """Read the atoms of the first model of a file, as they stand in it.

    No biological assembly is built. Atoms of several alternative conformations all count, with their occupancies.
    Atoms of an XYZ file have occupancy 1 and B 0.

    Parameters
    ----------
    path : Path or str
        PDB or mmCIF file, ``.gz`` may follow; or XYZ file, told by its suffix ``.xyz``.
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
    if source.suffix.lower() == ".xyz":
        if chains:
            raise InputFileError(source, f"holds no chain {', '.join(chains)}", found="an XYZ file, without chains")
        return read_xyz(source)[0]
    try:
        # Names are decoded when they are asked for, which fails where they are no UTF-8.
        return _molecule(source, gemmi.read_structure(str(source)), chains, waters)
    except (RuntimeError, ValueError, IndexError, OSError, MemoryError) as error:
        raise InputFileError(source, f"cannot be read as a molecule: {error}") from error
    except DataError as error:
        raise InputFileError(source, f"holds no usable molecule: {error}") from error


def _molecule(source: Path, structure: gemmi.Structure, chains: Sequence[str], waters: bool) -> Molecule:
    if not len(structure):
        raise InputFileError(source, "holds no model", remedy="Give a PDB, mmCIF or XYZ file with atoms")
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
    return Molecule(
        tuple(atom.element.name for atom in atoms),
        np.array([atom.pos.tolist() for atom in atoms]).reshape(-1, 3),
        np.array([atom.occ for atom in atoms]),
        np.array([atom.b_iso for atom in atoms]),
    )


def read_xyz(path: Path | str) -> tuple[Molecule, str]:
    """Read the first molecule of an XYZ file and its comment line.

    Columns after z are left out.

    Raises
    ------
    InputFileError
        If the file cannot be read, is truncated, or holds unknown elements or what is no number.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputFileError(path, f"cannot be read as XYZ: {error}") from error
    try:
        n_atoms = int(lines[0])
    except (IndexError, ValueError) as error:
        found = repr(lines[0]) if lines else "an empty file"
        raise InputFileError(path, "is no XYZ file", where="line 1", expected="the atoms", found=found) from error
    if n_atoms < 1 or len(lines) < n_atoms + 2:
        raise InputFileError(
            path, "is truncated", expected=f"{n_atoms} atoms after two lines", found=f"{len(lines)} lines"
        )
    rows = [line.split() for line in lines[2 : n_atoms + 2]]
    position = []
    for number, row in enumerate(rows, start=3):
        try:
            position.append([float(row[1]), float(row[2]), float(row[3])])
        except (IndexError, ValueError) as error:
            raise InputFileError(
                path, "holds no atom", where=f"line {number}", expected="element x y z", found=repr(" ".join(row))
            ) from error
    try:
        molecule = Molecule(tuple(row[0] for row in rows), np.array(position), np.ones(n_atoms), np.zeros(n_atoms))
    except DataError as error:
        raise InputFileError(path, f"holds no usable molecule: {error}") from error
    return molecule, lines[1]


def write_xyz(path: Path | str, molecule: Molecule, comment: str = "") -> None:
    """Write the atoms of a molecule as XYZ, with ten decimals; a comment keeps to its line."""
    lines = [str(len(molecule)), " ".join(comment.split())]
    for name, (x, y, z) in zip(molecule.element, molecule.position_angstrom, strict=True):
        lines.append(f"{name:<2} {x:16.10f} {y:16.10f} {z:16.10f}")
    write_text(path, "\n".join(lines) + "\n")


def write_pdb(
    path: Path | str,
    molecule: Molecule,
    title: str = "",
    standard_error_angstrom: NDArray[np.float64] | None = None,
) -> None:
    """Write a molecule as one unknown ligand (UNL) of a PDB file; atoms are named by element and number.

    Parameters
    ----------
    path : Path or str
        File.
    molecule : Molecule
        Atoms; the format keeps three decimals of a position.
    title : str
        Its title record.
    standard_error_angstrom : ndarray of float64, `(n_atoms, 3)`, optional
        Standard errors s of the positions; ANISOU records then hold their variances s_x², s_y², s_z² (to 1e-4
        angstrom²), and B is 8 pi² times the mean of the three (to 0.01 angstrom²) in place of the molecule's own.
        Variances end at 12.67 angstrom², a B of 999.99.

    Raises
    ------
    OutputFileError
        If the molecule does not fit into the columns of the format, or the file cannot be written.
    """
    if np.abs(molecule.position_angstrom).max() > _LARGEST_COORDINATE:
        raise OutputFileError(path, f"PDB holds no coordinates beyond {_LARGEST_COORDINATE:g} angstrom")
    residue = gemmi.Residue()
    residue.name = "UNL"
    residue.seqid = gemmi.SeqId("1")
    residue.het_flag = "H"
    count: Counter[str] = Counter()
    for number, name in enumerate(molecule.element):
        count[name] += 1
        if count[name] > _LARGEST_NUMBER:
            raise OutputFileError(path, f"PDB holds no names for more than {_LARGEST_NUMBER} atoms of element {name}")
        atom = gemmi.Atom()
        atom.name = f"{name.upper()}{count[name]}"
        atom.element = gemmi.Element(name)
        atom.pos = gemmi.Position(*molecule.position_angstrom[number])
        atom.occ = molecule.occupancy[number]
        atom.b_iso = molecule.b_iso_angstrom2[number]
        if standard_error_angstrom is not None:
            variance = np.fmin(standard_error_angstrom[number] ** 2, _LARGEST_B_ANGSTROM2 / (8 * np.pi**2))
            atom.b_iso = 8 * np.pi**2 * variance.mean()
            xx, yy, zz = variance.tolist()
            atom.aniso = gemmi.SMat33f(xx, yy, zz, 0, 0, 0)
        residue.add_atom(atom)
    structure = gemmi.Structure()
    structure.info["_struct.title"] = " ".join(title.split())
    model, chain = gemmi.Model(1), gemmi.Chain("A")
    chain.add_residue(residue)
    model.add_chain(chain)
    structure.add_model(model)
    with written_aside(path) as aside:
        structure.write_pdb(str(aside))
