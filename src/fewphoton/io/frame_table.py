"""The frame table inside HDF5 files: one dataset a column."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import h5py

from fewphoton.data import FrameTable
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.hdf5 import dataset, store

_WIDTH = {"quaternion": 4}
"""Columns that may be missing, and the length of their rows."""


def write_frame_table(group: h5py.Group, table: FrameTable, units: dict[str, str] | None = None) -> None:
    """Write the columns that the table has, with the ``units`` of those that are named."""
    for column in fields(table):
        values = getattr(table, column.name)
        if values is not None:
            unit = (units or {}).get(column.name)
            store(group, column.name, values, **({} if unit is None else {"units": unit}))


def read_frame_table(group: h5py.Group, name: str, n_frames: int) -> FrameTable:
    """Read the table that ``group`` holds under ``name``.

    Raises
    ------
    InputFileError
        If a column is missing or of the wrong length or type, or breaks a rule of the table.
    """
    columns: dict[str, Any] = {}
    for column in fields(FrameTable):
        width = _WIDTH.get(column.name)
        place = f"{name}/{column.name}"
        if width is None:
            columns[column.name] = dataset(group, place, kind="iuf", shape=(n_frames,))[()]
        elif place in group:
            columns[column.name] = dataset(group, place, kind="f", shape=(n_frames, width))[()]
    try:
        return FrameTable(**columns)
    except DataError as error:
        raise InputFileError(group.file.filename, str(error), where=f"{group.name}/{name}") from error
