"""collect-metrics: one tidy table, a row for each point of a sweep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewphoton.config import CollectMetricsConfig
from fewphoton.errors import ConfigError
from fewphoton.io.metrics import read_metrics, write_table
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


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    table: Path = path_field("table (CSV)")


def run(inputs: Inputs, outputs: Outputs, config: CollectMetricsConfig, context: Context) -> None:
    """Join the records."""
    n_rows = len(config.columns)
    further = [inputs.more_metrics[start : start + n_rows] for start in range(0, len(inputs.more_metrics), n_rows)]
    for files in (inputs.metrics, *further, inputs.shuffled_metrics):
        if files and len(files) != n_rows:
            raise ConfigError(f"{len(files)} files of metrics for {n_rows} rows of columns")
    rows = []
    for number, columns in enumerate(config.columns):
        row: dict[str, Any] = dict(columns)
        for files in (inputs.metrics, *further):
            row |= read_metrics(files[number])
        if inputs.shuffled_metrics:
            by_chance = read_metrics(inputs.shuffled_metrics[number])
            row |= {f"{name}_shuffled_orientations": by_chance.get(name) for name in _BY_CHANCE}
        rows.append(row)
    write_table(outputs.table, rows)
