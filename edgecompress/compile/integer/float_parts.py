"""Parts of a quantized network that compute with reals: whatever stands before a quantize and has no integer layer.

A part reads tensors that lie in memory and gives one tensor. It takes the way of float networks (floating/), with the
dequantize and the quantize around it, so that every core computes the same bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import onnx
import tvm_ffi
from tvm import relax

from edgecompress.compile import floating
from edgecompress.compile.frontend import Imported
from edgecompress.compile.integer import layers
from edgecompress.compile.integer.builder import Builder, NoMatchError, Target
from edgecompress.compile.integer.graph import dtype_of, operator, shape_of
from edgecompress.compile.integer.layers import Network, Value
from edgecompress.compile.integer.views import Axes, View, channels_last, identity
from edgecompress.compile.program import Program
from edgecompress.core.target import Target as Device
from edgecompress.core.values import Model, TensorSpec

logger = logging.getLogger(__name__)

PRODUCTS = frozenset({"relax.matmul", "relax.nn.conv1d", "relax.nn.conv2d", "relax.nn.conv3d"})
IMAGE_RANK = 4


def quantized(builder: Builder, target: Target, expression: Any) -> View:
    """Make the part that computes a real expression and quantizes it as the target says."""
    found = _find(builder, expression, target.variable)
    return _Drawing(builder, found).quantized(expression, target)


def as_it_is(builder: Builder, variable: Any, name: str) -> View:
    """Make the part that computes a variable, and keep it under this name: reals as float32, integers as they are."""
    found = _find(builder, variable, None)
    return _Drawing(builder, found).as_it_is(variable, name)


def lower(network: Network, device: Device) -> dict[str, Program]:
    """Bring every part to kernels for a device, by the name of the part's output."""
    parts = [layer for layer in network.layers if isinstance(layer, layers.FloatPart)]
    return {part.output.name: floating.to_program(part.graph, _edges(network, part), device) for part in parts}


def _edges(network: Network, part: layers.FloatPart) -> Model:
    """The part as a network of its own."""
    specs = [TensorSpec(name=value.name, shape=value.shape, dtype=value.dtype) for value in (*part.inputs, part.output)]
    return Model(name=network.name, graph=onnx.ModelProto(), inputs=tuple(specs[:-1]), outputs=(specs[-1],))


@dataclass(frozen=True, kw_only=True)
class _Found:
    """The variables that a part computes, in the order of the graph, and the tensors that it reads, by variable."""

    inner: list[Any]
    leaves: Mapping[Any, View]


def _find(builder: Builder, expression: Any, reader: Any) -> _Found:
    """Collect what computes an expression; what others read too is made first, by a part of its own."""
    while True:
        found = _collect(builder, expression)
        own = {*found.inner, reader}
        shared = [each for each in found.inner if _is_shared(builder, each, own)]
        if not shared or (reader is None and shared[0].same_as(expression)):
            return found
        builder.views[shared[0]] = as_it_is(builder, shared[0], builder.unique(str(shared[0].name)))


def _is_shared(builder: Builder, variable: Any, own: set[Any]) -> bool:
    """True for reals that something outside of a part reads. Other types are cheap, and computed again."""
    if isinstance(variable.ty, relax.TupleType) or dtype_of(variable) != "float32":
        return False
    return not builder.graph.readers(variable) <= own


def _collect(builder: Builder, expression: Any) -> _Found:
    inner: set[Any] = set()
    leaves: dict[Any, View] = {}
    waiting = [expression]
    while waiting:
        each = waiting.pop()
        if each in inner or each in leaves or builder.graph.constant(each) is not None:
            continue
        view = _leaf(builder, each)
        if view is not None:
            leaves[each] = view
            continue
        value = builder.graph.value(each)
        if value is None:
            raise NoMatchError(builder.why_not(each))
        inner.add(each)
        waiting.extend(relax.analysis.free_vars(value))
    ordered = [*builder.graph.main.params, *(variable for variable, _ in builder.graph.bindings)]
    return _Found(
        inner=[each for each in ordered if each in inner],
        leaves={each: leaves[each] for each in ordered if each in leaves},
    )


def _leaf(builder: Builder, variable: Any) -> View | None:
    """The tensor in memory that a variable is, or is dequantized from."""
    if variable in builder.views:
        view = builder.views[variable]
        return view if view.value.dtype == dtype_of(variable) else None
    if builder.graph.call(variable, "relax.dequantize") is None:
        return None
    return builder.real(variable)


class _Drawing:
    """The Relax function of a part in the making."""

    def __init__(self, builder: Builder, found: _Found) -> None:
        self._integers = builder
        self._found = found
        self._relax = relax.BlockBuilder()
        self._origin: dict[str, tuple[str, ...]] = {}
        self._drawn: dict[Any, Any] = {}
        self._nodes = builder.graph.nodes(*found.inner)
        self._current: tuple[str, ...] = self._nodes[:1]

    def as_it_is(self, variable: Any, name: str) -> View:
        """Draw a part that gives a variable."""
        shape = shape_of(variable)
        value = Value(name=name, shape=shape, dtype=cast("layers.ElementType", dtype_of(variable)))
        return self._append(variable, value, View(value=value, shape=shape, order=identity(len(shape))), self._nodes)

    def quantized(self, expression: Any, target: Target) -> View:
        """Draw a part that quantizes what it computes; images as they lie in memory when some are read."""
        shape = shape_of(expression)
        order = self._order(shape)
        value = Value(
            name=self._integers.unique(str(target.variable.name)),
            shape=tuple(shape[axis] for axis in order),
            scale=target.scale,
            zero_point=target.zero_point,
        )
        nodes = tuple(dict.fromkeys((*self._nodes, *target.nodes)))
        view = View(value=value, shape=shape, order=order)
        return self._append(expression, value, view, nodes, target)

    def _append(
        self, expression: Any, value: Value, view: View, nodes: tuple[str, ...], target: Target | None = None
    ) -> View:
        inputs = {each.value.name: each for each in self._found.leaves.values()}
        parameters = {
            name: relax.Var(name, relax.TensorType((each.before or each).stored_shape, each.value.dtype))
            for name, each in inputs.items()
        }
        with self._relax.function("main", list(parameters.values())):
            with self._relax.dataflow():
                for variable, leaf in self._found.leaves.items():
                    self._drawn[variable] = self._read(parameters[leaf.value.name], variable, leaf)
                for variable in self._found.inner:
                    self._copy(variable)
                result = self._drawn[expression]
                if target is not None:
                    result = self._quantize(result, target)
                if view.order != identity(len(view.order)):
                    result = self._emit(relax.op.permute_dims(result, list(view.order)))
                result = self._relax.emit_output(result)
            self._relax.emit_func_output(result)
        part = layers.FloatPart(
            inputs=tuple(each.value for each in inputs.values()),
            output=value,
            nodes=nodes,
            graph=Imported(module=self._relax.get(), origin=self._origin),
        )
        self._integers.layers.append(part)
        return view

    def _order(self, shape: tuple[int, ...]) -> Axes:
        """Channels last for an image when an image that is read lies so."""
        images = [leaf for leaf in self._found.leaves.values() if leaf.before is None and len(leaf.shape) == IMAGE_RANK]
        is_image = len(shape) == IMAGE_RANK and any(leaf.lies_in(channels_last(IMAGE_RANK)) for leaf in images)
        return channels_last(IMAGE_RANK) if is_image else identity(len(shape))

    def _read(self, parameter: Any, variable: Any, view: View) -> Any:
        """Bring what lies in memory to the graph's shape, and to reals where the graph reads reals."""
        source = view.before or view
        value = parameter
        if source.order != identity(len(source.order)):
            axes = [source.order.index(axis) for axis in identity(len(source.order))]
            value = self._emit(relax.op.permute_dims(value, axes))
        if source.shape != view.shape:
            value = self._emit(relax.op.reshape(value, view.shape))
        if view.value.dtype == dtype_of(variable):
            return value
        value = self._emit(relax.op.astype(value, "float32"))
        value = self._emit(relax.op.subtract(value, _number(view.value.zero_point)))
        return self._emit(relax.op.multiply(value, _number(view.value.scale)))

    def _copy(self, variable: Any) -> None:
        """Draw what computes a variable."""
        graph = self._integers.graph
        value = graph.value(variable)
        if operator(value) in PRODUCTS:
            logger.warning("%s is computed in float: it is not quantized on all sides", self._integers.label(variable))

        def renamed(each: Any) -> Any:
            if each in self._drawn:
                return self._drawn[each]
            constant = graph.constant(each)
            if constant is None:
                return each
            return relax.const(constant.real().astype("float32") if dtype_of(each) == "float32" else constant.values)

        self._current = graph.nodes(variable) or self._current
        self._drawn[variable] = self._emit(tvm_ffi.structural_map(value, (relax.Var, renamed)))

    def _quantize(self, value: Any, target: Target) -> Any:
        """As QuantizeLinear: ties to even, then the zero point, then the bounds."""
        value = self._emit(relax.op.round(self._emit(relax.op.divide(value, _number(target.scale)))))
        value = self._emit(relax.op.add(value, _number(target.zero_point)))
        value = self._emit(relax.op.clip(value, target.clamp.low, target.clamp.high))
        return self._emit(relax.op.astype(value, "int8"))

    def _emit(self, value: Any) -> Any:
        variable = self._relax.emit(value)
        self._origin[variable.name] = self._current
        return variable


def _number(value: float) -> Any:
    """A constant of one element: a kernel's argument, so that layers that differ in it only share the kernel."""
    return relax.const(np.array([value], np.float32))
