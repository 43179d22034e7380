"""Opening HDF5 files so that every way they can be wrong becomes a typed error."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import shutil
import tempfile
import traceback
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np

from fewphoton.errors import DataError, FewphotonError, InputFileError
from fewphoton.io.atomic import written_aside
from fewphoton.io.bitshuffle_codec import check_chunk, is_packed_in_blocks, packed_chunk
from fewphoton.io.global_heaps import broken_heap
from fewphoton.io.write_guard import WriteGuard

COMPRESSION: dict[str, Any] = dict(hdf5plugin.Bitshuffle(nelems=0, cname="lz4"))
"""Bitshuffle-LZ4, the compression of every larger dataset."""


@contextlib.contextmanager
def opened(path: Path | str) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading; one in gzip (``.gz``) is unpacked to a scratch file for as long as it is open.

    Raises
    ------
    InputFileError
        If the file is missing, is no HDF5 file, is truncated, or breaks while it is read.
    """
    source = Path(path)
    if not source.exists():
        raise InputFileError(source, "no such file")
    if source.is_dir():
        raise InputFileError(source, "is a folder, not an HDF5 file")
    if source.suffix.lower() == ".gz":
        with _unpacked(source) as plain:
            try:
                with opened(plain) as file:
                    yield file
            except InputFileError as error:
                if error.path != plain:
                    raise
                # The scratch file means nothing to anybody; the problem is that of the packed file.
                place = "" if error.where is None else f" [{error.where}]"
                problem = str(error).removeprefix(f"{plain}{place}: ")
                raise InputFileError(source, problem, where=error.where) from error
        return
    try:
        file = h5py.File(source, "r")
    except OSError as error:
        raise InputFileError(
            source, "cannot be opened as HDF5 (truncated, or another format)", found=str(error).splitlines()[0]
        ) from error
    try:
        with file:
            if (heap := broken_heap(source)) is not None:
                raise InputFileError(
                    source,
                    "holds damaged texts, in which the HDF5 library would never come to an end",
                    where=f"global heap at byte {heap}",
                    remedy="Bring the file anew, or make it again",
                )
            yield file
    except MemoryError as error:
        if not _asked_by_reader(error):
            raise
        raise InputFileError(source, "holds more than fits into memory, or corrupt shapes", found=error) from error
    except (OSError, KeyError, RuntimeError, TypeError, ValueError, OverflowError) as error:
        # Broken metadata make h5py raise all of these; those of other code pass.
        if not isinstance(error, OSError) and "h5py" not in Path(_raised_in(error)).parts:
            raise
        raise InputFileError(source, "breaks while it is read (truncated or corrupt data)", found=error) from error


def _raised_in(error: BaseException) -> str:
    """Return the source file that raised an error."""
    return traceback.extract_tb(error.__traceback__)[-1].filename


def _asked_by_reader(error: MemoryError) -> bool:
    """Tell whether memory was asked for by h5py or by readers of files, not by who uses what was read."""
    frames = [Path(frame.filename).parts for frame in traceback.extract_tb(error.__traceback__)]
    if frames and "h5py" in frames[-1]:
        return True
    callers = [parts for parts in frames if "numpy" not in parts and parts[-3:-1] != ("fewphoton", "data")]
    return bool(callers) and callers[-1][-3:-1] == ("fewphoton", "io")


@contextlib.contextmanager
def _unpacked(source: Path) -> Iterator[Path]:
    """Yield a scratch file with what ``source`` (gzip) holds; its name ends with the name of the source."""
    with tempfile.TemporaryDirectory(prefix="fewphoton-") as folder:
        plain = Path(folder) / source.stem
        try:
            with gzip.open(source, "rb") as packed, plain.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked, 1024**2)
        except (OSError, EOFError, zlib.error) as error:
            raise InputFileError(source, f"cannot be unpacked (truncated, no gzip, or no room): {error}") from error
        yield plain


def dataset(
    file: h5py.File | h5py.Group,
    name: str,
    *,
    kind: str | None = None,
    shape: tuple[int | None, ...] | None = None,
) -> h5py.Dataset:
    """Return a dataset after checking that it is there and is what it should be.

    Parameters
    ----------
    file : h5py.File or h5py.Group
        Where to look.
    name : str
        Path inside ``file``; soft, external and virtual links are followed.
    kind : str, optional
        Allowed NumPy kinds, for example ``"iu"`` for integers or ``"f"``.
    shape : tuple, optional
        Wanted shape; None stands for any length.

    Raises
    ------
    InputFileError
        Naming file, dataset, what was expected and what was found.
    """
    path = file.file.filename
    try:
        item = file[name]
    except (KeyError, OSError) as error:
        near = ", ".join(sorted(map(str, file))[:12]) or "nothing"
        raise InputFileError(
            path, "dataset is missing or its link is broken", where=name, found=f"{file.name} holds {near}"
        ) from error
    if not isinstance(item, h5py.Dataset):
        raise InputFileError(path, "is a group", where=name, expected="a dataset")
    if item.shape is None:
        raise InputFileError(path, "holds nothing", where=name, expected="values", found="an empty dataspace")
    if kind is not None and item.dtype.kind not in kind:
        names = {"i": "integers", "u": "unsigned integers", "f": "floats", "b": "booleans", "S": "text", "O": "text"}
        wanted = " or ".join(names.get(letter, letter) for letter in kind)
        raise InputFileError(path, "has the wrong type", where=name, expected=wanted, found=item.dtype)
    if shape is not None and (
        item.ndim != len(shape) or any(w is not None and w != h for w, h in zip(shape, item.shape, strict=True))
    ):
        wanted_shape = tuple("any" if n is None else n for n in shape)
        raise InputFileError(path, "has the wrong shape", where=name, expected=wanted_shape, found=item.shape)
    return _CheckedDataset(item.id) if is_packed_in_blocks(item) else item


class _CheckedDataset(h5py.Dataset):  # type: ignore[misc]
    """A dataset in bitshuffled chunks, which are checked before HDF5's filter sees them: corrupt ones would end it."""

    def __getitem__(self, args: Any, new_dtype: Any = None) -> Any:
        self._check_chunks(args)
        return super().__getitem__(args, new_dtype=new_dtype)

    def _check_chunks(self, args: Any) -> None:
        n_rows, size = self.shape[0], int(np.prod(self.chunks))
        first = args[0] if isinstance(args, tuple) and args else args
        start, stop = 0, n_rows
        if isinstance(first, slice):
            start, stop, _ = first.indices(n_rows)
        elif isinstance(first, int | np.integer):
            start = int(first) + n_rows if first < 0 else int(first)
            stop = start + 1
        axes = [range(start // self.chunks[0] * self.chunks[0], stop, self.chunks[0])]
        axes += [range(0, n, step) for n, step in zip(self.shape[1:], self.chunks[1:], strict=True)]
        for corner in itertools.product(*axes):
            packed = packed_chunk(self, corner)
            if packed is None:
                continue
            try:
                check_chunk(packed, size, self.dtype.itemsize)
            except DataError as error:
                raise InputFileError(self.file.filename, str(error), where=self.name) from error


def holds_rows(item: h5py.Dataset, kind: str) -> bool:
    """Tell whether the entries of a dataset are rows of any length, of numbers of these kinds (letters of NumPy)."""
    each = h5py.check_vlen_dtype(item.dtype)
    return each is not None and np.dtype(each).kind in kind


def text(group: h5py.File | h5py.Group, name: str) -> str:
    """Return a dataset that is one piece of text, or raise InputFileError naming file and dataset."""
    item = dataset(group, name, kind="OS", shape=())
    if h5py.check_string_dtype(item.dtype) is None:
        raise InputFileError(group.file.filename, "is no text", where=name, found=item.dtype)
    return str(item.asstr()[()])


def attribute(item: h5py.Dataset | h5py.Group, name: str) -> Any:
    """Return an attribute, or raise InputFileError naming file, object and attribute."""
    if name not in item.attrs:
        raise InputFileError(item.file.filename, f"attribute {name!r} is missing", where=item.name)
    value = item.attrs[name]
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InputFileError(item.file.filename, f"attribute {name!r} is no UTF-8 text", where=item.name) from error


def text_attribute(item: h5py.Dataset | h5py.Group, name: str) -> str:
    """Return an attribute that is a word, or raise InputFileError naming file, object and attribute."""
    value = attribute(item, name)
    if not isinstance(value, str):
        raise InputFileError(
            item.file.filename, f"attribute {name!r} is no text", where=item.name, found=repr(value)[:60]
        )
    return value


def number_attribute(item: h5py.Dataset | h5py.Group, name: str) -> float:
    """Return an attribute that is one number (NaN is), or raise InputFileError naming file, object and attribute."""
    value = attribute(item, name)
    if np.ndim(value) == 0 and np.asarray(value).dtype.kind in "iufb":
        return float(value)
    raise InputFileError(
        item.file.filename, f"attribute {name!r} is no number", where=item.name, found=repr(value)[:60]
    )


def whole_attribute(item: h5py.Dataset | h5py.Group, name: str) -> int:
    """Return an attribute that is one whole number, or raise InputFileError naming file, object and attribute."""
    value = number_attribute(item, name)
    if not value.is_integer():
        raise InputFileError(item.file.filename, f"attribute {name!r} is no whole number", where=item.name, found=value)
    return int(value)


@contextlib.contextmanager
def created(path: Path | str) -> Iterator[h5py.File]:
    """Open a new HDF5 file under a temporary name; it takes its final name when the block ends well.

    Raises
    ------
    OutputFileError
        If it cannot be written, for example because the disk is full.
    """
    with written_aside(path) as aside, WriteGuard(aside) as guard:
        try:
            with h5py.File(guard, "w", libver="v110", track_order=True) as file:
                yield file
        except FewphotonError:
            raise
        except Exception as error:
            # What follows a failed write, such as content that cannot be read back, is not the cause.
            if guard.failure is None:
                raise
            raise guard.failure from error
        if guard.failure is not None:
            raise guard.failure


def store(group: h5py.Group, name: str, values: Any, **attributes: Any) -> h5py.Dataset:
    """Write an array (compressed where it is larger than 64 KiB) with its attributes, for example ``units``."""
    array = np.asarray(values)
    options = COMPRESSION if array.nbytes > 65536 else {}
    item = group.create_dataset(name, data=array, **options)
    item.attrs.update(attributes)
    return item


def is_kind(path: Path | str, wanted: str) -> bool:
    """Tell whether ``path`` is an HDF5 file of ours of the kind ``wanted`` (root attribute ``fewphoton_kind``)."""
    with opened(path) as file:
        return _kind(file) == wanted


def require_kind(file: h5py.File, wanted: str) -> None:
    """Raise InputFileError unless the root attribute ``fewphoton_kind`` is ``wanted``."""
    found = _kind(file)
    if found != wanted:
        raise InputFileError(
            file.filename,
            "is not the kind of file this step reads",
            where="/ attribute fewphoton_kind",
            expected=wanted,
            found=found or "a file of another program",
        )


def _kind(file: h5py.File) -> str | None:
    found = file.attrs.get("fewphoton_kind")
    return found if isinstance(found, str) else None
