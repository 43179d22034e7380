import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewphoton.kernels.common_mode import exact_median, subtract_panel_medians


@pytest.mark.parametrize("median", [exact_median, exact_median.py_func], ids=["jitted", "python"])
@pytest.mark.parametrize("n", [1, 2, 1023, 1024, 5000, 5001])
def test_median_is_exact(median, n):
    rng = np.random.default_rng(n)
    for values in (rng.standard_normal(n), np.rint(rng.standard_normal(n)), np.sort(rng.random(n)), np.zeros(n)):
        single = values.astype(np.float32)
        wanted = np.median(single.astype(np.float64))
        assert median(single, np.empty_like(single)) == pytest.approx(wanted, rel=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3000), st.integers(0, 1000), st.integers(1, 7))
def test_median_is_exact_with_ties(n, seed, n_levels):
    values = np.random.default_rng(seed).integers(0, n_levels, n).astype(np.float32)
    assert exact_median(values, np.empty_like(values)) == np.median(values)


@pytest.mark.parametrize("subtract", [subtract_panel_medians, subtract_panel_medians.py_func], ids=["jitted", "python"])
def test_agrees_with_numpy(subtract):
    rng = np.random.default_rng(0)
    n_pixels = 240
    panel = np.repeat([0, 1, -1, 2], 60).astype(np.int32)
    offset = rng.uniform(90, 110, n_pixels).astype(np.float32)
    usable = (rng.random(n_pixels) > 0.2) & (panel >= 0) & (panel != 2)
    shift = rng.normal(0, 20, (5, 4))
    frames = np.rint(offset + shift[:, panel] + rng.normal(0, 3, (5, n_pixels))).astype(np.int32)
    frames[rng.random(frames.shape) < 0.05] = -5136
    valid = frames >= -1000
    members = np.flatnonzero(usable)
    ptr = np.concatenate([[0], np.cumsum([(usable & (panel == number)).sum() for number in range(3)])])
    found = np.empty(frames.shape, dtype=np.float32)
    subtract(frames, offset, panel, members, ptr, np.int32(-1000), np.int32(2**31 - 1), found)
    wanted = frames.astype(np.float32)
    for d in range(5):
        for number in (0, 1):
            inside = usable & (panel == number) & valid[d]
            signal = frames[d, inside].astype(np.float32) - offset[inside]
            wanted[d, panel == number] -= np.float32(np.median(signal.astype(np.float64)))
    wanted[~valid] = np.nan
    np.testing.assert_array_equal(found, wanted)
