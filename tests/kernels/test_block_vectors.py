import numba
import numpy as np
import pytest

from fewphoton.kernels.block_vectors import BLOCK, add_block, fetch, fetch_block


@numba.njit
def compiled(out, at, values, begin, weight):
    fetch(values, begin)
    fetch_block(values, begin)
    add_block(out, at, values, begin, weight)


def in_python(out, at, values, begin, weight):
    fetch(values, begin)
    fetch_block(values, begin)
    add_block(out, at, values, begin, weight)


@pytest.mark.parametrize("function", [compiled, in_python])
@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint8])
@pytest.mark.parametrize(("at", "begin"), [(0, 0), (3, 41), (68, 68)])
def test_one_block_is_added_and_no_other_number_changes(function, dtype, at, begin):
    limits = (-200, 200) if dtype != np.uint8 else (0, 256)
    values = np.random.default_rng(0).integers(*limits, 100).astype(dtype)
    values[50:90:7] = 255 if dtype == np.uint8 else -30000
    out = np.arange(100, dtype=np.float32)
    expected = out.astype(float)
    expected[at : at + BLOCK] += 1.5 * values[begin : begin + BLOCK].astype(float)
    function(out, at, values, begin, np.float32(1.5))
    np.testing.assert_array_equal(out, expected)
