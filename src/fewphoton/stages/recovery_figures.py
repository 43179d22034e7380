"""Figures of many recoveries, from tables of their scores: curves by cell, precision, and time to solution."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fewphoton.config.molecule_figure import DrawMoleculeConfig
from fewphoton.errors import DataError
from fewphoton.evaluate.recovery_table import aggregate, column_numbers, success_by_time
from fewphoton.figures import recovery_statistics as figures
from fewphoton.figures import style
from fewphoton.io.metrics import read_table

_Rows = list[dict[str, Any]]
_TIMES = 240

_AXIS_NAMES = {
    "n_atoms": "number of atoms",
    "n_heavy_atoms": "atoms other than hydrogen",
    "white_level": "noise level N",
    "noise_level": "noise level N",
    "wavelength_angstrom": "wavelength (Å)",
    "photons_per_shot": "photons per shot",
    "n_detectors": "detectors",
    "error": "error ε",
    "rms_matched_angstrom": "rms error of matched atoms (Å)",
    "rms_over_bound": "rms error / Cramér-Rao bound",
    "reduced_chi2": "reduced χ²",
    "n_matched": "matched atoms",
    "seconds": "time (s)",
}
_SYMBOLS = {
    "white_level": "N = {}",
    "noise_level": "N = {}",
    "wavelength_angstrom": "λ = {} Å",
    "n_atoms": "{} atoms",
    "photons_per_shot": "{} photons",
    "n_detectors": "{} detectors",
    "largest_angle_deg": "up to {}°",
    "atom_model": "{}",
    "method": "{}",
    "molecule": "{}",
}


def kept_rows(paths: Sequence[str], only: Mapping[str, str | float | tuple[str | float, ...]]) -> _Rows:
    """Read tables, one below the other, and keep the rows whose columns have the wanted value, or one of these.

    Columns that a sweep names after a section of the configuration, as ``simulate_shot.white_level``, lose that name
    where what is left is no other column.

    Raises
    ------
    DataError
        If a column that is asked for is in no table, or no row is left.
    """
    read = [row for path in paths for row in read_table(path)]
    given = {name for row in read for name in row}
    plain = Counter(_plain(name) for name in given)
    short = {name: _plain(name) if plain[_plain(name)] == 1 else name for name in given}
    rows: _Rows = [{short[name]: value for name, value in row.items()} for row in read]
    columns = set(short.values())
    for name, wanted in only.items():
        if name not in columns:
            raise DataError(f"only: the tables have no column {name!r}; they have {', '.join(sorted(columns))}")
        values = wanted if isinstance(wanted, tuple) else (wanted,)
        rows = [row for row in rows if any(_is(row.get(name), value) for value in values)]
        if not rows:
            raise DataError(f"only: no row is left whose {name} is {' or '.join(str(value) for value in values)}")
    if not rows:
        raise DataError("the tables hold no rows")
    return rows


def _is(text: Any, value: str | float) -> bool:
    """Compare a cell with a wanted value; numbers by value."""
    try:
        return bool(np.isclose(float(text), float(value), rtol=1e-9, atol=0))
    except (TypeError, ValueError):
        return str(text) == str(value)


def _draw_error_curves(rows: _Rows, config: DrawMoleculeConfig) -> tuple[style.Figure, _Rows]:
    x = config.x or "n_atoms"
    by = tuple(dict.fromkeys((*config.panels, *config.series, x)))
    table = aggregate(rows, by, (config.merit,), config.success)
    panels = []
    for panel, cells in _parted(table, config.panels).items():
        curves = []
        for label, line in _parted(cells, config.series).items():
            names = ("median", "quartile_low", "quartile_high")
            merit = [column_numbers(line, f"{config.merit}_{name}") for name in names]
            rate = [column_numbers(line, name) for name in ("success_rate", "success_rate_low", "success_rate_high")]
            curves.append(figures.RecoveryCurve(label, column_numbers(line, x), *merit, *rate))
        panels.append(figures.RecoveryPanel(panel, curves))
    y_label = f"{_axis_name(config.merit)} (median, quartiles)"
    return figures.draw_error_curves(panels, _axis_name(x), y_label), table


def _draw_precision(rows: _Rows, config: DrawMoleculeConfig) -> tuple[style.Figure, _Rows]:
    x = config.x or "white_level"
    merits = ("rms_matched_angstrom", "rms_over_bound")
    table = aggregate(rows, tuple(dict.fromkeys((*config.series, x))), merits, config.success)
    solved = [row for row, value in zip(rows, column_numbers(rows, config.success), strict=True) if value == 1]
    series = [
        figures.Precision(label, *(column_numbers(part, name) for name in (x, *merits)))
        for label, part in _parted(solved, config.series).items()
    ]
    return figures.draw_precision(series, _axis_name(x)), table


def _draw_time_to_solution(rows: _Rows, config: DrawMoleculeConfig) -> tuple[style.Figure, _Rows]:
    seconds = column_numbers(rows, config.seconds)
    known = seconds[np.isfinite(seconds) & (seconds > 0)]
    if len(known) == 0:
        raise DataError(f"column {config.seconds!r} holds no time above 0")
    budgets = np.geomspace(0.8 * known.min(), known.max(), _TIMES)
    curves, table = [], []
    for label, part in _parted(rows, config.series).items():
        solved = column_numbers(part, config.success) == 1
        share, low, high = success_by_time(column_numbers(part, config.seconds), solved, budgets)
        curves.append(figures.TimeCurve(label, budgets, share, low, high, len(part)))
        table += [
            {"series": label, "seconds": s, "success_rate": a, "success_rate_low": b, "success_rate_high": c}
            for s, a, b, c in zip(budgets, share, low, high, strict=True)
        ]
    return figures.draw_time_to_solution(curves), table


def _parted(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> dict[str, _Rows]:
    """Part rows by the values of columns, in order of appearance; each part is named by its values."""
    parts: dict[str, _Rows] = {}
    for row in rows:
        missing = [name for name in columns if name not in row]
        if missing:
            raise DataError(f"the table has no column {', '.join(missing)}; it has {', '.join(row)}")
        parts.setdefault(", ".join(_value_name(name, row[name]) for name in columns), []).append(dict(row))
    return parts


def _plain(column: str) -> str:
    """Name of a column without the section of the configuration that a sweep puts before it."""
    return column.rsplit(".", 1)[-1]


def _axis_name(column: str) -> str:
    return _AXIS_NAMES.get(column, _AXIS_NAMES.get(_plain(column), column))


def _value_name(column: str, value: Any) -> str:
    """Name of a value in a legend, for example N = 10⁻³."""
    try:
        number = float(value)
        power = np.log10(number) if number > 0 else 0.5
        text = f"{number:g}"
        if abs(power) >= 2 and abs(power - round(power)) < 1e-9:
            text = f"$10^{{{round(power)}}}$"
    except (TypeError, ValueError):
        text = str(value)
    return _SYMBOLS.get(_plain(column), f"{_plain(column)} {{}}").format(text)


RECOVERY_FIGURES: dict[str, Callable[[_Rows, DrawMoleculeConfig], tuple[style.Figure, _Rows]]] = {
    "error_curves": _draw_error_curves,
    "precision": _draw_precision,
    "time_to_solution": _draw_time_to_solution,
}
"""Figures by name; each gives the figure and its table."""
