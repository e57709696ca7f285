"""Functions of one int8 tensor: whatever a graph computes element by element from it is a table of 256 numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecompress.compile.integer.builder import Builder
from edgecompress.compile.integer.graph import operator
from edgecompress.compile.integer.views import View
from edgecompress.compile.quantized import INT8_MAX, INT8_MIN

Reals = NDArray[np.float64]

FUNCTIONS: Mapping[str, Callable[..., Reals]] = {
    "relax.abs": np.abs,
    "relax.add": np.add,
    "relax.divide": np.divide,
    "relax.erf": np.vectorize(math.erf, otypes=[np.float64]),
    "relax.exp": np.exp,
    "relax.log": np.log,
    "relax.maximum": np.maximum,
    "relax.minimum": np.minimum,
    "relax.multiply": np.multiply,
    "relax.negative": np.negative,
    "relax.nn.relu": lambda x: np.maximum(x, 0),
    "relax.sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "relax.subtract": np.subtract,
    "relax.tanh": np.tanh,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Function:
    """What becomes of every number -128 … 127 of a tensor, in reals."""

    view: View
    results: Reals

    def quantized(self, scale: float, zero_point: int) -> NDArray[np.int8]:
        """The results as int8, ties to even as in QuantizeLinear."""
        numbers = np.rint(self.results / np.float64(scale)) + zero_point
        return np.asarray(np.clip(numbers, INT8_MIN, INT8_MAX), np.int8)


def find(builder: Builder, expression: Any) -> Function | None:
    """Find the function of one tensor that an expression is; None when it reads several, or is no such function."""
    view = builder.real(expression)
    if view is not None:
        numbers = np.arange(INT8_MIN, INT8_MAX + 1) - view.value.zero_point
        return Function(view=view, results=numbers * np.float64(view.value.scale))
    call = builder.graph.definition(expression)
    name = operator(call)
    if name == "relax.clip":
        low, high = (float(getattr(bound, "value", bound)) for bound in call.args[1:3])
        return _mapped(find(builder, call.args[0]), lambda x: np.clip(x, low, high))
    if name == "relax.nn.leakyrelu":
        alpha = float(call.attrs.alpha)
        return _mapped(find(builder, call.args[0]), lambda x: np.where(x < 0, alpha * x, x))
    if name not in FUNCTIONS:
        return None
    operands = [_operand(builder, argument) for argument in call.args]
    functions = [each for each in operands if isinstance(each, Function)]
    if None in operands or not functions or any(each.view != functions[0].view for each in functions):
        return None
    reals = [each.results if isinstance(each, Function) else each for each in operands]
    with np.errstate(all="ignore"):
        return Function(view=functions[0].view, results=FUNCTIONS[name](*reals))


def _mapped(function: Function | None, by: Callable[[Reals], Reals]) -> Function | None:
    return None if function is None else Function(view=function.view, results=by(function.results))


def _operand(builder: Builder, expression: Any) -> Function | float | None:
    """A scalar constant, or a function of one tensor."""
    constant = builder.graph.constant(expression)
    if constant is None:
        return find(builder, expression)
    return float(constant.real().item()) if constant.values.size == 1 else None
