"""Raw detector frames from files of any kind, read in pieces: HDF5 by path, NumPy arrays, and what FabIO reads."""

from __future__ import annotations

import contextlib
import glob
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
from numpy.typing import NDArray

from fewphoton.data import FrameTable
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.bitshuffle_codec import decode_chunk, decodes, packed_chunk
from fewphoton.io.hdf5 import opened
from fewphoton.io.image_files import load_array, open_image
from fewphoton.io.raw_hdf5 import find_frames, frame_columns, read_slice, stack_shape, write_raw_frames

__all__ = ["RawFrames", "open_raw_frames", "write_raw_frames"]

_HDF5_SUFFIXES = (".h5", ".hdf5", ".nxs", ".cxi", ".hdf")
_START_ANGLE = re.compile(r"Start_angle\s+([-+.\deE]+)")
_ANGLE_INCREMENT = re.compile(r"Angle_increment\s+([-+.\deE]+)")


class _Source(Protocol):
    """Frames of one file or dataset."""

    name: str
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return frames `(stop - start, slow, fast)`."""

    def deferred(self, number: int) -> Callable[[], NDArray[Any]]:
        """Return a function that gives frame `(slow, fast)`; it may run in another thread."""

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return batch and angles where the file holds them."""


class _Hdf5Source:
    def __init__(self, path: str, item: h5py.Dataset) -> None:
        self._item = item
        self.name = f"{path}::{item.name}"
        self.shape = stack_shape(item)
        self.dtype = item.dtype
        self._path = item.file.filename
        self._decodes = item.ndim == 3 and decodes(item)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        if self._decodes:
            # HDF5's own filter reads on past the end of a truncated chunk.
            return np.stack([self.deferred(number)() for number in range(start, stop)])
        return self._through_hdf5(start, stop)

    def _through_hdf5(self, start: int, stop: int) -> NDArray[Any]:
        try:
            return read_slice(self._item, start, stop)
        except OSError as error:
            raise InputFileError(
                self._item.file.filename, f"frames {start} to {stop - 1} cannot be read: {error}", where=self._item.name
            ) from error

    def deferred(self, number: int) -> Callable[[], NDArray[Any]]:
        if not self._decodes:
            frame = self.read(number, number + 1)[0]
            return lambda: frame
        packed = packed_chunk(self._item, (number, 0, 0))
        if packed is None:
            # HDF5 knows the fill value of a chunk that was never written.
            frame = self._through_hdf5(number, number + 1)[0]
            return lambda: frame

        def decode() -> NDArray[Any]:
            try:
                return decode_chunk(packed, self.shape[1:], self.dtype)
            except DataError as error:
                raise InputFileError(
                    self._path, f"frame {number} cannot be read: {error}", where=self._item.name
                ) from error

        return decode

    def columns(self) -> dict[str, NDArray[Any]]:
        return frame_columns(self._item, self.shape[0])


class _ArraySource:
    """Frames of a ``.npy`` file, read and not mapped: a mapped file that is cut in mid-run ends the process."""

    def __init__(self, path: Path) -> None:
        array = load_array(path, "r")
        if array.ndim not in (2, 3) or array.dtype.kind not in "iuf" or 0 in array.shape:
            raise InputFileError(
                path, "holds no frames", expected="(frames, slow, fast) numbers", found=f"{array.dtype} {array.shape}"
            )
        if not array.flags.c_contiguous:
            raise InputFileError(path, "holds frames in Fortran order", remedy="Save it with numpy.ascontiguousarray")
        self._path = path
        self._offset = int(getattr(array, "offset", 0))
        self.name = str(path)
        self.shape = (array.shape[0] if array.ndim == 3 else 1, *array.shape[-2:])
        self.dtype = array.dtype

    def read(self, start: int, stop: int) -> NDArray[Any]:
        count = (stop - start) * self.shape[1] * self.shape[2]
        offset = self._offset + start * self.shape[1] * self.shape[2] * self.dtype.itemsize
        try:
            values = np.fromfile(self._path, self.dtype, count, offset=offset)
        except OSError as error:
            raise InputFileError(self._path, f"frames {start} to {stop - 1} cannot be read: {error}") from error
        if len(values) != count:
            raise InputFileError(self._path, f"was cut while it was read, before frame {stop - 1}")
        return values.reshape(-1, *self.shape[1:])

    def deferred(self, number: int) -> Callable[[], NDArray[Any]]:
        return lambda: self.read(number, number + 1)[0]

    def columns(self) -> dict[str, NDArray[Any]]:
        return {}


class _FabioSource:
    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        image = open_image(path)
        if image.data is None or image.data.ndim != 2 or image.data.dtype.kind not in "iuf":
            raise InputFileError(path, "holds no two-dimensional image", found=getattr(image.data, "shape", None))
        self.shape = (int(image.nframes), int(image.data.shape[0]), int(image.data.shape[1]))
        self.dtype = image.data.dtype
        self._header = str(image.header.get("_array_data.header_contents", ""))
        image.close()

    def read(self, start: int, stop: int) -> NDArray[Any]:
        image = open_image(self._path)
        try:
            frames = [np.array(image.get_frame(number).data) for number in range(start, stop)]
        except Exception as error:
            raise InputFileError(self._path, f"FabIO cannot read frames {start} to {stop - 1}: {error}") from error
        finally:
            image.close()
        return np.stack(frames)

    def deferred(self, number: int) -> Callable[[], NDArray[Any]]:
        return lambda: self.read(number, number + 1)[0]

    def columns(self) -> dict[str, NDArray[Any]]:
        begin, step = _START_ANGLE.search(self._header), _ANGLE_INCREMENT.search(self._header)
        if self.shape[0] != 1 or begin is None or step is None:
            return {}
        first = float(begin.group(1))
        return {"omega_start_deg": np.array([first]), "omega_end_deg": np.array([first + float(step.group(1))])}


def _natural(text: str) -> list[Any]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]


def _expand(patterns: Sequence[str]) -> list[str]:
    """Replace globs by their files in natural order and ``@list`` by the lines of the file."""
    names: list[str] = []
    for pattern in patterns:
        if pattern.startswith("@"):
            try:
                lines = Path(pattern[1:]).read_text(encoding="utf-8").splitlines()
            except OSError as error:
                raise InputFileError(pattern[1:], f"list of files cannot be read: {error}") from error
            names += _expand([line.strip() for line in lines if line.strip() and not line.startswith("#")])
            continue
        path, separator, inside = pattern.partition("::")
        found = sorted(glob.glob(path), key=_natural) if glob.has_magic(path) else [path]
        if not found:
            raise InputFileError(path, "no file matches this pattern")
        names += [f"{name}{separator}{inside}" for name in found]
    if not names:
        raise InputFileError("raw frames", "no files were named")
    return names


class RawFrames:
    """Frames of several sources as one series; nothing but the requested frames is held in memory.

    Use :func:`open_raw_frames`.

    Attributes
    ----------
    path_names : tuple of str
        Sources in order.
    n_frames : int
        Frames over all sources.
    frame_shape : tuple of int
        `(n_slow, n_fast)`.
    dtype : numpy.dtype
        Type of the values.
    table : FrameTable
        Batch, angles (NaN where unknown), running source index. Where files hold no batches, each file of several
        frames is one, and successive files of one frame each are one together.
    """

    def __init__(self, sources: Sequence[_Source]) -> None:
        first = sources[0]
        for source in sources[1:]:
            if source.shape[1:] != first.shape[1:] or source.dtype != first.dtype:
                raise InputFileError(
                    source.name,
                    f"frames differ from those of {first.name}",
                    expected=f"{first.dtype} {first.shape[1:]}",
                    found=f"{source.dtype} {source.shape[1:]}",
                )
        self._sources = tuple(sources)
        self._first = np.concatenate([[0], np.cumsum([source.shape[0] for source in sources])])
        single = np.array([source.shape[0] == 1 for source in sources])
        self._batch = np.concatenate([[0], np.cumsum(~(single[1:] & single[:-1]))])
        self.path_names = tuple(source.name for source in sources)
        self.n_frames = int(self._first[-1])
        self.frame_shape = first.shape[1:]
        self.dtype = first.dtype
        self.table = FrameTable.concatenate([self._rows(number) for number in range(len(sources))])

    def _rows(self, number: int) -> FrameTable:
        source = self._sources[number]
        columns = source.columns()
        n_frames = source.shape[0]
        unknown = np.full(n_frames, np.nan)
        try:
            return FrameTable(
                np.arange(n_frames) + int(self._first[number]),
                np.ones(n_frames, dtype=np.int32),
                columns.get("batch", np.full(n_frames, self._batch[number])),
                columns.get("omega_start_deg", unknown),
                columns.get("omega_end_deg", unknown),
            )
        except DataError as error:
            raise InputFileError(source.name, str(error)) from error

    def names_of_frames(self) -> list[str]:
        """Return the source of each frame, by name."""
        return [
            name for name, n_frames in zip(self.path_names, np.diff(self._first), strict=True) for _ in range(n_frames)
        ]

    def chunks(self, size: int, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield `(first index, frames (k, n_slow, n_fast))` in order, k at most ``size``; sources are not mixed."""
        last = self.n_frames if stop is None else min(stop, self.n_frames)
        place = start
        while place < last:
            number = int(np.searchsorted(self._first, place, side="right")) - 1
            end = min(place + size, last, int(self._first[number + 1]))
            offset = int(self._first[number])
            yield place, self._sources[number].read(place - offset, end - offset)
            place = end

    def deferred(self, index: int) -> Callable[[], NDArray[Any]]:
        """Return a function that gives frame ``index`` `(n_slow, n_fast)`, for a thread of its own.

        What HDF5 must do one at a time is done in the call; decoding is left to the function where it can be.
        """
        number = int(np.searchsorted(self._first, index, side="right")) - 1
        return self._sources[number].deferred(index - int(self._first[number]))

    def read(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Return the frames of the given numbers, `(k, n_slow, n_fast)`."""
        frames = [next(self.chunks(1, int(index), int(index) + 1))[1] for index in indices]
        return np.concatenate(frames) if frames else np.empty((0, *self.frame_shape), dtype=self.dtype)


@contextlib.contextmanager
def open_raw_frames(patterns: Sequence[str]) -> Iterator[RawFrames]:
    """Open raw frames.

    Parameters
    ----------
    patterns : sequence of str
        Files, globs, ``file.h5::/path`` for an HDF5 dataset (links are followed), or ``@list.txt``.

    Raises
    ------
    InputFileError
        If a file is missing, truncated or foreign, or frames differ in shape or type.
    """
    with contextlib.ExitStack() as stack:
        sources: list[_Source] = []
        for name in _expand(patterns):
            path, _, inside = name.partition("::")
            if inside or path.removesuffix(".gz").endswith(_HDF5_SUFFIXES):
                file = stack.enter_context(opened(path))
                sources += [_Hdf5Source(path, item) for item in find_frames(file, inside or None)]
            elif not Path(path).is_file():
                raise InputFileError(path, "no such file")
            elif path.endswith(".npy"):
                sources.append(_ArraySource(Path(path)))
            else:
                sources.append(_FabioSource(Path(path)))
        yield RawFrames(sources)
