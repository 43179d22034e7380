"""Arrays and images that other libraries open: NumPy files, and what FabIO reads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import fabio
import numpy as np
from fabio.cbfimage import CbfImage, md5sum
from numpy.typing import NDArray

from fewphoton.errors import InputFileError

_CBF_MAGIC = b"###CBF"
_EDF_HEAD_BYTES = 4 * 1024**2


class _WholeCbf(CbfImage):  # type: ignore[misc]
    """FabIO's reader of CBF files, which ends where the file does and refuses data that do not fit their checksum."""

    cbs: Any

    def _read_binary_section_header(self, stream: Any) -> None:
        # FabIO would look for the mark that begins the data beyond the end of the file, for ever.
        self.cbs = (self.cbs or b"") + stream.read()
        if self.STARTER not in self.cbs:
            raise ValueError("the header has no end, or there are no data")
        super()._read_binary_section_header(stream)

    def _readbinary_byte_offset(self, raw_bytes: bytes) -> NDArray[Any]:
        stated = self.header.get("Content-MD5")
        if stated is not None and stated.encode() != bytes(md5sum(raw_bytes)):
            raise ValueError("the data do not fit the checksum that stands in their header")
        return np.asarray(super()._readbinary_byte_offset(raw_bytes))


def load_array(path: Path | str, mmap_mode: Literal["r"] | None = None) -> NDArray[Any]:
    """Return the array of a ``.npy`` file.

    Raises
    ------
    InputFileError
        If the file is missing, truncated or foreign, or needs more memory than there is.
    """
    try:
        found = np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
    except Exception as error:  # the header is Python text, and its parser raises whatever it meets
        raise InputFileError(path, f"cannot be read as a NumPy array: {error}") from error
    if not isinstance(found, np.ndarray):
        found.close()
        raise InputFileError(path, "holds several arrays", expected="a .npy file of one")
    return found


def open_image(path: Path | str) -> Any:
    """Return the image of a file that FabIO reads; who calls closes it.

    Raises
    ------
    InputFileError
        If the file is truncated or foreign.
    """
    source = Path(path)
    try:
        if _is_cbf(source):
            return _WholeCbf().read(str(source))
        _require_ending_directories(source)
        _require_few_dimensions(source)
        return fabio.open(str(source))
    except Exception as error:  # FabIO's readers raise whatever their format's parser meets
        raise InputFileError(source, f"FabIO cannot read it: {error}") from error


def _is_cbf(source: Path) -> bool:
    name = source.name.lower()
    if name.removesuffix(".gz").removesuffix(".bz2").endswith(".cbf"):
        return True
    with source.open("rb") as file:
        return file.read(len(_CBF_MAGIC)) == _CBF_MAGIC


def _require_few_dimensions(source: Path) -> None:
    """Refuse an EDF file with a dimension of a number beyond reason: FabIO would count up to it."""
    with source.open("rb") as file:
        head = file.read(16)
        if not head.lstrip().startswith(b"{"):
            return
        head += file.read(_EDF_HEAD_BYTES)
    if (found := re.search(rb"dim_\d{3,}", head, re.IGNORECASE)) is not None:
        raise ValueError(f"the header names {found.group()[:24].decode()}")


def _require_ending_directories(source: Path) -> None:
    """Refuse a TIFF file whose chain of directories leads back into itself: FabIO would follow it for ever."""
    with source.open("rb") as file:
        mark = file.read(2)
        if mark not in (b"II", b"MM"):
            return

        def number(n_bytes: int) -> int:
            return int.from_bytes(file.read(n_bytes), "little" if mark == b"II" else "big")

        version = number(2)
        if version == 42:
            n_bytes, count_bytes, entry_bytes = 4, 2, 12
        elif version == 43:
            n_bytes, count_bytes, entry_bytes = 8, 8, 20
            file.seek(8)
        else:
            return
        place, known = number(n_bytes), set[int]()
        while place:
            if place in known:
                raise ValueError(f"the directory at byte {place} follows itself")
            known.add(place)
            file.seek(place)
            place += count_bytes + number(count_bytes) * entry_bytes
            file.seek(place)
            place = number(n_bytes)
