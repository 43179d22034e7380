"""Files of frame orientations (HDF5)."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from fewphoton.data.frame_orientations import FrameOrientations
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.hdf5 import created, dataset, opened, require_kind, store
from fewphoton.io.provenance import Provenance

KIND = "frame_orientations"
_UNITS = {"best_angle_deg": "deg", "angle_deg": "deg", "entropy_nat": "nat", "log_likelihood": "nat"}


def write_orientation_file(path: Path | str, orientations: FrameOrientations, provenance: Provenance) -> None:
    """Write the orientations of all frames."""
    with created(path) as file:
        group = file.create_group("frames")
        for column in fields(orientations):
            if getattr(orientations, column.name) is None:
                continue
            item = store(group, column.name, getattr(orientations, column.name))
            if column.name in _UNITS:
                item.attrs["units"] = _UNITS[column.name]
        provenance.write(file, KIND)


def read_orientation_file(path: Path | str) -> FrameOrientations:
    """Read the orientations of all frames.

    Raises
    ------
    InputFileError
        If the file is missing, truncated, foreign, or inconsistent.
    """
    with opened(path) as file:
        require_kind(file, KIND)
        columns = {
            column.name: dataset(file, f"frames/{column.name}", kind="fi", shape=(None,))[()]
            for column in fields(FrameOrientations)
            if column.default is not None or f"frames/{column.name}" in file
        }
        try:
            return FrameOrientations(**columns)
        except DataError as error:
            raise InputFileError(path, str(error), where="/frames") from error
