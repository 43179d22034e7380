"""More than 2**31 hits need offsets of more than 32 bits. Files and arrays are sparse: only their ends are real."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import DTypeLike, NDArray

from fewphoton.io.photon_files import open_photon_file, write_photon_file
from fewphoton.kernels.frame_sums import sum_groups
from fewphoton.kernels.photon_arrangement import sparse_row_sums
from fewphoton.kernels.sparse_rows import add_rows, first_row_of_part
from tests.conftest import random_frames

FAR = 2**31 + 5


def far_array(path: Path, dtype: DTypeLike, values: list[Any]) -> NDArray[Any]:
    """An array whose values from ``FAR`` on are given; what lies before takes no room on the disk."""
    array = np.memmap(path, dtype, "w+", shape=(FAR + len(values),))
    array[FAR:] = values
    return np.asarray(array)


@pytest.mark.parametrize("compression", [None, "ours"])
def test_photon_files_are_read_beyond(tmp_path, detector, beam, provenance, compression):
    path = tmp_path / "frames.h5"
    with write_photon_file(path, detector, beam, provenance) as writer:
        writer.append(random_frames(3, detector.n_pixels, 5.0))
    with h5py.File(path, "r+") as file:
        group = file["entry/photons"]
        plist = group["pixel"].id.get_create_plist()
        options = {}
        if compression is not None:
            code, _, values, _ = plist.get_filter(0)
            options = {"compression": code, "compression_opts": values[3:]}
        for name, fill in (("pixel", 7), ("count", 2)):
            del group[name]
            group.create_dataset(name, (FAR + 2,), "<u4", chunks=(65536,), fillvalue=fill, **options)
            group[name][FAR:] = [fill + 1, fill + 4]
        group["indptr"][()] = [0, FAR, FAR + 1, FAR + 2]
    with open_photon_file(path) as reader:
        assert (reader.n_frames, reader.n_hits) == (3, FAR + 2)
        last = reader.read(1, 3)
    assert last.indptr.tolist() == [0, 1, 2]
    assert last.pixel.tolist() == [8, 11]
    assert last.count.tolist() == [3, 6]


def test_frames_are_summed_beyond(tmp_path):
    pixel = far_array(tmp_path / "pixel", np.uint32, [3, 9, 1, 9, 50])
    count = far_array(tmp_path / "count", np.uint32, [1, 2, 4, 8, 16])
    summed = [far_array(tmp_path / name, np.uint32, [0] * 5) for name in ("summed pixel", "summed count")]
    n_summed, largest = np.zeros(1, np.int64), np.zeros(1, np.int64)
    sum_groups(np.array([FAR, FAR + 2, FAR + 5]), pixel, count, np.array([0, 2]), 120, 1, *summed, n_summed, largest)
    assert (n_summed.tolist(), largest.tolist()) == ([4], [16])
    assert summed[0][FAR : FAR + 4].tolist() == [1, 3, 9, 50]
    assert summed[1][FAR : FAR + 4].tolist() == [4, 1, 10, 16]


def test_rows_of_hits_are_added_beyond(tmp_path):
    table = np.arange(60, dtype=np.float32).reshape(12, 5)
    names, photons = np.arange(11, -1, -1), np.arange(1, 13)
    index = far_array(tmp_path / "index", np.int32, names.tolist())
    count = far_array(tmp_path / "count", np.float32, photons.tolist())
    out = np.zeros(3, dtype=np.float32)
    add_rows(FAR, FAR + 12, index, count, table, 1, out)
    np.testing.assert_array_equal(out, photons @ table[names, 1:4])
    total = np.zeros(2)
    sparse_row_sums(np.array([FAR, FAR + 4, FAR + 12]), count, total)
    assert total.tolist() == [photons[:4].sum(), photons[4:].sum()]


def test_rows_are_parted_beyond():
    indptr = np.arange(9, dtype=np.int64) * 2**40
    assert [first_row_of_part(indptr, part, 4) for part in range(5)] == [0, 2, 4, 6, 8]
