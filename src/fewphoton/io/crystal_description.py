"""Crystal descriptions: cell, space group, UB matrix and goniometer axis as a small YAML file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from fewphoton.config.dataset import CrystalConfig
from fewphoton.config.load import load_section
from fewphoton.data import Crystal
from fewphoton.errors import ConfigError, GeometryError, InputFileError
from fewphoton.io.atomic import write_text


def crystal_from_config(config: CrystalConfig) -> tuple[Crystal, NDArray[np.float64]]:
    """Return crystal and goniometer axis of a configuration section.

    Raises
    ------
    GeometryError
        If cell, space group and UB matrix contradict each other.
    """
    axis = np.asarray(config.rotation_axis, dtype=np.float64)
    if not np.linalg.norm(axis) > 0:
        raise GeometryError("rotation_axis must not be the zero vector")
    if config.ub_inv_angstrom is None:
        return Crystal(config.cell, config.space_group), axis
    return Crystal.from_ub(config.ub_inv_angstrom, config.cell, config.space_group), axis


def write_crystal(path: Path | str, crystal: Crystal, rotation_axis: NDArray[np.float64]) -> None:
    """Write a crystal description (YAML)."""
    content = {
        "cell": list(crystal.cell),
        "space_group": crystal.space_group,
        "ub_inv_angstrom": crystal.ub_matrix.tolist(),
        "rotation_axis": [float(value) for value in rotation_axis],
    }
    write_text(path, yaml.safe_dump(content, sort_keys=False))


def read_crystal(path: Path | str) -> tuple[Crystal, NDArray[np.float64]]:
    """Read a crystal description.

    Raises
    ------
    InputFileError
        If the file cannot be read, has unknown or missing keys, or contradicts itself.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputFileError(path, f"cannot be read as a crystal description: {error}") from error
    try:
        return crystal_from_config(load_section(CrystalConfig, text, str(path)))
    except (ConfigError, GeometryError) as error:
        raise InputFileError(path, f"is no valid crystal description: {error}") from error
