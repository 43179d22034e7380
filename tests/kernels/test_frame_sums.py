import numpy as np
import pytest

from fewphoton.kernels.frame_sums import lowest_bit, pack_rows, sum_groups
from tests.conftest import random_frames

BOTH = pytest.mark.parametrize("sums", [sum_groups, sum_groups.py_func])


def run(function, indptr, pixel, count, group_ptr, n_pixels, n_parts=1):
    """Return row starts, row lengths, largest sums, and the loose rows."""
    loose_pixel, loose_count = np.full(len(pixel), 77, np.uint32), np.full(len(pixel), 77, np.uint32)
    n_summed, largest = np.full(len(group_ptr) - 1, -1), np.full(len(group_ptr) - 1, -1)
    function(indptr, pixel, count, group_ptr, n_pixels, n_parts, loose_pixel, loose_count, n_summed, largest)
    return indptr[group_ptr[:-1]], n_summed, largest, loose_pixel, loose_count


@BOTH
@pytest.mark.parametrize("n_parts", [1, 2, 7])
@pytest.mark.parametrize("n_pixels", [1, 31, 32, 33, 1024, 1025, 40_000, 70_000])
def test_groups_are_summed_and_sorted(sums, n_parts, n_pixels):
    frames = random_frames(12, n_pixels, 15.0, seed=4)
    group_ptr = np.array([0, 1, 5, 12])
    start, n_summed, largest, pixel, count = run(
        sums, frames.indptr, frames.pixel, frames.count, group_ptr, n_pixels, n_parts
    )
    expected = np.add.reduceat(frames.to_dense().astype(int), group_ptr[:-1], axis=0)
    for group, dense in enumerate(expected):
        row = slice(start[group], start[group] + n_summed[group])
        np.testing.assert_array_equal(pixel[row], np.flatnonzero(dense))
        np.testing.assert_array_equal(count[row], dense[dense > 0])
        assert largest[group] == dense.max()
        rest = slice(row.stop, frames.indptr[group_ptr[group + 1]])
        assert (pixel[rest] == 77).all()


@BOTH
def test_pixels_in_any_order_and_repeated(sums):
    indptr, group_ptr = np.array([0, 4, 5]), np.array([0, 2])
    pixel = np.array([9, 2, 9, 0, 2], dtype=np.uint32)
    count = np.array([1, 5, 3, 1, 4], dtype=np.uint32)
    _, n_summed, largest, summed_pixel, summed_count = run(sums, indptr, pixel, count, group_ptr, 10)
    assert n_summed.tolist() == [3]
    assert summed_pixel[:3].tolist() == [0, 2, 9]
    assert summed_count[:3].tolist() == [1, 9, 4]
    assert largest.tolist() == [9]


@BOTH
def test_sums_beyond_32_bits_are_told(sums):
    pixel, count = np.zeros(2, dtype=np.uint32), np.full(2, 2**32 - 1, dtype=np.uint32)
    *_, largest, _, _ = run(sums, np.array([0, 1, 2]), pixel, count, np.array([0, 2]), 1)
    assert largest.tolist() == [2**33 - 2]


@BOTH
def test_groups_without_photons(sums):
    nothing = np.zeros(0, dtype=np.uint32)
    _, n_summed, largest, _, _ = run(sums, np.zeros(5, dtype=np.int64), nothing, nothing, np.array([0, 2, 4]), 5)
    assert n_summed.tolist() == [0, 0]
    assert largest.tolist() == [0, 0]


@pytest.mark.parametrize("bit", range(32))
def test_lowest_bit_of_every_word(bit):
    for higher in (0, 1 << 31, (1 << 32) - (1 << bit)):
        word = (higher | (1 << bit)) & ~((1 << bit) - 1)
        assert lowest_bit(np.int64(word)) == bit
        assert lowest_bit.py_func(np.int64(word)) == bit


@pytest.mark.parametrize("pack", [pack_rows, pack_rows.py_func])
def test_rows_are_packed(pack):
    loose = np.arange(20, dtype=np.uint32)
    pixel, count = np.zeros(6, dtype=np.uint32), np.zeros(6, dtype=np.uint32)
    pack(np.array([0, 5, 11]), np.array([0, 2, 2, 6]), loose, loose * 10, pixel, count)
    assert pixel.tolist() == [0, 1, 11, 12, 13, 14]
    assert count.tolist() == [0, 10, 110, 120, 130, 140]
