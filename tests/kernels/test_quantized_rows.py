import numpy as np
import pytest

from fewphoton.kernels import quantized_rows
from tests.kernels import naive


@pytest.fixture(params=["jitted", "python"], autouse=True)
def mode(request, monkeypatch):
    if request.param == "python":
        naive.in_python(monkeypatch, quantized_rows)


@pytest.fixture
def table():
    return np.random.default_rng(0).normal(-3, 2, (7, 90)).astype(np.float32)


def test_row_extremes(table):
    highest, lowest = np.empty(7), np.empty(7)
    quantized_rows.row_extremes(table, highest, lowest)
    np.testing.assert_array_equal(highest, table.max(axis=1))
    np.testing.assert_array_equal(lowest, table.min(axis=1))


@pytest.mark.parametrize("dtype", [np.int16, np.uint8])
def test_rounded_values_are_half_a_step_off_at_most(table, dtype):
    limits = np.iinfo(dtype)
    highest = table.max(axis=1).astype(float)
    step = float((highest - table.min(axis=1)).max()) / (int(limits.max) - int(limits.min))
    codes = np.empty(table.shape, dtype=dtype)
    quantized_rows.quantize_rows(table, highest, step, int(limits.max), int(limits.min), codes)
    restored = highest[:, None] - step * (limits.max - codes.astype(float))
    assert np.abs(restored - table).max() <= 0.501 * step + 1e-6
    assert (codes.max(axis=1) == limits.max).all()


def test_values_below_the_last_code_take_it():
    table = np.array([[0.0, -5.0, -300.0]], dtype=np.float32)
    codes = np.empty(table.shape, dtype=np.uint8)
    quantized_rows.quantize_rows(table, np.zeros(1), 0.1, 255, 0, codes)
    assert codes.tolist() == [[255, 205, 0]]
