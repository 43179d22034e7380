import math

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewphoton.kernels.vector_math import EXP_RELATIVE_ERROR, LOG_ERROR, exp_float32, log_float32

SMALLEST = float(np.finfo(np.float32).tiny)


@numba.njit
def exponentials(x, out):
    for i in range(len(x)):
        out[i] = exp_float32(x[i])


@numba.njit
def logarithms(x, out):
    for i in range(len(x)):
        out[i] = log_float32(x[i])


def test_exponential_keeps_its_stated_error():
    x = np.linspace(-87.3365, 88.0, 2_000_003).astype(np.float32)
    found = np.empty_like(x)
    exponentials(x, found)
    error = np.abs(found / np.exp(x.astype(np.float64)) - 1)
    assert error.max() < EXP_RELATIVE_ERROR


def test_logarithm_keeps_its_stated_error():
    x = np.concatenate([np.exp(np.linspace(-87.3, 88.7, 1_000_003)), np.linspace(0.5, 2, 1_000_003)])
    x = x.astype(np.float32)
    found, exact = np.empty_like(x), np.log(x.astype(np.float64))
    logarithms(x, found)
    assert (np.abs(found - exact) / np.maximum(1, np.abs(exact))).max() < LOG_ERROR


@settings(max_examples=25, deadline=None)
@given(st.floats(-87.0, 88.0, width=32))
def test_python_and_compiled_exponentials_agree(x):
    assert exp_float32.py_func(np.float32(x)) == pytest.approx(math.exp(x), rel=EXP_RELATIVE_ERROR)
    assert exp_float32(np.float32(x)) == pytest.approx(math.exp(x), rel=EXP_RELATIVE_ERROR)


@settings(max_examples=25, deadline=None)
@given(st.floats(SMALLEST, 2.0**127, width=32))
def test_python_and_compiled_logarithms_agree(x):
    assert log_float32.py_func(np.float32(x)) == pytest.approx(math.log(x), rel=LOG_ERROR, abs=LOG_ERROR)
    assert log_float32(np.float32(x)) == pytest.approx(math.log(x), rel=LOG_ERROR, abs=LOG_ERROR)


@pytest.mark.parametrize("function", [exp_float32, exp_float32.py_func])
@pytest.mark.parametrize(("x", "expected"), [(0.0, 1.0), (-87.4, 0.0), (-1e30, 0.0), (-np.inf, 0.0)])
def test_exponential_at_its_ends(function, x, expected):
    assert function(np.float32(x)) == expected


def test_not_a_number_stays_one():
    assert math.isnan(exp_float32(np.float32(np.nan)))


def test_logarithm_of_one_is_zero():
    assert log_float32(np.float32(1.0)) == 0.0
