"""Global heaps of HDF5 files: a corrupt one has the library walk in a circle, which no time limit of ours could end.

Texts and rows of any length lie in such heaps: a header of 16 bytes, then objects, each with a header of 16 bytes that
tells its size (HDF5 File Format Specification 3.0, III.E).
"""

from __future__ import annotations

import contextlib
import mmap
import struct
from pathlib import Path

_EDGE_BYTES = 4 * 1024**2
_SUPERBLOCK = b"\x89HDF\r\n\x1a\n"
_COLLECTION = b"GCOL\x01\x00\x00\x00"
_HEADER_BYTES = 16
_LENGTH_BYTES = 8


def broken_heap(path: Path) -> int | None:
    """Return the place of a heap whose objects do not lead to its end, or None.

    The first and the last 4 MiB of the file are searched, where metadata usually are. Files whose lengths have other
    sizes than 8 bytes, and what cannot be read, are left to the library. Cost: one search through at most 8 MiB.

    Parameters
    ----------
    path : Path
        HDF5 file.
    """
    with (
        contextlib.suppress(OSError, ValueError),
        path.open("rb") as handle,
        mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        if _length_bytes(content) != _LENGTH_BYTES:
            return None
        for first, last in ((0, _EDGE_BYTES), (max(len(content) - _EDGE_BYTES, _EDGE_BYTES), len(content))):
            place = content.find(_COLLECTION, first, last)
            while place >= 0:
                if not _leads_to_its_end(content, place):
                    return place
                place = content.find(_COLLECTION, place + 1, last)
    return None


def _length_bytes(content: mmap.mmap) -> int | None:
    if content[:8] != _SUPERBLOCK or len(content) < _HEADER_BYTES:
        return None
    return content[14] if content[8] < 2 else content[10]


def _leads_to_its_end(content: mmap.mmap, place: int) -> bool:
    if place + _HEADER_BYTES > len(content):
        return True
    (size,) = struct.unpack_from("<Q", content, place + 8)
    end = place + size
    if size < _HEADER_BYTES or end > len(content):
        # The library refuses these itself.
        return True
    place += _HEADER_BYTES
    while place + _HEADER_BYTES <= end:
        (index,) = struct.unpack_from("<H", content, place)
        (size,) = struct.unpack_from("<Q", content, place + 8)
        # Object 0 is what is free, its header included.
        step = size if index == 0 else _HEADER_BYTES + -(-size // 8) * 8
        if not _HEADER_BYTES <= step <= end - place:
            return False
        place += step
    return True
