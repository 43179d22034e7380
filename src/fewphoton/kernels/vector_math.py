"""Exponential and logarithm in float32, written so that loops over them become vector instructions.

The library's own functions are calls, one a number; these are a few multiply-adds and shifts of the exponent's bits,
which the compiler carries out on 8 or 16 numbers at a time. The argument is reduced with a split logarithm of two
(Cody and Waite 1980, Software Manual for the Elementary Functions); the polynomials are weighted least-squares fits on
Chebyshev points of the reduced range.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy import float32 as f32

EXP_RELATIVE_ERROR = 1.2e-7
"""Largest relative error of :func:`exp_float32` where the result is a normal number."""
LOG_ERROR = 1.5e-7
"""Largest error of :func:`log_float32`, relative to the result or to 1, whichever is larger."""

_LOWEST = f32(-87.33654)
_LOG2_E = f32(1.44269504)
_LN2_HIGH = f32(0.693359375)
_LN2_LOW = f32(-2.12194440e-4)
_ROUNDER = f32(12582912.0)  # 1.5 * 2**23: adding it leaves the nearest integer in the lowest bits
_ZERO, _HALF, _ONE = f32(0.0), f32(0.5), f32(1.0)
_E2, _E3, _E4, _E5, _E6 = (
    f32(0.49999988527797096),
    f32(0.1666651787033343),
    f32(0.0416695442806785),
    f32(0.00836898723101235),
    f32(0.0013751150275083614),
)
_L3, _L4, _L5, _L6, _L7, _L8, _L9 = (
    f32(0.33333813967130704),
    f32(-0.25001226852762753),
    f32(0.19966666513747008),
    f32(-0.16581545711942233),
    f32(0.1488151673893853),
    f32(-0.1423217132359576),
    f32(0.08753430437102525),
)
_SQRT_HALF_BITS = np.int32(0x3F3504F3)
_MANTISSA_MASK = np.int32(0x007FFFFF)


@numba.njit(cache=True)
def exp_float32(x: np.float32) -> np.float32:
    """Return e to the power ``x``, and 0 where that is below the smallest normal number (``x < -87.3365``).

    About 15 operations. ``x`` must not exceed 88. NaN gives NaN.
    """
    bounded = _LOWEST if x < _LOWEST else x
    whole = (bounded * _LOG2_E + _ROUNDER) - _ROUNDER
    rest = (bounded - whole * _LN2_HIGH) - whole * _LN2_LOW
    tail = _E2 + rest * (_E3 + rest * (_E4 + rest * (_E5 + rest * _E6)))
    mantissa = _ONE + (rest + rest * rest * tail)
    exponent = np.int32(np.int32(np.int32(whole) + np.int32(127)) << np.int32(23))
    result = mantissa * exponent.view(np.float32)
    return _ZERO if x < _LOWEST else result


@numba.njit(cache=True)
def log_float32(x: np.float32) -> np.float32:
    """Return the natural logarithm of a positive normal number.

    About 20 operations. The result for 0, subnormal, negative and other numbers has no meaning.
    """
    shifted = np.int32(f32(x).view(np.int32) - _SQRT_HALF_BITS)
    exponent = np.int32(shifted >> np.int32(23))
    m = np.int32(np.int32(shifted & _MANTISSA_MASK) + _SQRT_HALF_BITS).view(np.float32) - _ONE
    tail = _L3 + m * (_L4 + m * (_L5 + m * (_L6 + m * (_L7 + m * (_L8 + m * _L9)))))
    square = m * m
    e = f32(exponent)
    return e * _LN2_HIGH + (m + (e * _LN2_LOW + square * (m * tail - _HALF)))
