"""Metrics: one flat record of numbers and words a result, as JSON and CSV; units are in the names."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fewphoton.errors import DataError, InputFileError
from fewphoton.io.atomic import write_text

Value = float | int | str | bool | None


def _plain(name: str, value: Any) -> Value:
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise DataError(f"metric {name}: expected a number, a word or nothing, found {type(value).__name__}")


def plain_record(record: Mapping[str, Any]) -> dict[str, Value]:
    """Return a flat record as JSON takes it; numbers that are not finite become None.

    Raises
    ------
    DataError
        If a value is neither a number nor a word.
    """
    return {name: _plain(name, value) for name, value in record.items()}


def write_metrics(path: Path | str, record: Mapping[str, Any]) -> None:
    """Write one flat record as JSON; numbers that are not finite become null."""
    write_text(path, json.dumps(plain_record(record), indent=2) + "\n")


def read_metrics(path: Path | str) -> dict[str, Value]:
    """Read what :func:`write_metrics` wrote."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputFileError(path, f"cannot be read as metrics: {error}") from error
    if not isinstance(content, dict):
        raise InputFileError(path, "is no record of metrics", expected="a JSON object", found=type(content).__name__)
    return content


def write_table(path: Path | str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write records as CSV, one row each; columns in order of first appearance, empty where a record has none."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(plain_record(row) for row in rows)
    write_text(path, buffer.getvalue())


def read_table(path: Path | str) -> list[dict[str, str]]:
    """Read a CSV table as one dictionary of texts a row."""
    try:
        with Path(path).open(newline="", encoding="utf-8") as handle:
            return list(csv.DictReader(handle))
    except (OSError, ValueError, csv.Error) as error:
        raise InputFileError(path, f"cannot be read as a table: {error}") from error
