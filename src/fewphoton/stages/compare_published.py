"""compare-published: our metrics beside published values of the same quantities."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fewphoton.config import ComparePublishedConfig
from fewphoton.errors import InputFileError
from fewphoton.io.metrics import read_table, write_table
from fewphoton.stages.contract import Context, path_field

Config = ComparePublishedConfig


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    table: Path = path_field("table of all metrics (CSV)")
    published: Path = path_field("published values (CSV): swept parameters, stage.key, and metrics under our names")


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    comparison: Path = path_field("table (CSV)")


def run(inputs: Inputs, outputs: Outputs, config: ComparePublishedConfig, context: Context) -> None:
    """Set them side by side: all our points that were published, then published points that we do not have.

    Raises
    ------
    InputFileError
        If the published table is empty, or names a parameter or metric that our table lacks.
    """
    ours, theirs = read_table(inputs.table), read_table(inputs.published)
    if not ours or not theirs:
        raise InputFileError(inputs.published if ours else inputs.table, "holds no row")
    missing = [name for name in theirs[0] if name not in ours[0]]
    if missing:
        raise InputFileError(
            inputs.published,
            "names columns that the table of metrics lacks",
            expected=f"columns of {inputs.table}",
            found=", ".join(missing),
        )
    keys = [name for name in theirs[0] if "." in name]
    metrics = [name for name in theirs[0] if "." not in name]
    point = [name for name in ours[0] if name == "dataset" or "." in name]
    published = {tuple(float(row[key]) for key in keys): row for row in theirs}
    rows: list[dict[str, str | None]] = []
    found = set()
    for row in ours:
        place = tuple(float(row[key]) for key in keys)
        if place not in published:
            continue
        found.add(place)
        line: dict[str, str | None] = {name: row[name] for name in point}
        for name in metrics:
            line |= {name: row[name], f"{name}_published": published[place][name] or None}
        rows.append(line | {name: row.get(name) or None for name in config.also})
    for place, row in published.items():
        if place not in found:
            rows.append(
                {**{key: row[key] for key in keys}, **{f"{name}_published": row[name] or None for name in metrics}}
            )
    write_table(outputs.comparison, rows)
