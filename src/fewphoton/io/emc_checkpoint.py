"""Checkpoints of a reconstruction: the volume and the records so far, tied to the inputs they belong to."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from fewphoton.errors import FileError, InputFileError
from fewphoton.io.hdf5 import created, dataset, opened, require_kind, store

KIND = "emc_checkpoint"


class CheckpointFile:
    """One checkpoint file, replaced whole at each save.

    Parameters
    ----------
    path : Path
        File.
    identity : dict
        What the state belongs to (configuration, input digests); a file of another identity is not resumed from.
    """

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self.path = path
        self._identity = json.dumps(identity, sort_keys=True)

    def read(self) -> tuple[np.ndarray, list[dict[str, float]]] | None:
        """Return volume and records, or None where there is no usable checkpoint of this identity.

        A truncated or foreign file is not an error here: the run can start anew, and does.
        """
        if not self.path.exists():
            return None
        try:
            with opened(self.path) as file:
                require_kind(file, KIND)
                if file.attrs.get("identity") != self._identity:
                    return None
                volume = dataset(file, "volume", kind="f", shape=(None, None, None))[()]
                columns = {name: item[()] for name, item in file["records"].items()}
        except (FileError, KeyError):
            return None
        length = len(next(iter(columns.values()), []))
        return volume, [{name: values[i].item() for name, values in columns.items()} for i in range(length)]

    def write(self, volume: np.ndarray, records: list[Any]) -> None:
        """Save volume and records (dataclass instances of numbers)."""
        with created(self.path) as file:
            file.attrs["fewphoton_kind"] = KIND
            file.attrs["identity"] = self._identity
            store(file, "volume", volume)
            group = file.create_group("records")
            for column in fields(records[0]) if records else ():
                group.create_dataset(column.name, data=np.array([asdict(record)[column.name] for record in records]))

    def remove(self) -> None:
        """Remove the file, if it is there."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise InputFileError(self.path, f"cannot be removed: {error}") from error
