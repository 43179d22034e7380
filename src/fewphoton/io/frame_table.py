"""The frame table inside HDF5 files: one dataset a column."""

from __future__ import annotations

from dataclasses import fields

import h5py

from fewphoton.data import FrameTable
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.hdf5 import dataset, store

_WIDTH: dict[str, tuple[int, ...]] = {"quaternion": (4,), "true_fluence": (), "true_background": ()}
"""Columns that may be missing, and the shape of their rows."""


def write_frame_table(group: h5py.Group, table: FrameTable, units: dict[str, str] | None = None) -> None:
    """Write the columns that the table has, with the ``units`` of those that are named."""
    for column in fields(table):
        values = getattr(table, column.name)
        if values is not None:
            unit = (units or {}).get(column.name)
            store(group, column.name, values, **({} if unit is None else {"units": unit}))


class FrameTableReader:
    """The table that an HDF5 group holds under a name, read in pieces.

    Raises
    ------
    InputFileError
        If a column is missing or of the wrong length or type.
    """

    def __init__(self, group: h5py.Group, name: str, n_frames: int) -> None:
        self._path, self._where, self._n_frames = group.file.filename, f"{group.name}/{name}", n_frames
        self._columns: dict[str, h5py.Dataset] = {}
        for column in fields(FrameTable):
            width = _WIDTH.get(column.name)
            place = f"{name}/{column.name}"
            if width is None:
                self._columns[column.name] = dataset(group, place, kind="iuf", shape=(n_frames,))
            elif place in group:
                self._columns[column.name] = dataset(group, place, kind="f", shape=(n_frames, *width))

    def read(self, start: int = 0, stop: int | None = None) -> FrameTable:
        """Return rows ``start`` to ``stop - 1``.

        Raises
        ------
        InputFileError
            If they break a rule of the table.
        """
        last = self._n_frames if stop is None else stop
        try:
            return FrameTable(**{name: column[start:last] for name, column in self._columns.items()})
        except DataError as error:
            raise InputFileError(self._path, str(error), where=self._where) from error
