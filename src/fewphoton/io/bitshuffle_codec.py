"""The codec of HDF5's bitshuffle-LZ4 filter, called past HDF5 so that chunks can be coded in several threads.

HDF5 runs its filters one at a time. A chunk is what the filter stores: size of the data as big-endian uint64, size of
a block as big-endian uint32, then the blocks.
"""

from __future__ import annotations

import ctypes
import functools
import struct
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray

from fewphoton.errors import DataError

_HEADER = struct.Struct(">QI")
_BLOCK_LENGTH = struct.Struct(">I")
_FILTER, _LZ4, _ZSTD = 32008, 2, 3
_ELEMENTS_MULTIPLE = 8
"""Blocks hold a multiple of this many elements; what is left over at the end stands uncoded."""


@functools.cache
def bitshuffle_library() -> ctypes.CDLL | None:
    """Return the library of the bitshuffle filter with its codec declared, or None where it exports none."""
    for path in sorted((Path(hdf5plugin.__file__).parent / "plugins").glob("*bshuf*")):
        try:
            library = ctypes.CDLL(str(path))
            for name in ("bshuf_compress_lz4", "bshuf_decompress_lz4"):
                function = getattr(library, name)
                function.restype = ctypes.c_int64
                function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, *3 * [ctypes.c_size_t]]
            library.bshuf_compress_lz4_bound.restype = ctypes.c_size_t
            library.bshuf_compress_lz4_bound.argtypes = 3 * [ctypes.c_size_t]
            library.bshuf_default_block_size.restype = ctypes.c_size_t
            library.bshuf_default_block_size.argtypes = [ctypes.c_size_t]
        except (OSError, AttributeError):
            continue
        return library
    return None


class ChunkEncoder:
    """Room for one array and its encoded form, used again and again.

    Parameters
    ----------
    shape, dtype
        Of the array.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        library = bitshuffle_library()
        if library is None:
            raise DataError("the bitshuffle filter's library exports no codec")
        self._library = library
        self.frame = np.empty(shape, dtype)
        bound = library.bshuf_compress_lz4_bound(self.frame.size, dtype.itemsize, 0)
        self._packed = np.empty(_HEADER.size + bound, np.uint8)
        block = library.bshuf_default_block_size(dtype.itemsize) * dtype.itemsize
        _HEADER.pack_into(self._packed.data, 0, self.frame.nbytes, block)

    def encode(self) -> NDArray[np.uint8]:
        """Return the chunk of ``frame``; it lives until the slot is used again."""
        n_bytes = self._library.bshuf_compress_lz4(
            self.frame.ctypes.data,
            self._packed.ctypes.data + _HEADER.size,
            self.frame.size,
            self.frame.itemsize,
            0,
        )
        if n_bytes < 0:
            raise DataError(f"bitshuffle could not encode a frame of {self.frame.dtype} {self.frame.shape}: {n_bytes}")
        return self._packed[: _HEADER.size + n_bytes]


def decodes(item: h5py.Dataset) -> bool:
    """Tell whether chunks of a dataset can be decoded here: one frame a chunk, bitshuffle-LZ4 alone, native bytes."""
    if item.chunks is None or item.chunks != (1, *item.shape[1:]) or item.external or item.is_virtual:
        return False
    return _codec(item) == _LZ4 and bool(item.dtype.isnative)


def is_packed_in_blocks(item: h5py.Dataset) -> bool:
    """Tell whether chunks of a dataset are bitshuffled and then compressed, by that filter alone."""
    return item.chunks is not None and _codec(item) in (_LZ4, _ZSTD)


def _codec(item: h5py.Dataset) -> int | None:
    """Return what compresses bitshuffled chunks; None where other filters are involved, or the library is not there."""
    plist = item.id.get_create_plist()
    if plist.get_nfilters() != 1 or bitshuffle_library() is None:
        return None
    code, _, options, _ = plist.get_filter(0)
    return int(options[4]) if code == _FILTER and len(options) > 4 else None


def packed_chunk(item: h5py.Dataset, corner: tuple[int, ...]) -> bytes | None:
    """Return the bytes of a chunk; None where it was never written, or was stored without its filters."""
    try:
        skipped_filters, packed = item.id.read_direct_chunk(corner)
    except (OSError, ValueError, RuntimeError):
        return None
    return None if skipped_filters else packed


def check_chunk(packed: bytes, n_elements: int, itemsize: int) -> None:
    """Check that the lengths in a chunk add up: the codec trusts them, and reads on past the end.

    Raises
    ------
    DataError
        If the chunk is truncated, corrupt, or of another size.
    """
    if len(packed) < _HEADER.size:
        raise DataError(f"a chunk of {len(packed)} bytes is truncated")
    n_bytes, block = _HEADER.unpack_from(packed)
    if n_bytes != n_elements * itemsize or block % (itemsize * _ELEMENTS_MULTIPLE):
        raise DataError(f"a chunk announces {n_bytes} bytes in blocks of {block}, expected {n_elements * itemsize}")
    _check_lengths(packed, n_elements, itemsize, block // itemsize)


def decode_chunk(packed: bytes, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the array of a chunk; other threads run meanwhile.

    Raises
    ------
    DataError
        If the chunk is truncated, corrupt, or of another size.
    """
    library = bitshuffle_library()
    assert library is not None  # `decodes` told so
    values = np.empty(shape, dtype)
    check_chunk(packed, values.size, dtype.itemsize)
    block = _HEADER.unpack_from(packed)[1]
    source = np.frombuffer(packed, dtype=np.uint8)
    used = library.bshuf_decompress_lz4(
        source.ctypes.data + _HEADER.size,
        values.ctypes.data,
        values.size,
        dtype.itemsize,
        block // dtype.itemsize,
    )
    if used != len(packed) - _HEADER.size:
        raise DataError(f"a chunk of {len(packed)} bytes is corrupt or truncated (the codec returned {used})")
    return values


def _check_lengths(packed: bytes, n_elements: int, itemsize: int, block: int) -> None:
    """Raise DataError unless the lengths of a chunk's blocks add up: the codec would read on past a truncated chunk."""
    if block == 0:
        library = bitshuffle_library()
        assert library is not None  # `decodes` told so
        block = library.bshuf_default_block_size(itemsize)
    whole, rest = divmod(n_elements, block)
    place, end = _HEADER.size, len(packed)
    for number in range(whole + (rest >= _ELEMENTS_MULTIPLE)):
        if place + _BLOCK_LENGTH.size > end:
            raise DataError(f"a chunk of {end} bytes is truncated in block {number}")
        place += _BLOCK_LENGTH.size + _BLOCK_LENGTH.unpack_from(packed, place)[0]
    expected = place + n_elements % _ELEMENTS_MULTIPLE * itemsize
    if expected != end:
        raise DataError(f"a chunk of {end} bytes is corrupt or truncated: its blocks make {expected}")
