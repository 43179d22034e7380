"""Unit cells from whatever file of a crystal is at hand: PDB, CIF, MTZ, CrystFEL .cell, DIALS .expt, ours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np
from numpy.typing import NDArray

from fewphoton.errors import GeometryError, InputFileError
from fewphoton.io.crystal_description import read_crystal
from fewphoton.io.dials_experiments import read_dials_experiments

Cell = tuple[float, float, float, float, float, float]

CELL_SUFFIXES = (".expt", ".cell", ".mtz", ".pdb", ".cif", ".mmcif", ".yaml")
"""Suffixes of files that :func:`read_cell` reads (``.gz`` may follow those of DIALS, PDB and CIF)."""
_ANGSTROM = {"a": 1.0, "nm": 10.0}


@dataclass(frozen=True, eq=False)
class FoundCell:
    """A unit cell and what its file tells beside it.

    Parameters
    ----------
    cell : tuple of float
        a, b, c in angstrom; alpha, beta, gamma in degrees.
    space_group : str or None
        Hermann-Mauguin symbol; None where the file knows the lattice alone.
    ub_inv_angstrom : ndarray of float64, `(3, 3)`, or None
        UB at goniometer angle 0 in the laboratory, where the file knows it.
    rotation_axis : ndarray of float64, `(3,)`, or None
        Goniometer axis, where the file knows it.
    origin : str
        File; empty where the cell was given by hand.
    """

    cell: Cell
    space_group: str | None
    ub_inv_angstrom: NDArray[np.float64] | None = None
    rotation_axis: NDArray[np.float64] | None = None
    origin: str = ""


def read_cell(path: Path | str) -> FoundCell:
    """Read a unit cell; of several crystals in a file the first.

    Raises
    ------
    InputFileError
        If the file is missing, of an unknown kind, or holds no unit cell.
    """
    source = Path(path)
    if not source.is_file():
        raise InputFileError(source, "no such file", remedy="Correct the path, or give the cell itself")
    name = source.name.lower().removesuffix(".gz")
    if name.endswith(".expt"):
        first = read_dials_experiments(source)[0]
        ub = first.ub_inv_angstrom[0]
        return FoundCell(first.crystal.cell, first.crystal.space_group, ub, first.rotation_axis, str(source))
    if name.endswith((".yaml", ".yml")):
        crystal, axis = read_crystal(source)
        return FoundCell(crystal.cell, crystal.space_group, crystal.ub_matrix, axis, str(source))
    if name.endswith(".cell"):
        return _crystfel_cell(source)
    try:
        if name.endswith(".mtz"):
            mtz = gemmi.read_mtz_file(str(source))
            return _found(source, mtz.cell, mtz.spacegroup)
        if name.endswith(".pdb"):
            structure = gemmi.read_structure(str(source))
            return _found(source, structure.cell, structure.find_spacegroup())
        if name.endswith((".cif", ".mmcif")):
            return _cif_cell(source)
    except (RuntimeError, ValueError, IndexError, OSError, MemoryError) as error:
        raise InputFileError(source, f"cannot be read for its unit cell: {error}") from error
    raise InputFileError(source, "is no known kind of crystal file", expected=", ".join(CELL_SUFFIXES))


def _found(source: Path, cell: gemmi.UnitCell, group: gemmi.SpaceGroup | None) -> FoundCell:
    if not cell.is_crystal():
        raise InputFileError(source, "holds no unit cell", remedy="Give the cell itself")
    symbol = None if group is None else str(group.xhm())
    return FoundCell(tuple(cell.parameters), symbol, origin=str(source))


def _cif_cell(source: Path) -> FoundCell:
    for block in gemmi.cif.read(str(source)):
        small = gemmi.make_small_structure_from_block(block)
        if small.cell.is_crystal():
            return _found(source, small.cell, small.spacegroup)
        large = gemmi.make_structure_from_block(block)
        if large.cell.is_crystal():
            return _found(source, large.cell, large.find_spacegroup())
    raise InputFileError(source, "holds no unit cell", remedy="Give the cell itself")


def _crystfel_cell(source: Path) -> FoundCell:
    """Read CrystFEL's cell file: lengths with units, angles in degrees, no space group."""
    values: dict[str, float] = {}
    try:
        for line in source.read_text(encoding="utf-8").splitlines():
            match = re.match(r"^\s*(a|b|c|al|be|ga)\s*=\s*([-+.\deE]+)\s*(\w*)", line)
            if match is None:
                continue
            name, number, unit = match.groups()
            values[name] = float(number) * (_ANGSTROM[unit.lower()] if name in "abc" else 1.0)
        cell = tuple(values[name] for name in ("a", "b", "c", "al", "be", "ga"))
    except (OSError, UnicodeDecodeError, ValueError, KeyError) as error:
        raise InputFileError(source, f"cannot be read as a CrystFEL cell file: {error} is missing or wrong") from error
    try:
        possible = gemmi.UnitCell(*cell).is_crystal()
    except RuntimeError:  # an angle of 0
        possible = False
    if not possible:
        raise GeometryError(f"{source}: cell {cell} encloses no volume")
    return FoundCell(cell, None, origin=str(source))  # type: ignore[arg-type]
