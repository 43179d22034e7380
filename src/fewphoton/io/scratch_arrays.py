"""Arrays in a scratch file that several processes of a node map into memory, and that nobody can leave behind.

The file has a name only while those who share it open it; it is empty until then. From there on it lives as long as a
process holds it or its mapping, so the system removes it when the last one ends, even one that was killed.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.errors import OutputFileError

_ALIGNMENT = 64  # arrays begin on cache lines
_REMEDY = "Name a folder on a disk with room (scratch_folder, TMPDIR), or keep photons in memory"


@dataclass(frozen=True)
class ArrayPlace:
    """Where an array lies in the file.

    Parameters
    ----------
    offset, length : int
        First byte, and number of elements.
    dtype : str
        Type of the elements.
    """

    offset: int
    length: int
    dtype: str


class ScratchArrays:
    """One-dimensional arrays, written one after another and mapped read-only.

    Parameters
    ----------
    path : Path
        File; made by :meth:`created`, opened by :meth:`shared`.
    handle : int
        Its open file descriptor.
    """

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle
        self._end = self._reserved = 0

    @classmethod
    @contextlib.contextmanager
    def created(cls, folder: Path) -> Iterator[ScratchArrays]:
        """Make an empty file in ``folder`` and close it at the end; mappings stay.

        Raises
        ------
        OutputFileError
            If the folder cannot be written, or a write inside the block fails.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=".fewphoton-photons-", dir=folder)
        except OSError as error:
            raise OutputFileError(
                folder, f"no scratch file can be made: {error.strerror or error}", remedy=_REMEDY
            ) from error
        made = cls(Path(name), handle)
        try:
            yield made
        finally:
            os.close(handle)
            made.remove_name()

    @classmethod
    @contextlib.contextmanager
    def shared(cls, path: Path) -> Iterator[ScratchArrays]:
        """Open the file that another process of the node has made, for reading, and close it at the end.

        Raises
        ------
        OutputFileError
            If it is not there: the folder is not the same for all processes of the node.
        """
        try:
            handle = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise OutputFileError(
                path, f"scratch file of another process of this node is not seen: {error.strerror}", remedy=_REMEDY
            ) from error
        try:
            yield cls(path, handle)
        finally:
            os.close(handle)

    def remove_name(self) -> None:
        """Take the file's name away; its content stays as long as it is open or mapped."""
        self.path.unlink(missing_ok=True)

    def reserve(self, n_bytes: int) -> None:
        """Make sure of room for ``n_bytes`` in all before anything is written.

        Raises
        ------
        OutputFileError
            If the disk, a quota or a limit of file sizes leaves less; it tells how much is needed.
        """
        if n_bytes <= self._reserved:
            return
        system = os.fstatvfs(self._handle)
        free = system.f_bavail * system.f_frsize + self._reserved
        problem = None
        if free < n_bytes:
            problem = f"{free / 1e9:.3f} GB free"
        elif hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(self._handle, 0, n_bytes)
            except OSError as error:
                problem = error.strerror or str(error)
        if problem is not None:
            raise OutputFileError(
                self.path.parent,
                "cannot hold the photons of this run",
                expected=f"{n_bytes / 1e9:.3f} GB of room",
                found=problem,
                remedy=_REMEDY,
            )
        self._reserved = n_bytes

    def append(self, arrays: Iterable[NDArray[Any]]) -> list[ArrayPlace]:
        """Write arrays at the end and return where they lie.

        Raises
        ------
        OutputFileError
            If there is no room, or the disk fails.
        """
        held = [np.ascontiguousarray(array) for array in arrays]
        places = []
        end = self._end
        for array in held:
            end += -end % _ALIGNMENT
            places.append(ArrayPlace(end, array.size, array.dtype.str))
            end += array.nbytes
        self.reserve(end)
        try:
            for array, place in zip(held, places, strict=True):
                _write(self._handle, array, place.offset)
        except OSError as error:
            raise OutputFileError(
                self.path.parent, f"scratch file cannot be written: {error.strerror or error}", remedy=_REMEDY
            ) from error
        self._end = end
        return places

    def trim(self) -> None:
        """Give back room that was reserved and not used."""
        os.ftruncate(self._handle, self._end)

    def mapped(self, groups: Sequence[Sequence[ArrayPlace]]) -> list[list[NDArray[Any]]]:
        """Return the arrays at ``groups`` of places, read-only; their pages are the system's and shared by all.

        Raises
        ------
        OutputFileError
            If the file cannot be mapped.
        """
        if not groups:
            return []
        try:
            view = mmap.mmap(self._handle, 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
        except OSError as error:
            raise OutputFileError(self.path, f"scratch file cannot be mapped: {error.strerror}") from error
        return [[np.frombuffer(view, p.dtype, p.length, p.offset) for p in places] for places in groups]


def _write(handle: int, array: NDArray[Any], offset: int) -> None:
    left = array.view(np.uint8).data
    while left:
        written = os.pwrite(handle, left[: 1 << 30], offset)
        left, offset = left[written:], offset + written
