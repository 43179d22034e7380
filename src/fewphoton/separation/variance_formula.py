"""Variance of a pixel by a formula of its raw value, such as ``5*I + 8``; arithmetic only, nothing is executed."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.errors import ConfigError

_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
_FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "abs": (1, np.abs),
    "sqrt": (1, np.sqrt),
    "maximum": (2, np.maximum),
}
"""Number of arguments, and what they go to."""


class VarianceFormula:
    """A formula of the raw value ``I`` with + - * / ** and abs, sqrt, maximum.

    Parameters
    ----------
    text : str
        The formula.

    Raises
    ------
    ConfigError
        If the text is no such formula.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
            self(np.ones(1))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ConfigError(f"variance_formula {text!r}: {error}; expected a formula of I such as 5*I + 8") from error

    def __call__(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Return the variance of each pixel, float32 like ``raw``."""
        with np.errstate(all="ignore"):
            value = self._value(self._tree, raw.astype(np.float64))
        return np.broadcast_to(np.asarray(value, dtype=np.float32), raw.shape)

    def _value(self, node: ast.AST, raw: NDArray[np.float64]) -> Any:
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
            # NumPy's own number: its arithmetic gives inf or NaN where Python's would raise or turn complex.
            return np.float64(node.value)
        if isinstance(node, ast.Name) and node.id == "I":
            return raw
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            return _OPERATORS[type(node.op)](self._value(node.left, raw), self._value(node.right, raw))
        if isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATORS:
            return _OPERATORS[type(node.op)](self._value(node.operand, raw))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS:
            n_arguments, function = _FUNCTIONS[node.func.id]
            if len(node.args) != n_arguments or node.keywords:
                raise ValueError(f"{node.func.id} takes {n_arguments} values")
            return function(*(self._value(argument, raw) for argument in node.args))
        raise ValueError(f"{ast.unparse(node)!r} is not understood")
