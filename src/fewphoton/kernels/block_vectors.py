"""Blocks of 32 neighbouring numbers, each added by a few vector instructions, and fetched ahead.

Where short pieces of two tables are added, the compiler cannot know that they do not overlap, and tests it for each
piece or goes number by number; both cost more than the addition. Here the vector type is spelt out. The functions run
as they stand in Python.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

BLOCK = 32
"""Columns of a block; in float32, two cache lines."""
_LINE = 16  # float32 in a cache line


def add_block(out: NDArray[np.float32], at: int, values: NDArray[Any], begin: int, weight: np.float32) -> None:
    """Add the block of ``values`` from ``begin`` on, times ``weight``, to the block of ``out`` from ``at`` on.

    ``values`` are float32, int16 or uint8. Neither bounds nor negative places are looked at. One multiply-add an
    element; 8 bytes, and those of ``values``.
    """
    out[at : at + BLOCK] += weight * values[begin : begin + BLOCK].astype(np.float32)


def fetch_block(values: NDArray[np.float32], begin: int) -> None:
    """Ask for the cache lines of the block from ``begin`` on, and go on without waiting for them."""


def fetch(values: NDArray[Any], place: int) -> None:
    """Ask for the cache line of one element, and go on without waiting for it."""


def _address(context: Any, builder: Any, kind: Any, array: Any, place: Any) -> Any:
    return builder.gep(context.make_array(kind)(context, builder, array).data, [place])


def _prefetch(builder: Any, address: Any) -> None:
    word, byte = ir.IntType(32), ir.IntType(8).as_pointer()
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(ir.VoidType(), [byte, word, word, word]), "llvm.prefetch.p0"
    )
    read, keep, data = word(0), word(3), word(1)
    builder.call(function, [builder.bitcast(address, byte), read, keep, data])


@intrinsic
def _add_vector(_typing: Any, out: Any, at: Any, values: Any, begin: Any, weight: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(ir.FloatType(), BLOCK)
        number = signature.args[2].dtype
        held = ir.VectorType(context.get_data_type(number), BLOCK)
        lanes = ir.VectorType(ir.IntType(32), BLOCK)
        target = builder.bitcast(
            _address(context, builder, signature.args[0], arguments[0], arguments[1]), vector.as_pointer()
        )
        source = builder.bitcast(
            _address(context, builder, signature.args[2], arguments[2], arguments[3]), held.as_pointer()
        )
        added = builder.load(source, align=1)
        if isinstance(number, types.Integer):
            added = (builder.sitofp if number.signed else builder.uitofp)(added, vector)
        unset = ir.Constant(vector, ir.Undefined)
        first = builder.insert_element(unset, arguments[4], ir.Constant(ir.IntType(32), 0))
        factor = builder.shuffle_vector(first, unset, ir.Constant(lanes, [0] * BLOCK))
        product = builder.fmul(added, factor)
        builder.store(builder.fadd(builder.load(target, align=4), product), target, align=4)
        return context.get_dummy_value()

    return types.void(out, at, values, begin, weight), generate


@intrinsic
def _fetch_lines(_typing: Any, values: Any, begin: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature.args[0], arguments[0], arguments[1])
        for line in range(BLOCK // _LINE):
            _prefetch(builder, builder.gep(address, [ir.Constant(ir.IntType(64), _LINE * line)]))
        return context.get_dummy_value()

    return types.void(values, begin), generate


@intrinsic
def _fetch_line(_typing: Any, values: Any, place: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _prefetch(builder, _address(context, builder, signature.args[0], arguments[0], arguments[1]))
        return context.get_dummy_value()

    return types.void(values, place), generate


@overload(add_block, inline="always", strict=False)
def _compiled_add_block(out: Any, at: Any, values: Any, begin: Any, weight: Any) -> Any:
    return lambda out, at, values, begin, weight: _add_vector(out, np.int64(at), values, np.int64(begin), weight)


@overload(fetch_block, inline="always", strict=False)
def _compiled_fetch_block(values: Any, begin: Any) -> Any:
    return lambda values, begin: _fetch_lines(values, np.int64(begin))


@overload(fetch, inline="always", strict=False)
def _compiled_fetch(values: Any, place: Any) -> Any:
    return lambda values, place: _fetch_line(values, np.int64(place))
