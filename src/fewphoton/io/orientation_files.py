"""Files of frame orientations (HDF5)."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from fewphoton.data.frame_orientations import FrameOrientations
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.hdf5 import created, dataset, number_attribute, opened, require_kind, store
from fewphoton.io.provenance import Provenance

KIND = "frame_orientations"
_UNITS = {"best_angle_deg": "deg", "angle_deg": "deg", "entropy_nat": "nat", "log_likelihood": "nat"}


def write_orientation_file(path: Path | str, orientations: FrameOrientations, provenance: Provenance) -> None:
    """Write the orientations of all frames."""
    with created(path) as file:
        group = file.create_group("frames")
        for column in fields(orientations):
            values = getattr(orientations, column.name)
            if column.name == "spacing_deg" or values is None:
                continue
            item = store(group, column.name, values)
            if column.name in _UNITS:
                item.attrs["units"] = _UNITS[column.name]
        if orientations.spacing_deg is not None:
            group.attrs["spacing_deg"] = orientations.spacing_deg
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
        frames = file.get("frames")
        columns = {
            column.name: dataset(file, f"frames/{column.name}", kind="fi", shape=_shape(column.name))[()]
            for column in fields(FrameOrientations)
            if column.name != "spacing_deg" and (column.default is not None or f"frames/{column.name}" in file)
        }
        if frames is not None and "spacing_deg" in frames.attrs:
            columns["spacing_deg"] = number_attribute(frames, "spacing_deg")
        try:
            return FrameOrientations(**columns)
        except DataError as error:
            raise InputFileError(path, str(error), where="/frames") from error


def _shape(column: str) -> tuple[int | None, ...]:
    return (None, 4) if column == "best_quaternion" else (None,)
