"""Scores of many reconstructions as a table: median and range over repeats, by row and column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fewphoton.errors import DataError


@dataclass(frozen=True)
class AccuracyCell:
    """One cell.

    Parameters
    ----------
    row, group, column : str
        Its place.
    n_runs, n_scored : int
        Reconstructions, and those among them with a number.
    median, lowest, highest : float
        Over all of them; a reconstruction without a number (no resolution, no pose) counts as worse than any, so these
        may be infinite. NaN without reconstructions.
    """

    row: str
    group: str
    column: str
    n_runs: int
    n_scored: int
    median: float
    lowest: float
    highest: float

    def text(self, digits: int) -> str:
        """Return the cell as it is printed: median (lowest to highest)."""
        if self.n_runs == 0:
            return "–"
        middle = _number(self.median, digits)
        if self.n_runs == 1:
            return middle
        return f"{middle} ({_number(self.lowest, digits)} to {_number(self.highest, digits)})"


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if np.isfinite(value) else "none"


def accuracy_cells(
    scores: Sequence[Mapping[str, Any]], merit: str, rows: str, columns: str, groups: str | None = None
) -> list[AccuracyCell]:
    """Return the cells, row by row, groups and columns in the order in which they appear; numbers ascend.

    Parameters
    ----------
    scores : sequence of mapping
        One reconstruction each.
    merit : str
        Column with the score; lower is better.
    rows, columns, groups : str
        Columns that place a reconstruction; None: one group.

    Raises
    ------
    DataError
        If there are no scores, or a column is missing.
    """
    if not scores:
        raise DataError("there are no scores to tabulate")
    known = {name for score in scores for name in score}
    for name in (merit, rows, columns, groups):
        if name is not None and name not in known:
            raise DataError(f"the scores have no column {name!r}; they have {', '.join(sorted(known))}")

    def places(name: str | None) -> list[str]:
        return [""] if name is None else _in_order(str(score.get(name, "")) for score in scores)

    cells = []
    for row in places(rows):
        for group in places(groups):
            for column in places(columns):
                here = [
                    _value(score.get(merit))
                    for score in scores
                    if str(score.get(rows, "")) == row
                    and str(score.get(columns, "")) == column
                    and (groups is None or str(score.get(groups, "")) == group)
                ]
                values = np.sort(here)
                # The middle of an even number is their mean; it is infinite where one of both is.
                middle = 0.5 * (values[(len(values) - 1) // 2] + values[len(values) // 2]) if here else np.nan
                ends = (float(values[0]), float(values[-1])) if here else (np.nan, np.nan)
                n_scored = int(np.isfinite(values).sum())
                cells.append(AccuracyCell(row, group, column, len(here), n_scored, float(middle), *ends))
    return cells


def _in_order(names: Any) -> list[str]:
    """Values in order of appearance; in rising order where all of them are numbers."""
    distinct = list(dict.fromkeys(names))
    try:
        return sorted(distinct, key=float)
    except ValueError:
        return distinct


def _value(text: Any) -> float:
    try:
        number = float(text)
    except (TypeError, ValueError):
        return np.inf
    return number if np.isfinite(number) else np.inf
