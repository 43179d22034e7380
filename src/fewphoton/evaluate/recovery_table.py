"""Many recoveries in one table: the middle and spread of each figure of merit, and the share that was solved, by cell.

A cell holds the rows that agree in the columns that are named, for example method, number of atoms and noise level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.errors import DataError
from fewphoton.evaluate.proportions import quartiles, wilson_interval

USUAL_SUCCESS = "solved"
"""Column that tells whether a recovery counts as a success."""
USUAL_MERITS = ("error", "n_matched", "rms_matched_angstrom", "rms_over_bound", "reduced_chi2", "seconds")
"""Columns whose middle and spread are usually told."""

_WORDS = {"": np.nan, "True": 1.0, "False": 0.0}


def aggregate(
    rows: Sequence[Mapping[str, Any]],
    by: Sequence[str],
    merits: Sequence[str] | None = None,
    success: str = USUAL_SUCCESS,
    confidence: float = 0.95,
) -> list[dict[str, Any]]:
    """Return one row a cell, in ascending order of its keys (numbers by value, words by the alphabet).

    Parameters
    ----------
    rows : table
        One recovery a row; values as written or as read back from CSV. Empty and missing values are not known.
    by : sequence of str
        Columns that part the rows into cells.
    merits : sequence of str, optional
        Columns whose median and quartiles are told, over the rows that know them. Default: those of
        :data:`USUAL_MERITS` that the table has.
    success : str
        Column of True and False; a row that does not know it counts as failed: a recovery that brought nothing back.
    confidence : float
        Of the interval of the success rate.

    Returns
    -------
    list of dict
        The keys; ``n_runs``, ``n_solved``, ``success_rate``, ``success_rate_low``, ``success_rate_high``; for each
        merit ``_median``, ``_quartile_low``, ``_quartile_high`` and ``_n``.

    Raises
    ------
    DataError
        If there are no rows, a column is missing from all of them, or a merit is no number.
    """
    if not rows:
        raise DataError("there are no recoveries to aggregate")
    columns = {name for row in rows for name in row}
    chosen = [name for name in USUAL_MERITS if name in columns] if merits is None else list(merits)
    missing = [name for name in (*by, *chosen, success) if name not in columns]
    if missing:
        raise DataError(f"the table has no column {', '.join(missing)}; it has {', '.join(sorted(columns))}")
    cells: dict[tuple[Any, ...], list[int]] = {}
    for number, row in enumerate(rows):
        cells.setdefault(tuple(_key(row.get(name)) for name in by), []).append(number)
    numbers = {name: column_numbers(rows, name) for name in (*chosen, success)}
    table = []
    for key in sorted(cells, key=lambda values: [_order(value) for value in values]):
        at = np.array(cells[key])
        n_solved = int((numbers[success][at] == 1).sum())
        rate = wilson_interval(n_solved, len(at), confidence)
        line: dict[str, Any] = dict(zip(by, key, strict=True))
        line |= {"n_runs": len(at), "n_solved": n_solved, "success_rate": rate.share}
        line |= {"success_rate_low": rate.low, "success_rate_high": rate.high}
        for name in chosen:
            middle = quartiles(numbers[name][at])
            line |= {f"{name}_median": middle.median, f"{name}_quartile_low": middle.low}
            line |= {f"{name}_quartile_high": middle.high, f"{name}_n": middle.n}
        table.append(line)
    return table


def column_numbers(rows: Sequence[Mapping[str, Any]], name: str) -> NDArray[np.float64]:
    """Return a column as float64 `(n_rows,)`; unknown values are NaN, True and False 1 and 0.

    Raises
    ------
    DataError
        If a value is no number.
    """
    values = np.empty(len(rows))
    for number, row in enumerate(rows):
        value = row.get(name)
        try:
            values[number] = np.nan if value is None else _WORDS[value] if value in _WORDS else float(value)
        except (TypeError, ValueError) as error:
            raise DataError(f"column {name!r}, row {number}: expected a number, found {value!r}") from error
    return values


def success_by_time(
    seconds: NDArray[np.float64], solved: NDArray[np.bool_], budgets: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the share of recoveries that were solved within each time budget, with its interval of 95 %.

    Parameters
    ----------
    seconds : ndarray of float64, `(n_runs,)`
        Time to the solution of each recovery; only those of solved ones count.
    solved : ndarray of bool, `(n_runs,)`
        Which were solved.
    budgets : ndarray of float64, `(n_budgets,)`
        Times in seconds.

    Returns
    -------
    tuple of ndarray of float64, each `(n_budgets,)`
        Share, lower and upper limit.
    """
    when = np.sort(seconds[solved & np.isfinite(seconds)])
    counts = np.searchsorted(when, budgets, side="right")
    rates = [wilson_interval(int(count), len(seconds)) for count in counts]
    share, low, high = np.array(rates).reshape(-1, 3).T
    return share, low, high


def _key(value: Any) -> Any:
    """Texts of numbers become numbers, so that 1e-3 and 0.001 are one cell."""
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return int(number) if number.is_integer() else number


def _order(value: Any) -> tuple[int, float, str]:
    return (1, 0.0, value) if isinstance(value, str) else (0, float(value), "")
