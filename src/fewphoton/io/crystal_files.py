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

    Small-molecule CIF is tried first for ``.cif`` (``.gz`` may follow); files without such atoms are read as
    macromolecules (mmCIF, PDB). Of several data blocks exactly one may hold atoms. Anisotropic displacements enter
    by their isotropic equivalent, and an atom without any has B = 0. Occupancies are taken as chemical ones on
    special positions too.

    Parameters
    ----------
    path : Path or str
        CIF, mmCIF or PDB file.

    Returns
    -------
    AtomicStructure
        Atoms of the asymmetric unit with an occupancy above zero. The space group is named with its origin choice
        or axes where it has more than one setting (``F d -3 m:2``, ``R 3:R``).

    Raises
    ------
    InputFileError
        If the file cannot be read, or lacks cell, space group or atoms, or holds unknown elements, or several
        structures, or symmetry operations that make no tabulated setting of a space group.
    """
    source = Path(path)
    if not source.is_file():
        raise InputFileError(source, "no such file")
    try:
        if source.name.lower().removesuffix(".gz").endswith((".cif", ".mmcif")):
            return _from_cif(gemmi.cif.read(str(source)))
        return _from_macromolecule(gemmi.read_structure(str(source)))
    except (RuntimeError, ValueError, IndexError, OSError, MemoryError) as error:
        raise InputFileError(source, f"cannot be read as a structure: {error}") from error
    except (DataError, GeometryError) as error:
        raise InputFileError(
            source, f"holds no usable structure: {error}", remedy="Cell, space group and atoms must be given"
        ) from error


def _from_cif(document: gemmi.cif.Document) -> AtomicStructure:
    found: list[AtomicStructure] = []
    for block in document:
        small = gemmi.make_small_structure_from_block(block)
        if small.sites:
            found.append(_from_small(small))
        elif block.find_values("_atom_site.id"):
            found.append(_from_macromolecule(gemmi.make_structure_from_block(block)))
    if len(found) > 1:
        raise DataError(f"{len(found)} data blocks hold atoms; keep one of them")
    if not found:
        raise DataError("a structure needs atoms")
    return found[0]


def _from_small(small: gemmi.SmallStructure) -> AtomicStructure:
    sites = [site for site in small.sites if site.occ > 0]
    if small.spacegroup is None and small.symops:
        raise DataError(
            f"the {len(small.symops)} symmetry operations (named {small.spacegroup_hm!r}) are no tabulated setting "
            "of a space group; transform the structure to a standard setting"
        )
    return AtomicStructure(
        _cell(small.cell),
        # The extended symbol: the bare one names the first of several origins or axes, and so other atoms.
        small.spacegroup.xhm() if small.spacegroup is not None else small.spacegroup_hm,
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
    group = structure.find_spacegroup()
    return AtomicStructure(
        _cell(cell),
        group.xhm() if group is not None else structure.spacegroup_hm,
        tuple(atom.element.name for atom in atoms),
        np.array([cell.fractionalize(atom.pos).tolist() for atom in atoms]).reshape(-1, 3),
        np.array([atom.occ for atom in atoms]),
        np.array([atom.b_iso for atom in atoms]),
    )


def _cell(cell: gemmi.UnitCell) -> tuple[float, float, float, float, float, float]:
    if not cell.is_crystal():
        raise DataError("no unit cell")
    return tuple(cell.parameters)
