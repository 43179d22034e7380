"""Our value of a published number: found in a table, and judged."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from fewphoton.errors import DataError


def find_value(
    rows: Sequence[Mapping[str, str]],
    chosen: Mapping[str, str | float | int],
    column: str,
    median_over: Sequence[str] = (),
) -> float:
    """Return the number in a column of the one row whose cells are the chosen ones, or the median of several rows.

    Parameters
    ----------
    rows : sequence of mapping
        A table, cells as text.
    chosen : mapping
        Cells by column; numbers are compared as numbers, relative to 1e-9.
    column : str
        Column of the number; an empty cell is nan.
    median_over : sequence of str
        Columns in which the rows that fit differ; nan where one of their numbers is.

    Raises
    ------
    DataError
        If a column is missing, no row fits, or several rows that do not differ in ``median_over``.
    """
    if not rows:
        raise DataError("the table has no row")
    missing = [name for name in (*chosen, *median_over, column) if name not in rows[0]]
    if missing:
        raise DataError(f"the table has no column {', '.join(missing)}")
    found = [row for row in rows if all(_equal(row[name], wanted) for name, wanted in chosen.items())]
    distinct = {tuple(row[name] for name in median_over) for row in found}
    if not found or len(found) != len(distinct):
        told = ", ".join(f"{name} = {value}" for name, value in chosen.items()) or "all rows"
        each = f" for each {', '.join(median_over)}" if median_over else ""
        raise DataError(f"expected one row with {told}{each}, found {len(found)}")
    numbers = [_number(row[column], column) for row in found]
    return math.nan if any(map(math.isnan, numbers)) else statistics.median(numbers)


def _number(cell: str, column: str) -> float:
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
