import numpy as np
import pytest

from fewphoton.kernels.frame_sums import sum_groups
from tests.conftest import random_frames


@pytest.mark.parametrize("function", [sum_groups, sum_groups.py_func])
def test_groups_are_summed_and_sorted(function):
    frames = random_frames(12, 40, 15.0, seed=4)
    group_ptr = np.array([0, 1, 5, 12])
    pixel = np.zeros(frames.n_hits, dtype=np.uint32)
    count, n_summed = np.zeros(frames.n_hits, dtype=np.int64), np.zeros(3, dtype=np.int64)
    function(frames.indptr, frames.pixel, frames.count, group_ptr, pixel, count, n_summed)
    dense = frames.to_dense().astype(int)
    for group in range(3):
        start = frames.indptr[group_ptr[group]]
        stop = start + n_summed[group]
        expected = dense[group_ptr[group] : group_ptr[group + 1]].sum(axis=0)
        assert (np.diff(pixel[start:stop].astype(int)) > 0).all()
        found = np.zeros(40, dtype=int)
        found[pixel[start:stop]] = count[start:stop]
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("function", [sum_groups, sum_groups.py_func])
def test_groups_without_photons(function):
    n_summed = np.full(2, 9)
    nothing = np.zeros(0, dtype=np.uint32)
    function(np.zeros(5, dtype=np.int64), nothing, nothing, np.array([0, 2, 4]), nothing, n_summed[:0], n_summed)
    np.testing.assert_array_equal(n_summed, 0)
