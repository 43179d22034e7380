import numba
import numpy as np
import pytest

from fewphoton.kernels import photon_arrangement
from tests.kernels import naive

N_PIXELS = 23


def case(lengths, seed=0):
    rng = np.random.default_rng(seed)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    pixel = np.concatenate([np.sort(rng.permutation(N_PIXELS)[:length]) for length in lengths]).astype(np.uint32)
    count = rng.integers(1, 9, indptr[-1]).astype(np.uint32)
    row_of_pixel = np.full(N_PIXELS, -1, dtype=np.int32)
    taken = np.sort(rng.permutation(N_PIXELS)[:17])
    row_of_pixel[taken] = np.arange(17)
    return indptr, pixel, count, row_of_pixel, rng.random(17) < 0.6


def arranged(indptr, pixel, count, row_of_pixel, likelihood):
    frame_ptr, row_ptr = np.full(len(indptr), -7, dtype=np.int64), np.full(len(likelihood) + 1, -7, dtype=np.int64)
    photon_arrangement.count_photon_places(indptr, pixel, row_of_pixel, likelihood, frame_ptr, row_ptr)
    row, frame = (np.empty(ptr[-1], dtype=np.int32) for ptr in (frame_ptr, row_ptr))
    frame_count, row_count = (np.empty(ptr[-1], dtype=np.float32) for ptr in (frame_ptr, row_ptr))
    photon_arrangement.place_photons(
        indptr, pixel, count, row_of_pixel, likelihood, frame_ptr, row_ptr, row, frame_count, frame, row_count
    )
    return frame_ptr, row, frame_count, row_ptr, frame, row_count


def sorted_by_numpy(indptr, pixel, count, row_of_pixel, likelihood):
    frame = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    row = row_of_pixel[pixel]
    frame, row, count = frame[row >= 0], row[row >= 0], count[row >= 0]
    used = likelihood[row]
    order = np.lexsort((frame, row))
    return (
        np.searchsorted(frame[used], np.arange(len(indptr))),
        row[used],
        count[used],
        np.searchsorted(row[order], np.arange(len(likelihood) + 1)),
        frame[order],
        count[order],
    )


@pytest.mark.parametrize("in_python", [False, True])
@pytest.mark.parametrize("lengths", [[0, 3, 23, 0, 1, 12, 0], [0], [0, 0], [23] * 40])
def test_both_orders_are_those_of_a_stable_sort(lengths, in_python, monkeypatch):
    if in_python:
        naive.in_python(monkeypatch, photon_arrangement)
    given = case(lengths)
    for found, wanted in zip(arranged(*given), sorted_by_numpy(*given), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_no_frames_give_empty_orders():
    indptr, pixel, count, row_of_pixel, likelihood = case([1])
    found = arranged(indptr[:1], pixel[:0], count[:0], row_of_pixel, likelihood)
    assert [len(part) for part in found] == [1, 0, 0, 18, 0, 0]
    assert not found[3].any()


@pytest.mark.parametrize("in_python", [False, True])
def test_row_sums_are_exact_beyond_single_precision(in_python, monkeypatch):
    if in_python:
        naive.in_python(monkeypatch, photon_arrangement)
    indptr = np.array([0, 0, 3, 4, 4])
    count = np.array([2.0**24, 1, 1, 5], dtype=np.float32)
    total = np.full(4, np.nan)
    photon_arrangement.sparse_row_sums(indptr, count, total)
    np.testing.assert_array_equal(total, [0, 2.0**24 + 2, 5, 0])


def test_threads_change_no_bit():
    given = case(np.random.default_rng(1).integers(0, N_PIXELS, 300))
    indptr, _, _, _, _, _ = arranged(*given)
    count = np.random.default_rng(2).random(indptr[-1]).astype(np.float32)
    before, found = numba.get_num_threads(), []
    for threads in (1, before):
        numba.set_num_threads(threads)
        found.append(np.empty(300))
        photon_arrangement.sparse_row_sums(indptr, count, found[-1])
    numba.set_num_threads(before)
    assert found[0].tobytes() == found[1].tobytes()
