"""Which of HDF5's compression filters can be written and read here: detectors choose them, not this program."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import h5py
import hdf5plugin
import numpy as np

_SHAPE = (4, 64, 64)

CODECS: Mapping[str, Mapping[str, Any]] = {
    "gzip": {"compression": "gzip"},
    "lzf": {"compression": "lzf"},
    "bitshuffle-lz4": hdf5plugin.Bitshuffle(cname="lz4"),
    "bitshuffle-zstd": hdf5plugin.Bitshuffle(cname="zstd"),
    "lz4": hdf5plugin.LZ4(),
    "zstd": hdf5plugin.Zstd(),
    "blosc": hdf5plugin.Blosc(),
    "blosc2": hdf5plugin.Blosc2(),
    "bzip2": hdf5plugin.BZip2(),
}
"""Lossless filters of raw frames, with what h5py takes to write them."""


def codec_problems(codecs: Mapping[str, Mapping[str, Any]] = CODECS) -> dict[str, str | None]:
    """Write a small dataset through each filter, read it again, and return what went wrong by name; None: nothing.

    The file is in memory and is closed in between, so that reading goes through the filter as well.
    """
    return {name: _problem(options) for name, options in codecs.items()}


def library_versions() -> dict[str, str]:
    """Return the versions of h5py, of the HDF5 library it brings, and of hdf5plugin."""
    return {"h5py": h5py.version.version, "HDF5": h5py.version.hdf5_version, "hdf5plugin": hdf5plugin.version}


def _problem(options: Mapping[str, Any]) -> str | None:
    values = np.arange(np.prod(_SHAPE), dtype=np.uint16).reshape(_SHAPE) % 61
    place = io.BytesIO()
    try:
        with h5py.File(place, "w") as file:
            file.create_dataset("frames", data=values, chunks=(1, *_SHAPE[1:]), **options)
        with h5py.File(place, "r") as file:
            stored = file["frames"].id.get_storage_size()
            read = file["frames"][()]
    except (OSError, ValueError, RuntimeError) as error:
        return str(error)
    if stored >= values.nbytes:
        return f"the filter took no part: {values.nbytes} bytes were stored as {stored}"
    return None if np.array_equal(read, values) else "other values came back than were written"
