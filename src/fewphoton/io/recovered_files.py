"""Files of recovered molecules: every solution with misfit and standard errors (JSON), the best one as XYZ and PDB."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Molecule
from fewphoton.data.recovered_molecule import RecoveredMolecule
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.atomic import write_text
from fewphoton.io.molecule_files import write_pdb, write_xyz
from fewphoton.io.provenance import Provenance

KIND = "recovered_molecules"


def write_recovered_file(path: Path | str, solutions: Sequence[RecoveredMolecule], provenance: Provenance) -> None:
    """Write all solutions, best first, as JSON; numbers are exact, and errors that are not finite become null."""
    content = {
        "fewphoton_kind": KIND,
        "units": {"position": "angstrom", "standard_error": "angstrom", "b_iso": "angstrom^2"},
        "solutions": [
            {
                "reduced_chi2": float(solution.reduced_chi2),
                "element": list(solution.molecule.element),
                "position_angstrom": solution.molecule.position_angstrom.tolist(),
                "occupancy": solution.molecule.occupancy.tolist(),
                "b_iso_angstrom2": solution.molecule.b_iso_angstrom2.tolist(),
                "standard_error_angstrom": _rows(solution.standard_error_angstrom),
            }
            for solution in solutions
        ],
        "provenance": provenance.record(),
    }
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def _rows(errors: NDArray[np.float64] | None) -> list[list[float | None]] | None:
    if errors is None:
        return None
    return [[value if math.isfinite(value) else None for value in row] for row in errors.tolist()]


def read_recovered_file(path: Path | str) -> list[RecoveredMolecule]:
    """Read all solutions; errors that are null come back as infinite.

    Raises
    ------
    InputFileError
        If the file is missing, truncated or foreign, or holds no possible molecules.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputFileError(path, f"cannot be read as recovered molecules: {error}") from error
    found = content.get("fewphoton_kind") if isinstance(content, dict) else None
    if found != KIND:
        raise InputFileError(
            path,
            "is not the kind of file this step reads",
            where="fewphoton_kind",
            expected=KIND,
            found=found or "a file of another program",
        )
    solutions = content.get("solutions")
    if not isinstance(solutions, list):
        raise InputFileError(path, "holds no list", where="solutions", found=type(solutions).__name__)
    return [_solution(path, number, record) for number, record in enumerate(solutions)]


def _solution(path: Path | str, number: int, record: Any) -> RecoveredMolecule:
    place = f"solutions[{number}]"
    try:
        molecule = Molecule(
            tuple(record["element"]),
            np.array(record["position_angstrom"], dtype=np.float64),
            np.array(record["occupancy"], dtype=np.float64),
            np.array(record["b_iso_angstrom2"], dtype=np.float64),
        )
        errors = record["standard_error_angstrom"]
        if errors is not None:
            errors = np.array([[np.inf if value is None else value for value in row] for row in errors], np.float64)
        return RecoveredMolecule(molecule, float(record["reduced_chi2"]), errors)
    except KeyError as error:
        raise InputFileError(path, f"key {error} is missing", where=place) from error
    except (DataError, TypeError, ValueError) as error:
        raise InputFileError(path, f"holds no molecule: {error}", where=place) from error


def write_best_molecule(xyz: Path | str, pdb: Path | str, solutions: Sequence[RecoveredMolecule]) -> None:
    """Write the first solution as XYZ and as PDB.

    The PDB file holds the variances of the positions in place of displacements: see
    :func:`fewphoton.io.molecule_files.write_pdb`.

    Raises
    ------
    DataError
        If there is no solution.
    OutputFileError
        If a file cannot be written.
    """
    if not solutions:
        raise DataError("there is no solution to write")
    best = solutions[0]
    words = f"recovered from one shot, reduced chi2 {best.reduced_chi2:.6g}"
    write_xyz(xyz, best.molecule, words)
    write_pdb(pdb, best.molecule, words, best.standard_error_angstrom)
