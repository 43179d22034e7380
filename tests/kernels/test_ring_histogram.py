import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewphoton.kernels import ring_histogram
from tests.kernels import naive

N_RINGS = 5
VALID = {
    np.uint8: (0, 254),
    np.uint16: (0, 65534),
    np.int16: (-50, 32766),
    np.uint32: (0, 2**32 - 2),
    np.int32: (-50, 2**31 - 2),
}


@pytest.fixture(params=["jitted", "python"])
def kernels(request, monkeypatch):
    if request.param == "python":
        naive.in_python(monkeypatch, ring_histogram)
    return ring_histogram


def counted(kernels, frame, ring, lowest, n_values, valid, capacity=10_000):
    table = np.full((N_RINGS + 1, n_values), 77, dtype=np.uint32)  # whatever the frame before left there
    outside_ring, outside_value = np.empty(capacity, np.uint16), np.empty(capacity, np.int64)
    far = np.empty(len(frame), np.uint32)
    with np.errstate(over="ignore"):  # wrapping around is how one comparison covers both ends
        n_far = kernels.count_by_ring(frame, ring, np.int64(lowest), table, far)
    far = far[:n_far]
    n_outside, n_invalid = kernels.part_far_pixels(frame, ring, far, *valid, outside_ring, outside_value)
    return n_outside, table, outside_ring[:n_outside], outside_value[:n_outside], far[:n_invalid]


def compare(kernels, frame, ring, lowest, n_values, valid):
    n_outside, *found = counted(kernels, frame, ring, lowest, n_values, valid)
    expected = naive.ring_histogram(frame, ring, N_RINGS, lowest, n_values, *valid)
    assert n_outside == len(expected[1])
    for mine, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize(
    ("dtype", "lowest", "n_values"),
    [
        (dtype, *table)
        for dtype in VALID
        for table in [(0, 64), (0, 1), (3, 8), (-7, 16), (-50, 64)]
        if VALID[dtype][0] <= table[0]
    ],
)
def test_against_the_naive_twin(kernels, dtype, lowest, n_values):
    limits = np.iinfo(dtype)
    rng = np.random.default_rng(2)
    frame = rng.poisson(3.0, 300).astype(dtype)
    frame[:60] = rng.integers(max(limits.min, -60), 90, 60)
    ends = [limits.min, limits.min + 1, limits.max, limits.max - 1, limits.max // 2, limits.max // 2 + 1]
    ends += [lowest + n_values - 1, lowest + n_values, lowest, max(lowest - 1, limits.min)]
    frame[60:120] = np.tile(ends, 6)
    ring = rng.integers(0, N_RINGS + 1, 300).astype(np.uint16)
    compare(kernels, frame, ring, lowest, n_values, VALID[dtype])


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([np.uint16, np.int16, np.int32]),
    st.lists(st.tuples(st.integers(-60, 300), st.integers(0, N_RINGS)), max_size=60),
    st.integers(-50, 20),
    st.integers(1, 40),
    st.integers(40, 200),
)
def test_every_valid_pixel_is_found_once(dtype, pixels, lowest, n_values, largest):
    low = 0 if dtype is np.uint16 else -50
    frame = np.array([max(value, low - 10, 0 if low == 0 else -99) for value, _ in pixels], dtype=dtype)
    ring = np.array([number for _, number in pixels], dtype=np.uint16)
    compare(ring_histogram, frame, ring, max(lowest, low), min(n_values, largest - 19), (low, largest))


def test_by_hand(kernels):
    """Ring 0 holds 0, 2, 2; ring 1 holds 9 (outside the table) and two bad reads; the last pixel is in no ring."""
    frame = np.array([2, 9, 0, 2, -1, 101, 500], dtype=np.int32)
    ring = np.array([0, 1, 0, 0, 1, 1, N_RINGS], dtype=np.uint16)
    n_outside, table, outside_ring, outside_value, invalid = counted(kernels, frame, ring, 0, 4, (0, 100))
    assert n_outside == 1
    np.testing.assert_array_equal(table[0], [1, 0, 2, 0])
    assert not table[1:].any()
    assert (outside_ring.tolist(), outside_value.tolist(), invalid.tolist()) == ([1], [9], [4, 5])


def test_pixels_without_a_ring_are_counted_apart(kernels):
    frame = np.array([1, 1, 3, 200, 65535], dtype=np.uint16)
    ring = np.full(5, N_RINGS, dtype=np.uint16)
    n_outside, table, _, _, invalid = counted(kernels, frame, ring, 0, 4, VALID[np.uint16])
    assert n_outside == 0
    assert len(invalid) == 0
    np.testing.assert_array_equal(table[N_RINGS], [0, 2, 0, 1])


def test_too_many_to_list(kernels):
    """Bad reads take no room."""
    frame = np.array([500, 65535, 500, 501, 65535, 502], dtype=np.uint16)
    ring = np.zeros(6, dtype=np.uint16)
    assert counted(kernels, frame, ring, 0, 16, VALID[np.uint16], capacity=3)[0] == -1
    assert counted(kernels, frame, ring, 0, 16, VALID[np.uint16], capacity=4)[0] == 4


def test_an_empty_frame(kernels):
    n_outside, table, *_ = counted(kernels, np.zeros(0, np.uint16), np.zeros(0, np.uint16), 0, 4, (0, 10))
    assert n_outside == 0
    assert not table.any()
