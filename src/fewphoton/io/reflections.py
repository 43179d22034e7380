"""Reflection files: MTZ through gemmi, and plain lists."""

from __future__ import annotations

from pathlib import Path

import gemmi
import numpy as np

import fewphoton
from fewphoton.data import Crystal, Reflections
from fewphoton.errors import DataError, GeometryError, InputFileError
from fewphoton.io.atomic import written_aside

_COLUMNS = (("IMEAN", "J"), ("SIGIMEAN", "Q"), ("N", "I"), ("I_HALF1", "J"), ("I_HALF2", "J"))


def write_mtz(
    path: Path | str, reflections: Reflections, crystal: Crystal, wavelength_angstrom: float, origin: str
) -> None:
    """Write merged reflections with cell, space group and half-set columns; unmeasured rows are left out.

    ``origin`` says in the file's history where the intensities come from.

    MTZ holds float32; values that are not known are NaN, the format's mark of a missing number.

    Raises
    ------
    DataError
        If no reflection was measured.
    """
    measured = reflections.take(np.isfinite(reflections.intensity))
    if not len(measured):
        raise DataError(f"{path}: an MTZ file needs at least one measured reflection")
    mtz = gemmi.Mtz(with_base=True)
    mtz.spacegroup = gemmi.find_spacegroup_by_name(crystal.space_group)
    mtz.set_cell_for_all(gemmi.UnitCell(*crystal.cell))
    mtz.title = "fewphoton merged intensities"
    mtz.history = [f"fewphoton {fewphoton.__version__}: {origin}"]
    data = mtz.add_dataset("fewphoton")
    data.wavelength = wavelength_angstrom
    for label, kind in _COLUMNS:
        mtz.add_column(label, kind)
    columns = (measured.intensity, measured.sigma, measured.multiplicity, measured.half_1, measured.half_2)
    values = np.column_stack([measured.hkl, *columns]).astype(np.float32)
    mtz.set_data(values)
    mtz.sort()
    with written_aside(path) as aside:
        mtz.write_to_file(str(aside))


def read_mtz(path: Path | str) -> tuple[Reflections, Crystal]:
    """Read merged intensities: IMEAN and SIGIMEAN, with multiplicity and half sets where the file holds them.

    Raises
    ------
    InputFileError
        If gemmi cannot read the file, or a column, the cell or the space group is missing.
    """
    try:
        mtz = gemmi.read_mtz_file(str(path))
        labels = mtz.column_labels()
        named = mtz.spacegroup_name or "nothing"
    except (RuntimeError, ValueError, OSError, MemoryError) as error:
        raise InputFileError(path, f"cannot be read as MTZ: {error}") from error
    if mtz.spacegroup is None:
        raise InputFileError(path, "names no known space group", found=named)
    for label in ("IMEAN", "SIGIMEAN"):
        if label not in labels:
            raise InputFileError(path, "column is missing", where=label, found=", ".join(labels))
    hkl = np.asarray(mtz.make_miller_array(), dtype=np.int32)

    def column(label: str) -> np.ndarray:
        if label not in labels:
            return np.full(len(hkl), np.nan)
        return np.array(mtz.column_with_label(label), dtype=np.float64)

    multiplicity = np.nan_to_num(column("N"), nan=1.0).astype(np.int32)
    try:
        reflections = Reflections(
            hkl, column("IMEAN"), column("SIGIMEAN"), multiplicity, column("I_HALF1"), column("I_HALF2")
        )
        return reflections, Crystal(tuple(mtz.cell.parameters), mtz.spacegroup.xhm())
    except (DataError, GeometryError) as error:
        raise InputFileError(path, str(error)) from error


def read_reflection_list(path: Path | str) -> Reflections:
    """Read merged intensities from text: h, k, l, intensity and sigma in each line, parted by blanks.

    A line of zeros (SHELX) ends the list; further columns are left out.

    Raises
    ------
    InputFileError
        If the file cannot be read, or a line holds no such numbers.
    """
    rows = []
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputFileError(path, f"cannot be read as a list of reflections: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = [float(word) for word in line.split()[:5]]
            if len(row) < 5 or any(index != int(index) for index in row[:3]):
                raise ValueError("too few numbers, or indices that are not whole")
        except (ValueError, OverflowError) as error:
            raise InputFileError(
                path, str(error), where=f"line {number}", expected="h k l intensity sigma", found=line.strip()[:60]
            ) from error
        if not any(row[:3]):
            break
        rows.append(row)
    if not rows:
        raise InputFileError(path, "holds no reflections")
    values = np.array(rows)
    unknown = np.full(len(rows), np.nan)
    ones = np.ones(len(rows), dtype=np.int32)
    return Reflections(values[:, :3].astype(np.int32), values[:, 3], values[:, 4], ones, unknown, unknown)
