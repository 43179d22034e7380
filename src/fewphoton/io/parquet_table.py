"""Tables of metrics as Parquet: the rows of the CSV with typed columns."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fewphoton.errors import MissingLibraryError, installation_of
from fewphoton.io.atomic import written_aside
from fewphoton.io.metrics import plain_record


def write_parquet(path: Path | str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write records as Parquet, one row each; columns in order of first appearance, null where a record has none.

    Whole numbers and fractions in one column make a column of float64, words and numbers in one column one of text.

    Raises
    ------
    MissingLibraryError
        If PyArrow is not installed.
    OutputFileError
        If the file cannot be written.
    """
    try:
        arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise MissingLibraryError(
            f"{path}: tables as Parquet need PyArrow: {installation_of('parquet')}, or leave `parquet` out of the "
            "configuration"
        ) from error
    records = [plain_record(row) for row in rows]
    names = dict.fromkeys(name for record in records for name in record)
    columns = {}
    for name in names:
        values = [record.get(name) for record in records]
        kinds = {type(value) for value in values if value is not None}
        if len(kinds) > 1:
            as_one: type = float if kinds == {int, float} else str
            values = [None if value is None else as_one(value) for value in values]
        columns[name] = arrow.array(values)
    with written_aside(path) as aside:
        parquet.write_table(arrow.table(columns), aside)
