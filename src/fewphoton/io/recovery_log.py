"""Recoveries that are done, kept beside the table that they will make, so that an interrupted batch goes on.

One file a rank, a line of JSON a recovery. A line is written whole or, where the program is killed, torn; a torn last
line is left out and its recovery done again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fewphoton.errors import InputFileError, OutputFileError
from fewphoton.io.metrics import Value, plain_record


class RecoveryLog:
    """Finished recoveries of a table that is being made.

    Parameters
    ----------
    table : Path
        The table; logs lie beside it.
    identity : mapping
        What the recoveries belong to (parameters, digests of structures), JSON-ready. Logs of another identity are not
        read, and are written over.
    rank : int
        Rank that writes.
    """

    def __init__(self, table: Path, identity: Mapping[str, Any], rank: int = 0) -> None:
        self._table = table
        self._head = json.dumps({"identity": dict(identity)}, sort_keys=True)
        self.path = table.with_name(f"{table.stem}.partial.{rank}.jsonl")

    def read(self) -> dict[int, dict[str, Value]]:
        """Return the records of all ranks by number.

        Raises
        ------
        InputFileError
            If a line other than a torn last one is no record.
        """
        records: dict[int, dict[str, Value]] = {}
        for path in self._logs():
            for place, line in enumerate(self._whole_lines(path)[1:], start=2):
                try:
                    content = json.loads(line)
                    records[int(content["number"])] = dict(content["record"])
                except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
                    raise InputFileError(
                        path,
                        f"holds no record of a recovery: {error}",
                        where=f"line {place}",
                        remedy="Remove the file; its recoveries are then done again",
                    ) from error
        return records

    def append(self, number: int, record: Mapping[str, Any]) -> None:
        """Keep a finished recovery; it is on the disk when this returns.

        Raises
        ------
        OutputFileError
            If the file cannot be written.
        """
        line = json.dumps({"number": number, "record": plain_record(record)})
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lines = self._whole_lines(self.path)
            whole = sum(len(text.encode()) + 1 for text in lines)
            with self.path.open("r+b" if lines else "wb") as file:
                file.truncate(whole)
                file.seek(whole)
                file.write((f"{line}\n" if lines else f"{self._head}\n{line}\n").encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputFileError(self.path, f"cannot be written: {error.strerror or error}") from error

    def remove(self) -> None:
        """Remove the logs of all ranks, once the table is there."""
        for path in self._logs():
            path.unlink(missing_ok=True)

    def _logs(self) -> list[Path]:
        return sorted(self._table.parent.glob(f"{self._table.stem}.partial.*.jsonl"))

    def _whole_lines(self, path: Path) -> list[str]:
        """Return the lines of a log without a torn last one; none where it is missing or of another identity."""
        try:
            lines = path.read_text(encoding="utf-8").split("\n")[:-1]
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise InputFileError(path, f"cannot be read: {error}", remedy="Remove the file") from error
        return lines if lines[:1] == [self._head] else []
