"""Raw frames in HDF5: where the dataset is, how it is read in pieces, how simulated frames are written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import DTypeLike, NDArray

from fewphoton.data import FrameTable
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.hdf5 import COMPRESSION, created, dataset, store
from fewphoton.io.provenance import Provenance

_USUAL_PLACES = ("entry/data/data", "entry_0000/instrument/detector/data", "entry/instrument/detector/data", "data")
_COLUMNS = ("batch", "omega_start_deg", "omega_end_deg")


def find_frames(file: h5py.File, name: str | None) -> list[h5py.Dataset]:
    """Return the frame datasets of a file in order: the named one, or the default plot, or the usual places.

    Raises
    ------
    InputFileError
        If there is none, or it holds no numbers in two to four dimensions.
    """
    if name is not None:
        return [_checked(dataset(file, name, kind="iuf"))]
    group = file.get("entry/data")
    if isinstance(group, h5py.Group):
        # Eiger writes its frames to numbered files and links them as data_000001, data_000002, ...
        numbered = sorted(key for key in group if key.startswith("data_") and key[5:].isdigit())
        if numbered:
            return [_checked(dataset(group, key, kind="iuf")) for key in numbered]
    for place in [_default_plot(file), *_USUAL_PLACES]:
        if place is not None and isinstance(file.get(place), h5py.Dataset):
            return [_checked(dataset(file, place, kind="iuf"))]
    raise InputFileError(
        file.filename,
        "no frames found",
        expected=f"the default plot, or one of {', '.join(_USUAL_PLACES)}",
        remedy="Name the dataset as file.h5::/path/to/data",
    )


def _default_plot(file: h5py.File) -> str | None:
    place: Any = file
    for _ in range(4):
        default = place.attrs.get("default")
        if isinstance(default, bytes):
            default = default.decode(errors="replace")
        if not isinstance(default, str) or default not in place:
            break
        place = place[default]
    signal = place.attrs.get("signal")
    if isinstance(signal, bytes):
        signal = signal.decode(errors="replace")
    return f"{place.name}/{signal}" if isinstance(signal, str) and signal in place else None


def _checked(item: h5py.Dataset) -> h5py.Dataset:
    if item.ndim not in (2, 3, 4) or 0 in item.shape:
        raise InputFileError(
            item.file.filename,
            "holds no frames",
            where=item.name,
            expected="(frames, slow, fast), (frames, modules, slow, fast) or one frame, none of them empty",
            found=item.shape,
        )
    return item


def stack_shape(item: h5py.Dataset) -> tuple[int, int, int]:
    """Return (frames, slow, fast) of a dataset; modules are stacked along slow, a single image is one frame."""
    if item.ndim == 2:
        return (1, item.shape[0], item.shape[1])
    if item.ndim == 3:
        return (item.shape[0], item.shape[1], item.shape[2])
    return (item.shape[0], item.shape[1] * item.shape[2], item.shape[3])


def read_slice(item: h5py.Dataset, start: int, stop: int) -> NDArray[Any]:
    """Return frames ``start`` to ``stop - 1`` as `(frames, slow, fast)`."""
    _, n_slow, n_fast = stack_shape(item)
    values = item[()] if item.ndim == 2 else item[start:stop]
    return np.asarray(values).reshape(-1, n_slow, n_fast)


def frame_columns(item: h5py.Dataset, n_frames: int) -> dict[str, NDArray[Any]]:
    """Return batch and angles stored beside the frames in the entry's group ``frames``, where they are.

    Raises
    ------
    InputFileError
        If a column has another length than the frames.
    """
    file = item.file
    found = {}
    entry = item.name.split("/")[1] if item.name.count("/") > 1 else "entry"
    for name in _COLUMNS:
        if f"{entry}/frames/{name}" in file:
            found[name] = dataset(file, f"{entry}/frames/{name}", kind="iuf", shape=(n_frames,))[()]
    return found


class RawFrameWriter:
    """Appends chunks of frames to a raw file."""

    def __init__(self, item: h5py.Dataset) -> None:
        self._item = item
        self._written = 0

    def append(self, frames: NDArray[Any]) -> None:
        """Write the next frames, `(k, n_slow, n_fast)`."""
        stop = self._written + len(frames)
        if stop > len(self._item) or frames.shape[1:] != self._item.shape[1:]:
            raise DataError(f"frames of shape {frames.shape} do not fit into {self._item.shape} at {self._written}")
        self._item[self._written : stop] = frames
        self._written = stop

    def finish(self) -> None:
        """Check that all frames were written."""
        if self._written != len(self._item):
            raise DataError(f"{self._written} of {len(self._item)} raw frames were written")


@contextlib.contextmanager
def write_raw_frames(
    path: Path | str,
    frame_shape: tuple[int, int],
    dtype: DTypeLike,
    n_frames: int,
    table: FrameTable,
    provenance: Provenance,
) -> Iterator[RawFrameWriter]:
    """Open a raw file for writing: ``/entry/data/data`` and the frames' batches and angles in ``/entry/frames``."""
    with created(path) as file:
        file.attrs["default"] = "entry"
        entry = file.create_group("entry")
        entry.attrs.update(NX_class="NXentry", default="data")
        data = entry.create_group("data")
        data.attrs.update(NX_class="NXdata", signal="data")
        shape = (n_frames, *frame_shape)
        item = data.create_dataset("data", shape=shape, dtype=dtype, chunks=(1, *frame_shape), **COMPRESSION)
        item.attrs.update(units="ADU", interpretation="image")
        frames = entry.create_group("frames")
        for name in _COLUMNS:
            store(frames, name, getattr(table, name))
        writer = RawFrameWriter(item)
        yield writer
        writer.finish()
        provenance.write(file, "raw_frames")
