"""Values of a swept parameter: lists, ranges, and rows of parameters that change together."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from fewphoton.config.section import Name, Section

_DIGITS = 12
"""Significant digits of values within a range, so that 0.1 + 0.2 gives a folder named 0.3."""

Value = int | float | str


class SweepRange(Section):
    """Evenly spaced numbers, both ends among them."""

    first: int | float
    """First value."""
    last: int | float
    """Last value; with `step`, values stop before they pass it."""
    step: int | float | None = None
    """Difference of neighbours; neither this nor `number`: 1, towards `last`."""
    number: int | None = Field(default=None, ge=2)
    """How many values, instead of `step`."""
    spacing: Literal["linear", "geometric"] = "linear"
    """Equal differences, or equal ratios (with `number`)."""

    @model_validator(mode="after")
    def _is_a_range(self) -> SweepRange:
        ends = (self.first, self.last)
        if self.first == self.last:
            raise ValueError(f"first and last must be two different numbers; found {ends[0]} and {ends[1]}")
        if self.step is not None and self.number is not None:
            raise ValueError("give step or number, not both")
        if self.step is not None and not self.step * (self.last - self.first) > 0:
            raise ValueError(f"step {self.step} does not lead from {self.first} to {self.last}")
        if self.spacing == "geometric" and (self.number is None or min(ends) <= 0):
            raise ValueError("geometric spacing needs a number, and ends above 0")
        return self

    def values(self) -> list[Value]:
        """Return the numbers; whole ones as integers where both ends, and the step, are."""
        if self.number is None:
            step = self.step or math.copysign(1, self.last - self.first)
            intervals = math.floor((self.last - self.first) / step * (1 + 1e-12))
            found = [self.first + n * step for n in range(intervals + 1)]
        elif self.spacing == "geometric":
            ratio = self.last / self.first
            found = [self.first * ratio ** (n / (self.number - 1)) for n in range(self.number)]
        else:
            found = [self.first + n * (self.last - self.first) / (self.number - 1) for n in range(self.number)]
        whole = all(isinstance(given, int) for given in (self.first, self.last, self.step or 1))
        rounded = [float(f"{value:.{_DIGITS}g}") for value in found]
        return [int(value) if whole and value.is_integer() else value for value in rounded]


def _form_of_values(values: Any) -> str:
    return "range" if isinstance(values, dict | SweepRange) else "list"


def _form_of_sweep(sweep: Any) -> str:
    """Tell grids from sections by the point that names of parameters have, so that errors speak of the form meant."""
    named = isinstance(sweep, dict) and sweep and not any("." in str(name) for name in sweep)
    return "sections" if named and all(isinstance(values, dict) for values in sweep.values()) else "grid"


Values = Annotated[
    Annotated[list[Value | list[Value]], Tag("list")] | Annotated[SweepRange, Tag("range")],
    Discriminator(_form_of_values),
]
"""Values of one parameter, or rows of several."""
Grid = dict[str, Values]
"""Values by `stage.key`; several keys, separated by commas, have rows of values that change together."""
Sweep = Annotated[
    Annotated[Grid, Tag("grid")] | Annotated[dict[Name, Grid], Tag("sections")], Discriminator(_form_of_sweep)
]
"""One grid, or several by name."""


def parameter_names(name: str) -> list[str]:
    """Return the parameters that a key of a grid names."""
    return [part.strip() for part in name.split(",")]


def rows_of(name: str, values: Values) -> list[tuple[Value, ...]]:
    """Return what the parameters of a key take together, row by row.

    Raises
    ------
    ValueError
        If there is no row, a row has another length than the key has names, or two rows are the same.
    """
    names = parameter_names(name)
    listed = values.values() if isinstance(values, SweepRange) else values
    rows = [tuple(row) if isinstance(row, list) else (row,) for row in listed]
    if any(len(row) != len(names) for row in rows):
        wanted = "values" if len(names) == 1 else f"rows of {len(names)} values, one for each name"
        raise ValueError(f"sweep: {name} needs a list of {wanted}; found {listed}")
    # Compared as texts as well: 5 and "5" differ, yet would share a folder.
    if not rows or len(set(rows)) != len(rows) or len({tuple(map(str, row)) for row in rows}) != len(rows):
        raise ValueError(f"sweep: {name} needs a list of different values, found {listed}")
    return rows
