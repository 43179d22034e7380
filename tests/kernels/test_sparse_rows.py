import numpy as np
import pytest

from fewphoton.kernels.sparse_rows import add_weighted_rows
from tests.kernels import naive


@pytest.mark.parametrize("function", [add_weighted_rows, add_weighted_rows.py_func])
def test_equals_sparse_matrix_product(function):
    rng = np.random.default_rng(0)
    lengths = np.array([0, 1, 7, 8, 9, 16, 23, 0])
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    index = rng.integers(0, 30, indptr[-1]).astype(np.int32)
    count = rng.integers(1, 5, indptr[-1]).astype(np.float32)
    table = rng.standard_normal((30, 13)).astype(np.float32)
    total = np.full((len(lengths), 13), 2.0, dtype=np.float32)
    function(indptr, index, count, table, total)
    np.testing.assert_allclose(total, 2.0 + naive.weighted_rows(indptr, index, count, table), rtol=1e-4, atol=1e-5)
