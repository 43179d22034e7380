"""collect-metrics: one tidy table, a row for each point of a sweep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewphoton.config import CollectMetricsConfig
from fewphoton.errors import ConfigError
from fewphoton.io.metrics import read_metrics, write_table
from fewphoton.io.parquet_table import write_parquet
from fewphoton.io.provenance import provenance_of, record_digest
from fewphoton.stages.contract import Context, path_field

Config = CollectMetricsConfig

_BY_CHANCE = ("r_high_low_all", "r_high_low_low_q", "cc_reference", "cc_truth", "patterson_correlation_without_origin")
"""Metrics of shuffled orientations that enter the table, beside those of the reconstruction."""


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    metrics: tuple[str, ...] = path_field("metrics of each point (JSON), in the order of the configuration", many=True)
    more_metrics: tuple[str, ...] = path_field(
        "further metrics of the same points: once all of them, or several times one after another",
        optional=True,
        many=True,
    )
    shuffled_metrics: tuple[str, ...] = path_field(
        "metrics of the same frames merged with shuffled orientations", optional=True, many=True
    )
    chosen_metrics: tuple[str, ...] = path_field(
        "metrics of which single ones are taken, row after row, as many of each row as the configuration tells",
        optional=True,
        many=True,
    )
    results: tuple[str, ...] = path_field(
        "result files (HDF5 or JSON) whose provenance enters the digest of each row: once all of them, or several "
        "times one after another",
        optional=True,
        many=True,
    )


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    table: Path = path_field("table (CSV)")
    parquet: Path | None = path_field("the same table with typed columns (Parquet)", optional=True)


def run(inputs: Inputs, outputs: Outputs, config: CollectMetricsConfig, context: Context) -> None:
    """Join the records.

    Raises
    ------
    ConfigError
        If files and rows do not match in number.
    InputFileError
        If a file cannot be read, or a result file holds no provenance.
    MissingLibraryError
        If Parquet is wanted and PyArrow is not installed.
    """
    n_rows = len(config.columns)
    further, results = _rounds(inputs.more_metrics, n_rows), _rounds(inputs.results, n_rows)
    for kind, rounds in (
        ("metrics", [inputs.metrics, *further, inputs.shuffled_metrics]),
        ("results", results),
    ):
        for files in rounds:
            if files and len(files) != n_rows:
                raise ConfigError(f"{len(files)} files of {kind} for {n_rows} rows of columns")
    wanted = sum(map(len, config.chosen))
    if len(inputs.chosen_metrics) != wanted:
        raise ConfigError(f"{len(inputs.chosen_metrics)} files of chosen metrics where the rows choose from {wanted}")
    chosen = iter(inputs.chosen_metrics)
    rows = []
    for number, columns in enumerate(config.columns):
        row: dict[str, Any] = dict(columns)
        for files in (inputs.metrics, *further):
            row |= read_metrics(files[number])
        if inputs.shuffled_metrics:
            by_chance = read_metrics(inputs.shuffled_metrics[number])
            row |= {f"{name}_shuffled_orientations": by_chance.get(name) for name in _BY_CHANCE}
        for choice in config.chosen[number] if config.chosen else ():
            found = read_metrics(next(chosen))
            row |= {column: found.get(name) for name, column in config.choices[choice].items()}
        if results:
            records = [provenance_of(files[number]) for files in results]
            row["provenance_sha256"] = record_digest(columns, config.parameters_of(number), records)
        rows.append(row)
    if outputs.parquet is not None:
        write_parquet(outputs.parquet, rows)
    write_table(outputs.table, rows)


def _rounds(files: tuple[str, ...], n_rows: int) -> list[tuple[str, ...]]:
    return [files[start : start + n_rows] for start in range(0, len(files), n_rows)]
