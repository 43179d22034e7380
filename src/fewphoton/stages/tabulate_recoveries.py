"""tabulate-recoveries: the batches of a study as one table, and success and errors of each of its cells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fewphoton.config.recovery_study import TabulateRecoveriesConfig
from fewphoton.errors import DataError
from fewphoton.evaluate.recovery_table import USUAL_MERITS, aggregate
from fewphoton.io.metrics import read_table, write_table
from fewphoton.stages.contract import Context, path_field

Config = TabulateRecoveriesConfig


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    batches: tuple[str, ...] = path_field("tables of recoveries (CSV), one below the other", many=True)


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    table: Path = path_field("all recoveries (CSV)")
    cells: Path = path_field("success rates with Wilson intervals, medians and quartiles of each cell (CSV)")


def run(inputs: Inputs, outputs: Outputs, config: TabulateRecoveriesConfig, context: Context) -> None:
    """Join and aggregate.

    Raises
    ------
    DataError
        If there is no recovery, or a column is missing.
    """
    rows = [row for path in inputs.batches for row in read_table(path)]
    try:
        columns = {name for row in rows for name in row}
        merits = [name for name in USUAL_MERITS if name in columns]
        cells = aggregate(rows, config.by, merits, confidence=config.confidence)
    except DataError as error:
        raise DataError(f"{', '.join(inputs.batches)}: {error}") from error
    write_table(outputs.table, rows)
    write_table(outputs.cells, cells)
