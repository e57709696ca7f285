"""What matching works with: the graph's variables as they lie in memory, and the layers made so far."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import relax

from edgecompress.compile.integer.graph import RESHAPES, Graph, array, axes_of, operator, shape_of
from edgecompress.compile.integer.layers import NO_CLAMP, Clamp, Layer, Rescale, Transpose, Value
from edgecompress.compile.integer.views import Axes, View, channels_last, identity
from edgecompress.core.values import Arithmetic

MOVES = frozenset({"relax.permute_dims", *RESHAPES})
"""Operators that only rearrange."""


class NoMatchError(Exception):
    """A pattern that has no integer layer; the message names the ONNX node and says why."""


class WrongQuantizationError(NoMatchError):
    """A pattern that other quantization would bring to integers: it must not be computed with reals instead."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a quantize makes: the variable, its scale and zero point as int8, the fused activation, the nodes so far."""

    variable: relax.Var
    scale: float
    zero_point: int
    clamp: Clamp = NO_CLAMP
    nodes: tuple[str, ...] = ()

    def at(self, value: Value) -> Target:
        """The same target, at the scale of a value and without an activation."""
        return dataclasses.replace(self, scale=value.scale, zero_point=value.zero_point, clamp=NO_CLAMP)

    def is_at(self, value: Value) -> bool:
        """True when the value's numbers mean the same here."""
        return (self.scale, self.zero_point) == (value.scale, value.zero_point)


class Builder:
    """The layers made so far, and where every variable of the graph lies.

    `renamed` says which values became outputs of the network, and under which names; `arithmetic` whose definition
    holds (core.values.Model).
    """

    def __init__(self, graph: Graph, edges: set[str], arithmetic: Arithmetic) -> None:
        self.graph = graph
        self.arithmetic = arithmetic
        self.layers: list[Layer] = []
        self.views: dict[Any, View] = {}
        self.renamed: dict[str, str] = {}
        self._names = edges

    def unique(self, wanted: str) -> str:
        """A name that no value has yet."""
        name, count = wanted, 1
        while name in self._names:
            count += 1
            name = f"{wanted}_{count}"
        self._names.add(name)
        return name

    def rename(self, name: str, output: str) -> None:
        """Let a value be an output of the network; whoever reads it later reads the output."""
        self.renamed[name] = output
        self.views = {variable: view.renamed(name, output) for variable, view in self.views.items()}

    def emit(self, target: Target, shape: tuple[int, ...], order: Axes, kind: type[Layer], /, **fields: Any) -> View:
        """Append a layer that makes the target's value, of this logical shape, in this order of memory."""
        value = Value(
            name=self.unique(str(target.variable.name)),
            shape=tuple(shape[axis] for axis in order),
            scale=target.scale,
            zero_point=target.zero_point,
        )
        self.layers.append(kind(output=value, nodes=target.nodes, **fields))
        return View(value=value, shape=shape, order=order)

    def stored(self, expression: Any) -> View | None:
        """The view of an expression that lies in memory, perhaps rearranged; None for one that is computed."""
        if expression in self.views:
            return self.views[expression]
        call = self.graph.definition(expression)
        if operator(call) not in MOVES:
            return None
        inner = self.stored(call.args[0])
        return None if inner is None else self.moved(inner, call)

    def real(self, expression: Any) -> View | None:
        """The int8 tensor that a real value is dequantized from, at the dequantize's scale; None if it is none."""
        call = self.graph.definition(expression)
        if operator(call) in MOVES:
            inner = self.real(call.args[0])
            return None if inner is None else self.moved(inner, call)
        if operator(call) != "relax.dequantize":
            return None
        view = self.stored(call.args[0])
        scale, zero = array(call.args[1]), array(call.args[2])
        if view is None or scale.size != 1:
            return None
        return view.requantified(float(scale.item()), as_int8_zero(zero))

    def moved(self, view: View, call: relax.Call) -> View:
        """Apply a transpose or a reshape."""
        if operator(call) in RESHAPES:
            return view.reshaped(shape_of(call))
        return self.in_memory(view).permuted(axes_of(call, len(view.shape)))

    def in_memory(self, view: View) -> View:
        """The same tensor without a pending reshape."""
        if view.before is None:
            return view
        inner = self.in_order(view.before, identity(len(view.before.shape)))
        return inner.reshaped(view.shape)

    def in_order(self, view: View, order: Axes) -> View:
        """The same tensor with its memory in this order: as it is, or transposed by a layer."""
        view = self.in_memory(view)
        if view.lies_in(order):
            return dataclasses.replace(view, order=order)
        shape = tuple(view.shape[axis] for axis in order)
        value = dataclasses.replace(view.value, name=self.unique(f"{view.value.name}_transposed"), shape=shape)
        axes = tuple(view.order.index(axis) for axis in order)
        layer = Transpose(inputs=(view.value,), output=value, nodes=(), shape=view.stored_shape, axes=axes)
        self.layers.append(layer)
        return View(value=value, shape=view.shape, order=order)

    def operand(self, expression: Any) -> View:
        """A layer's input, images channels last."""
        view = self.quantized(expression)
        return self.in_order(view, channels_last(len(view.shape)))

    def quantized(self, expression: Any) -> View:
        """A layer's input, wherever it lies. Raises NoMatchError when it is not quantized."""
        view = self.real(expression)
        if view is None or view.value.dtype != "int8":
            raise NoMatchError(self.why_not(expression))
        return view

    def rescale(self, target: Target, view: View) -> View:
        """Bring a tensor to the target's scale and clamp, by a layer where that changes anything."""
        if target.is_at(view.value) and target.clamp == NO_CLAMP:
            return view
        source = view.before or view
        result = self.emit(
            target,
            source.shape,
            source.order,
            Rescale,
            inputs=(view.value,),
            clamp=target.clamp,
            arithmetic=self.arithmetic,
        )
        return result.reshaped(view.shape) if view.before else result

    def label(self, expression: Any) -> str:
        """Name an expression by its ONNX node."""
        nodes = self.graph.nodes(expression)
        return f"layer {nodes[0]!r}" if nodes else f"value {getattr(expression, 'name', '?')!r}"

    def why_not(self, expression: Any) -> str:
        """Say why a real value cannot be had in integers."""
        name = operator(self.graph.definition(expression)).removeprefix("relax.").removeprefix("nn.")
        if not name:
            return f"{self.label(expression)} is used before it is quantized"
        return f"{self.label(expression)} ({name}) has no integer kernel, or its result is not quantized"


def as_int8_zero(zero: np.ndarray[Any, Any]) -> int:
    """A zero point for int8, which stands for uint8 less 128."""
    return int(zero.item()) - (128 if zero.dtype == np.uint8 else 0)


def elements(shape: tuple[int, ...]) -> int:
    """How many elements a shape has."""
    return math.prod(shape)
