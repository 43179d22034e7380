"""Our value of a published number: found in a table, and judged."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from fewphoton.errors import DataError


def find_value(rows: Sequence[Mapping[str, str]], chosen: Mapping[str, str | float | int], column: str) -> float:
    """Return the number in a column of the one row whose cells are the chosen ones.

    Parameters
    ----------
    rows : sequence of mapping
        A table, cells as text.
    chosen : mapping
        Cells by column; numbers are compared as numbers, relative to 1e-9.
    column : str
        Column of the number; an empty cell is nan.

    Raises
    ------
    DataError
        If a column is missing, or not exactly one row fits.
    """
    if not rows:
        raise DataError("the table has no row")
    missing = [name for name in (*chosen, column) if name not in rows[0]]
    if missing:
        raise DataError(f"the table has no column {', '.join(missing)}")
    found = [row for row in rows if all(_equal(row[name], wanted) for name, wanted in chosen.items())]
    if len(found) != 1:
        told = ", ".join(f"{name} = {value}" for name, value in chosen.items()) or "all rows"
        raise DataError(f"expected one row with {told}, found {len(found)}")
    cell = found[0][column]
    try:
        return float(cell) if cell else math.nan
    except ValueError as error:
        raise DataError(f"column {column}: expected a number, found {cell!r}") from error


def _equal(cell: str, wanted: str | float | int) -> bool:
    if isinstance(wanted, str):
        return cell == wanted
    try:
        return math.isclose(float(cell), wanted, rel_tol=1e-9)
    except ValueError:
        return False


def is_accepted(value: float, lowest: float | None, highest: float | None) -> bool:
    """Whether a value lies within limits that may be open; nan never does."""
    low, high = (-math.inf if lowest is None else lowest), (math.inf if highest is None else highest)
    return low <= value <= high
