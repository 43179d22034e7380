"""Damaged global heaps, in which the HDF5 library walks for ever, are told before it is asked."""

from __future__ import annotations

import struct
from pathlib import Path

import h5py
import pytest

from fewphoton.errors import InputFileError
from fewphoton.io.global_heaps import broken_heap
from fewphoton.io.hdf5 import opened


@pytest.fixture
def path(tmp_path) -> Path:
    """A file whose texts fill several heaps."""
    with h5py.File(tmp_path / "texts.h5", "w", libver="v110") as file:
        for number in range(300):
            file.attrs[f"text{number}"] = "x" * (7 * number % 400)
        del file.attrs["text7"]
    return tmp_path / "texts.h5"


def heaps(content: bytes) -> list[int]:
    places = [0]
    while (found := content.find(b"GCOL\x01", places[-1] + 1)) >= 0:
        places.append(found)
    return places[1:]


def objects(content: bytes, heap: int) -> list[tuple[int, int, int]]:
    """Place, index and size of the objects of a heap, by the format's specification."""
    (size,) = struct.unpack_from("<Q", content, heap + 8)
    found, place = [], heap + 16
    while place + 16 <= heap + size:
        index, object_size = struct.unpack_from("<H6xQ", content, place)
        found.append((place, index, object_size))
        place += object_size if index == 0 else 16 + (object_size + 7) // 8 * 8
    return found


def test_sound_heaps_are_read(path):
    assert len(heaps(path.read_bytes())) == 3
    assert broken_heap(path) is None
    with opened(path) as file:
        assert file.attrs["text57"] == "x" * (7 * 57 % 400)


@pytest.mark.parametrize("size", [0, 8, 2**64 - 16, 2**63])
@pytest.mark.parametrize("which", [0, -1])
def test_sizes_that_lead_nowhere_are_refused(path, which, size):
    """Free space of size 0 keeps the library for ever; sizes beyond the heap lead it out of it, or back."""
    content = bytearray(path.read_bytes())
    heap = heaps(content)[which]
    place, _, _ = objects(content, heap)[-1 if size < 16 else 0]
    struct.pack_into("<H", content, place, 0 if size < 16 else 1)
    struct.pack_into("<Q", content, place + 8, size)
    path.write_bytes(content)
    assert broken_heap(path) == heap
    with pytest.raises(InputFileError, match=rf"global heap at byte {heap}.*damaged texts"), opened(path):
        pass


def test_other_files_are_left_alone(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_bytes(b"GCOL\x01\x00\x00\x00" + bytes(64))
    assert broken_heap(tmp_path / "empty") is None
    assert broken_heap(tmp_path / "text") is None
    assert broken_heap(tmp_path / "missing") is None
