import numba
import numpy as np
import pytest

from fewphoton.kernels import sparse_rows
from fewphoton.kernels.sparse_rows import add_weighted_rows, first_row_of_part
from tests.kernels import naive


def case(lengths, dtype, n_columns=13):
    rng = np.random.default_rng(0)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    index = rng.integers(0, 30, indptr[-1]).astype(np.int32)
    count = rng.integers(1, 5, indptr[-1]).astype(np.float32)
    values = rng.standard_normal((30, n_columns))
    table = values.astype(dtype) if dtype == np.float32 else (100 + 40 * values).astype(dtype)
    return indptr, index, count, table


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint8])
@pytest.mark.parametrize("in_python", [False, True])
def test_equals_sparse_matrix_product(dtype, in_python, monkeypatch):
    if in_python:
        naive.in_python(monkeypatch, sparse_rows)
    indptr, index, count, table = case(np.array([0, 1, 7, 8, 9, 16, 23, 0]), dtype)
    total = np.full((len(indptr) - 1, table.shape[1]), 2.0, dtype=np.float32)
    sparse_rows.add_weighted_rows(indptr, index, count, table, total)
    np.testing.assert_allclose(total, 2.0 + naive.weighted_rows(indptr, index, count, table), rtol=1e-4, atol=1e-5)


def test_integer_tables_are_summed_exactly():
    indptr, index, count, table = case(np.array([5, 60, 0, 200]), np.int16)
    total = np.zeros((4, 13), dtype=np.float32)
    add_weighted_rows(indptr, index, count, table, total)
    np.testing.assert_array_equal(total, naive.weighted_rows(indptr, index, count, table))


def test_no_hits_and_no_rows_change_nothing():
    indptr, index, count, table = case(np.zeros(3, dtype=int), np.float32)
    total = np.ones((3, 13), dtype=np.float32)
    add_weighted_rows(indptr, index, count, table, total)
    add_weighted_rows(indptr[:1], index, count, table, total[:0])
    np.testing.assert_array_equal(total, 1.0)


def test_threads_change_no_bit():
    indptr, index, count, table = case(np.random.default_rng(1).integers(0, 90, 700), np.float32)
    found = []
    before = numba.get_num_threads()
    for threads in {1, before}:
        numba.set_num_threads(threads)
        total = np.zeros((700, 13), dtype=np.float32)
        add_weighted_rows(indptr, index, count, table, total)
        found.append(total)
    numba.set_num_threads(before)
    np.testing.assert_array_equal(found[0], found[-1])


@pytest.mark.parametrize("function", [first_row_of_part, first_row_of_part.py_func])
@pytest.mark.parametrize("lengths", [[], [5], [0, 0, 0], [1000, 1, 1, 1], [3] * 50])
def test_parts_cover_all_rows_once_and_share_the_work(function, lengths):
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    bounds = [function(indptr, part, 4) for part in range(5)]
    assert bounds[0] == 0
    assert bounds[-1] == len(lengths)
    assert bounds == sorted(bounds)
    work = np.diff((indptr + np.arange(len(indptr)))[bounds])
    assert work.max() <= work.sum() / 4 + max(lengths, default=0) + 1
