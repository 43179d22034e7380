"""Checkpoints of a reconstruction, tied to the inputs they belong to.

They hold the volume, the records so far, and what options keep between iterations.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fewphoton.errors import InputFileError
from fewphoton.io.atomic import remove_leftovers
from fewphoton.io.hdf5 import created, dataset, opened, require_kind, store, text_attribute

KIND = "emc_checkpoint"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a checkpoint holds.

    Parameters
    ----------
    volume : ndarray of float64, `(n, n, n)`
        Where the next iteration starts from.
    records : list of dict
        One an iteration, numbers and words by name.
    memory : dict of ndarray of float64
        Further arrays by name.
    """

    volume: np.ndarray
    records: list[dict[str, Any]]
    memory: dict[str, np.ndarray]


def _column(stored: h5py.Dataset) -> list[Any]:
    values = stored.asstr()[()] if h5py.check_string_dtype(stored.dtype) else stored[()]
    return list(values.tolist())


class CheckpointFile:
    """One checkpoint file, replaced whole at each save.

    Parameters
    ----------
    path : Path
        File.
    identity : dict
        What the state belongs to (configuration, input digests); a file of another identity is not resumed from.
    say : callable, optional
        Takes a line for people where there is a file of another identity.
    """

    def __init__(self, path: Path, identity: dict[str, Any], say: Callable[[str], None] | None = None) -> None:
        self.path, self._say = path, say
        self._identity = json.dumps(identity, sort_keys=True)

    def read(self) -> Checkpoint | None:
        """Return what was saved, or None where there is no file or one of another identity.

        Parts that a killed run left while it saved are removed.

        Raises
        ------
        InputFileError
            If the file is truncated, is no checkpoint, lacks a part, or holds values that are not finite.
        """
        remove_leftovers(self.path)
        if not self.path.exists():
            return None
        try:
            with opened(self.path) as file:
                require_kind(file, KIND)
                if text_attribute(file, "identity") != self._identity:
                    if self._say is not None:
                        self._say(
                            f"{self.path} belongs to other parameters, inputs or another version of fewphoton: "
                            "starting anew"
                        )
                    return None
                volume = dataset(file, "volume", kind="f", shape=(None, None, None))[()]
                columns = {name: _column(dataset(file, f"records/{name}", shape=(None,))) for name in file["records"]}
                memory = {name: dataset(file, f"memory/{name}", kind="f")[()] for name in file["memory"]}
        except (InputFileError, KeyError) as error:
            raise InputFileError(
                self.path,
                f"cannot be resumed from: {error}",
                remedy="Remove the checkpoint to start anew, or bring back an intact copy",
            ) from error
        lengths = {len(values) for values in columns.values()}
        if len(lengths) > 1:
            raise InputFileError(
                self.path,
                "columns of the iterations differ in length",
                where="records",
                found=sorted(lengths),
                remedy="Remove the checkpoint to start anew",
            )
        for name, array in {"volume": volume, **{f"memory/{name}": values for name, values in memory.items()}}.items():
            if not np.isfinite(array).all():
                raise InputFileError(
                    self.path,
                    "holds values that are not finite",
                    where=name,
                    remedy="Remove the checkpoint to start anew, or bring back an intact copy",
                )
        records = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return Checkpoint(volume, records, memory)

    def write(self, volume: np.ndarray, records: Sequence[Any], memory: Mapping[str, np.ndarray] | None = None) -> None:
        """Save volume, records (dataclass instances of numbers and words) and further arrays by name."""
        with created(self.path) as file:
            file.attrs["fewphoton_kind"] = KIND
            file.attrs["identity"] = self._identity
            store(file, "volume", volume)
            group = file.create_group("records")
            for column in fields(records[0]) if records else ():
                listed = [getattr(record, column.name) for record in records]
                words = h5py.string_dtype() if isinstance(listed[0], str) else None
                group.create_dataset(column.name, data=listed, dtype=words)
            kept = file.create_group("memory")
            for name, values in (memory or {}).items():
                store(kept, name, values)

    def unusable(self, what: str) -> InputFileError:
        """Return the error of records or memory that were read, but are not what a stage keeps there."""
        return InputFileError(self.path, what, where="records or memory", remedy="Remove the checkpoint to start anew")

    def remove(self) -> None:
        """Remove the file, if it is there."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise InputFileError(self.path, f"cannot be removed: {error}") from error
