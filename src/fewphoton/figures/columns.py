"""Columns of tables that were read as texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fewphoton.errors import DataError

Rows = Sequence[Mapping[str, str]]
"""A table: one mapping of texts a row, as :func:`fewphoton.io.metrics.read_table` returns it."""


def texts(rows: Rows, name: str) -> list[str]:
    """Return a column as it stands.

    Raises
    ------
    DataError
        If the table is empty or has no such column.
    """
    if not rows:
        raise DataError(f"the table that should hold {name!r} has no rows")
    if name not in rows[0]:
        raise DataError(f"the table has no column {name!r}; it has {', '.join(rows[0])}")
    return [row[name] or "" for row in rows]


def numbers(rows: Rows, name: str) -> NDArray[np.float64]:
    """Return a column as float64 `(n_rows,)`; empty cells become NaN, True and False 1 and 0.

    Raises
    ------
    DataError
        If the table is empty, has no such column, or a cell holds another word.
    """
    words = {"": np.nan, "True": 1.0, "False": 0.0}
    try:
        return np.array([words[text] if text in words else float(text) for text in texts(rows, name)])
    except ValueError as error:
        raise DataError(f"column {name!r} holds what is no number: {error}") from error


def is_numeric(rows: Rows, name: str) -> bool:
    """Tell whether every cell of a column is empty or a number."""
    try:
        numbers(rows, name)
    except DataError as error:
        if isinstance(error.__cause__, ValueError):
            return False
        raise
    return True
