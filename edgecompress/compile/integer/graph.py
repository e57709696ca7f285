"""Reading a QDQ Relax function: definitions, quantized constants, and what lies behind a variable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from tvm import relax

from edgecompress.compile import frontend
from edgecompress.core.values import Array

RESHAPES = frozenset({"relax.reshape", "relax.flatten", "relax.squeeze", "relax.expand_dims"})


@dataclass(frozen=True, kw_only=True)
class Constant:
    """A constant of the graph: real numbers `scale * (values - zero_point)`, the scale along `axis` if it is an array.

    A constant that is not quantized has float values and scale 1.
    """

    values: Array
    scale: Array
    zero_point: Array
    axis: int

    @property
    def is_quantized(self) -> bool:
        """True when the values are integers."""
        return np.issubdtype(self.values.dtype, np.integer)

    def permuted(self, axes: tuple[int, ...]) -> Constant:
        """Transpose."""
        axis = axes.index(self.axis) if self.scale.size > 1 else 0
        return Constant(values=self.values.transpose(axes), scale=self.scale, zero_point=self.zero_point, axis=axis)

    def real(self) -> Array:
        """The real numbers, in double precision."""
        shape = [1] * self.values.ndim
        if self.scale.size > 1:
            shape[self.axis] = -1
        scale, zero = (each.astype(np.float64).reshape(shape) for each in (self.scale, self.zero_point))
        return np.asarray((self.values.astype(np.float64) - zero) * scale)


class Graph:
    """The function `main` of an imported network, by variable."""

    def __init__(self, imported: frontend.Imported) -> None:
        self._origin: Mapping[str, tuple[str, ...]] = imported.origin
        self.main = imported.module["main"]
        self.bindings = [(binding.var, binding.value) for binding in frontend.bindings(self.main)]
        self._definitions = dict(self.bindings)
        self._readers = _readers(self.bindings, self.main.body.body)

    def definition(self, expression: Any) -> Any:
        """What computes an expression: a call, a constant, or a parameter's variable."""
        while isinstance(expression, relax.Var) and expression in self._definitions:
            expression = self._definitions[expression]
        return expression

    def value(self, variable: Any) -> Any:
        """What a variable is bound to; None for a parameter."""
        return self._definitions.get(variable)

    def readers(self, variable: Any) -> Set[Any]:
        """The variables that are computed from a variable directly; None among them stands for the network's end."""
        return self._readers.get(variable, frozenset())

    def calls(self, name: str) -> bool:
        """True when an operator occurs anywhere."""
        return any(operator(value) == name for _, value in self.bindings)

    def call(self, expression: Any, *names: str) -> relax.Call | None:
        """The call of one of the operators that computes an expression, or None."""
        found = self.definition(expression)
        return found if operator(found) in names else None

    def nodes(self, *expressions: Any) -> tuple[str, ...]:
        """The labels of the ONNX nodes behind variables, each once."""
        labels = [label for each in expressions for label in self._labels(each)]
        return tuple(dict.fromkeys(labels))

    def _labels(self, expression: Any) -> tuple[str, ...]:
        return self._origin.get(expression.name, ()) if isinstance(expression, relax.Var) else ()

    def constant(self, expression: Any) -> Constant | None:
        """The constant that an expression is, through dequantize, transposes and reshapes; None for anything else."""
        found = self.definition(expression)
        if isinstance(found, tvm.ir.GenericConst):
            one, zero = np.ones((), np.float32), np.zeros((), np.int32)
            return Constant(values=found.value.numpy(), scale=one, zero_point=zero, axis=0)
        inner = self.constant(found.args[0]) if isinstance(found, relax.Call) and found.args else None
        if inner is None:
            return None
        name = operator(found)
        if name == "relax.dequantize" and inner.is_quantized:
            scale, zero = array(found.args[1]), array(found.args[2])
            axis = int(found.attrs.axis) % max(inner.values.ndim, 1)
            return Constant(values=inner.values, scale=scale, zero_point=zero, axis=axis)
        if name == "relax.permute_dims":
            return inner.permuted(axes_of(found, inner.values.ndim))
        if name in RESHAPES and (inner.scale.size == 1 or inner.values.ndim == 1):
            values = inner.values.reshape(shape_of(found))
            axis = next((i for i, extent in enumerate(values.shape) if extent == inner.values.size), 0)
            return Constant(values=values, scale=inner.scale, zero_point=inner.zero_point, axis=axis)
        return None


def _readers(bindings: Sequence[tuple[Any, Any]], result: Any) -> dict[Any, set[Any]]:
    found: dict[Any, set[Any]] = {result: {None}}
    for variable, value in bindings:
        for read in relax.analysis.free_vars(value):
            found.setdefault(read, set()).add(variable)
    return found


def operator(expression: Any) -> str:
    """The name of the operator that an expression calls, or nothing."""
    is_operator = isinstance(expression, relax.Call) and hasattr(expression.op, "name")
    return str(expression.op.name) if is_operator else ""


def array(constant: tvm.ir.GenericConst) -> Array:
    """A constant's numbers."""
    return np.asarray(constant.value.numpy())


def shape_of(expression: Any) -> tuple[int, ...]:
    """A tensor's shape."""
    return tuple(int(extent) for extent in expression.ty.shape.values)


def dtype_of(expression: Any) -> str:
    """A tensor's element type."""
    return str(expression.ty.dtype.dtype if hasattr(expression.ty.dtype, "dtype") else expression.ty.dtype)


def axes_of(call: relax.Call, rank: int) -> tuple[int, ...]:
    """The axes of a permute_dims."""
    axes = call.attrs.axes
    return tuple(int(axis) % rank for axis in axes) if axes is not None else tuple(reversed(range(rank)))


def pair(values: Any) -> tuple[int, int]:
    """Rows and columns of an attribute such as strides."""
    rows, columns = (int(value) for value in values)
    return rows, columns
