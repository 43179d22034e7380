"""Files of evaluations (HDF5): what the figures draw."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from fewphoton.data.evaluation import Evaluation
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.hdf5 import created, dataset, number_attribute, opened, require_kind, store
from fewphoton.io.provenance import Provenance

KIND = "evaluation"
_SCALARS = ("orientation_step_deg", "tolerance_deg", "chance_fraction")


def write_evaluation(path: Path | str, evaluation: Evaluation, provenance: Provenance) -> None:
    """Write an evaluation; arrays that are None are left out."""
    with created(path) as file:
        for column in fields(evaluation):
            value = getattr(evaluation, column.name)
            if column.name in _SCALARS:
                file.attrs[column.name] = float(value)
            elif value is not None:
                store(file, column.name, value)
        provenance.write(file, KIND)


def read_evaluation(path: Path | str) -> Evaluation:
    """Read an evaluation.

    Raises
    ------
    InputFileError
        If the file is missing, truncated, foreign, lacks a dataset, or its datasets do not fit each other.
    """
    with opened(path) as file:
        require_kind(file, KIND)
        values: dict[str, Any] = {}
        for column in fields(Evaluation):
            if column.name in _SCALARS:
                values[column.name] = number_attribute(file, column.name)
            elif column.name == "reference_patterson" and column.name not in file:
                values[column.name] = None
            else:
                values[column.name] = dataset(file, column.name, kind="iuf")[()]
        try:
            return Evaluation(**values)
        except DataError as error:
            raise InputFileError(path, str(error)) from error
