"""Dense frames in HDF5: one chunk a frame, compressed beside the caller's work; and the layout of LImA.

Frames are encoded in worker threads and stored past HDF5's filter, byte for byte what it would have stored; where the
filter's library keeps its codec to itself, HDF5 runs the filter in the caller's thread.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import DTypeLike, NDArray

import fewphoton
from fewphoton.data import Beam, Detector, FrameTable
from fewphoton.errors import DataError, OutputFileError
from fewphoton.io.bitshuffle_codec import ChunkEncoder, bitshuffle_library
from fewphoton.io.hdf5 import COMPRESSION, created, store
from fewphoton.io.provenance import Provenance

KIND = "dense_frames"
GAP, USER_MASK = 1, 1 << 8
"""Bits of an NXmx pixel mask: no sensor there; masked by the user."""

_COLUMNS = ("source_index", "n_exposures", "batch", "omega_start_deg", "omega_end_deg")


class _Pending(NamedTuple):
    number: int
    slot: ChunkEncoder
    chunk: Future[NDArray[np.uint8]]


class DenseDatasetWriter:
    """Appends frames to a dataset of one chunk a frame. Use :func:`dense_dataset_writer`.

    Frames are copied when they are handed over, so the caller may use its array again at once. No more than
    ``threads + 2`` frames are held.
    """

    def __init__(self, item: h5py.Dataset, pool: ThreadPoolExecutor, threads: int) -> None:
        self._item = item
        self._pool = pool
        self._taken = 0
        library = bitshuffle_library()
        shape = item.shape[1:]
        self._free = [] if library is None else [ChunkEncoder(shape, item.dtype) for _ in range(threads + 2)]
        self._pending: deque[_Pending] = deque()
        self._plain = library is None

    def append(self, frames: NDArray[Any]) -> None:
        """Add the next frames, `(k, n_slow, n_fast)`, in the dataset's type.

        Raises
        ------
        DataError
            If shape or type differ from the dataset's, or more frames come than were announced.
        """
        check_frames(frames, self._taken, self._item.shape, self._item.dtype)
        for frame in frames:
            if self._plain:
                self._item[self._taken] = frame
            else:
                if not self._free:
                    self._store_oldest()
                slot = self._free.pop()
                np.copyto(slot.frame, frame)
                self._pending.append(_Pending(self._taken, slot, self._pool.submit(slot.encode)))
            self._taken += 1

    def _store_oldest(self) -> None:
        oldest = self._pending.popleft()
        self._item.id.write_direct_chunk((oldest.number, 0, 0), oldest.chunk.result())
        self._free.append(oldest.slot)

    def finish(self) -> None:
        """Store what is still being encoded, and check that all frames came."""
        while self._pending:
            self._store_oldest()
        if self._taken != self._item.shape[0]:
            raise DataError(f"{self._taken} of {self._item.shape[0]} announced frames were written")


def check_frames(frames: NDArray[Any], written: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Raise DataError unless ``frames`` continue a stack of ``shape`` `(n_frames, n_slow, n_fast)` and ``dtype``."""
    if frames.ndim != 3 or frames.shape[1:] != shape[1:] or frames.dtype != dtype:
        raise DataError(
            f"dense frames: expected {dtype} (any, {shape[1]}, {shape[2]}), found {frames.dtype} {frames.shape}"
        )
    if written + len(frames) > shape[0]:
        raise DataError(f"dense frames: {written + len(frames)} frames for a file of {shape[0]}")


@contextlib.contextmanager
def dense_dataset_writer(
    group: h5py.Group,
    name: str,
    shape: tuple[int, int, int],
    dtype: DTypeLike,
    threads: int = 1,
) -> Iterator[DenseDatasetWriter]:
    """Make a dataset of dense frames and fill it while the block runs.

    Parameters
    ----------
    group : h5py.Group
        Where it goes.
    name : str
        Its name.
    shape : tuple of int
        `(n_frames, n_slow, n_fast)`, at least one frame.
    dtype : dtype
        Type of the values: integers or floats.
    threads : int
        Threads that encode beside the caller's.

    Raises
    ------
    DataError
        If shape, type or number of threads are impossible, or fewer frames came than announced.
    """
    if min(shape) < 1 or np.dtype(dtype).kind not in "iuf" or threads < 1:
        raise DataError(
            f"dense frames: expected at least one frame of numbers and one thread, found {np.dtype(dtype)} {shape} "
            f"and {threads} threads"
        )
    item = group.create_dataset(name, shape=shape, dtype=dtype, chunks=(1, *shape[1:]), **COMPRESSION)
    item.attrs["interpretation"] = "image"
    with ThreadPoolExecutor(threads, thread_name_prefix="encode") as pool:
        writer = DenseDatasetWriter(item, pool, threads)
        yield writer
        writer.finish()


def pixel_mask(detector: Detector) -> NDArray[np.uint32]:
    """Return the NXmx pixel mask, uint32 `frame_shape`: 0 good, bit 0 gap, bit 8 masked by the user."""
    gaps = detector.panel_numbers() < 0
    mask = np.where(gaps, GAP, np.where(detector.masked, USER_MASK, 0))
    return mask.astype(np.uint32).reshape(detector.frame_shape)


def store_frame_table(entry: h5py.Group, table: FrameTable | None, n_frames: int) -> None:
    """Write the columns of a frame table to the group ``frames``, where there is one."""
    if table is None:
        return
    if len(table) != n_frames:
        raise DataError(f"dense frames: the frame table has {len(table)} rows for {n_frames} frames")
    group = entry.create_group("frames")
    group.attrs["NX_class"] = "NXcollection"
    for name in _COLUMNS:
        units = {"units": "deg"} if name.endswith("_deg") else {}
        store(group, name, getattr(table, name), **units)


@contextlib.contextmanager
def write_dense_lima(
    path: Path | str,
    detector: Detector,
    beam: Beam,
    dtype: DTypeLike,
    n_frames: int,
    provenance: Provenance,
    *,
    table: FrameTable | None = None,
    threads: int = 1,
) -> Iterator[DenseDatasetWriter]:
    """Open a file in LImA's layout: frames in ``/entry_0000/instrument/detector/data``.

    Parameters
    ----------
    path : Path or str
        Final name; the file appears there when the block ends well.
    detector : Detector
        Gives frame shape and mask; LImA's layout has no place for panels.
    beam : Beam
        Gives the wavelength.
    dtype : dtype
        Type of the values.
    n_frames : int
        Number of frames, at least 1.
    provenance : Provenance
        Record of the making.
    table : FrameTable, optional
        Columns for ``/entry_0000/frames``.
    threads : int
        Threads that encode.

    Yields
    ------
    DenseDatasetWriter
        Its ``append`` takes `(k, n_slow, n_fast)`.

    Raises
    ------
    DataError
        If frames do not fit or are too few.
    OutputFileError
        If the file cannot be written.
    """
    if Path(path).suffix not in (".h5", ".hdf5", ".nxs"):
        raise OutputFileError(path, "has a suffix that readers do not take for HDF5", expected=".h5, .hdf5 or .nxs")
    with created(path) as file:
        # FabIO picks its LImA reader by the first letters of this attribute.
        file.attrs.update(default="entry_0000", creator=f"LIMA layout by fewphoton {fewphoton.__version__}")
        provenance.write(file, KIND)
        entry = _group(file, "entry_0000", "NXentry")
        entry["title"] = "Lima 2D detector acquisition"
        place = _group(_group(entry, "instrument", "NXinstrument"), "detector", "NXdetector")
        wave = _group(entry["instrument"], "beam", "NXbeam").create_dataset(
            "incident_wavelength", data=beam.wavelength_angstrom
        )
        wave.attrs["units"] = "angstrom"
        n_slow, n_fast = detector.frame_shape
        _group(place, "acquisition", "NXcollection")["nb_frames"] = np.int32(n_frames)
        information = _group(place, "detector_information", "NXcollection")
        information["image_lima_type"] = f"Bpp{8 * np.dtype(dtype).itemsize}"
        size = _group(information, "max_image_size", "NXcollection")
        size["xsize"], size["ysize"] = np.int32(n_fast), np.int32(n_slow)
        store(place, "pixel_mask", pixel_mask(detector), interpretation="image")
        store_frame_table(entry, table, n_frames)
        with dense_dataset_writer(place, "data", (n_frames, n_slow, n_fast), dtype, threads) as writer:
            plot = _group(place, "plot", "NXdata")
            plot.attrs["signal"] = "data"
            plot["data"] = place["data"]
            _group(entry, "measurement", "NXcollection")["data"] = place["data"]
            entry.attrs["default"] = plot.name
            yield writer


def _group(parent: h5py.Group, name: str, nx_class: str) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs["NX_class"] = nx_class
    return group
