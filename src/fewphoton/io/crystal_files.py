"""Atomic structures from CIF, mmCIF and PDB files through gemmi."""

from __future__ import annotations

import math
from pathlib import Path

import gemmi
import numpy as np

from fewphoton.data.structure import AtomicStructure
from fewphoton.errors import DataError, GeometryError, InputFileError

_B_PER_U = 8 * math.pi**2


def read_structure(path: Path | str) -> AtomicStructure:
    """Read an atomic structure.

    Small-molecule CIF is tried first for ``.cif``; files without such atoms are read as macromolecules (mmCIF, PDB).

    Raises
    ------
    InputFileError
        If the file cannot be read, or lacks cell, space group or atoms, or holds unknown elements.
    """
    source = Path(path)
    if not source.is_file():
        raise InputFileError(source, "no such file")
    try:
        if source.name.endswith(".cif"):
            block = gemmi.cif.read(str(source)).sole_block()
            small = gemmi.make_small_structure_from_block(block)
            if small.sites:
                return _from_small(small)
        return _from_macromolecule(gemmi.read_structure(str(source)))
    except (RuntimeError, ValueError, IndexError, OSError) as error:
        raise InputFileError(source, f"cannot be read as a structure: {error}") from error
    except (DataError, GeometryError) as error:
        raise InputFileError(
            source, f"holds no usable structure: {error}", remedy="Cell, space group and atoms must be given"
        ) from error


def _from_small(small: gemmi.SmallStructure) -> AtomicStructure:
    sites = [site for site in small.sites if site.occ > 0]
    return AtomicStructure(
        _cell(small.cell),
        small.spacegroup.hm if small.spacegroup is not None else small.spacegroup_hm,
        tuple(site.element.name for site in sites),
        np.array([site.fract.tolist() for site in sites]).reshape(-1, 3),
        np.array([site.occ for site in sites]),
        np.array([_B_PER_U * site.u_iso for site in sites]),
    )


def _from_macromolecule(structure: gemmi.Structure) -> AtomicStructure:
    if not len(structure):
        raise DataError("a structure needs atoms")
    atoms = [site.atom for site in structure[0].all() if site.atom.occ > 0]
    cell = structure.cell
    return AtomicStructure(
        _cell(cell),
        structure.spacegroup_hm,
        tuple(atom.element.name for atom in atoms),
        np.array([cell.fractionalize(atom.pos).tolist() for atom in atoms]).reshape(-1, 3),
        np.array([atom.occ for atom in atoms]),
        np.array([atom.b_iso for atom in atoms]),
    )


def _cell(cell: gemmi.UnitCell) -> tuple[float, float, float, float, float, float]:
    if not cell.is_crystal():
        raise DataError("no unit cell")
    return tuple(cell.parameters)
