"""QDQ graph to integer layers: every quantize, with the float operators up to the dequantizes before it, is a layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import relax

from edgecompress.compile import frontend
from edgecompress.compile.integer import layers, products, provenance
from edgecompress.compile.integer.graph import RESHAPES, Graph, array, axes_of, dtype_of, operator, pair, shape_of
from edgecompress.compile.integer.layers import Clamp, Value
from edgecompress.compile.integer.views import View, channels_last, identity
from edgecompress.compile.kernels.window import Window
from edgecompress.core.bundle import OnnxValue
from edgecompress.core.errors import ModelError
from edgecompress.core.values import Model


class NoMatchError(Exception):
    """A pattern that has no integer layer; the message says why."""


def match(imported: frontend.Imported, model: Model) -> layers.Network:
    """Turn a QDQ network into layers.

    Raises ModelError that names every ONNX node which cannot run in integers.
    """
    return _Matcher(Graph(imported), model).network()


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Target:
    """What a quantize makes: the variable, its scale and zero point as int8, the fused activation, the nodes so far."""

    variable: relax.Var
    scale: float
    zero_point: int
    clamp: Clamp
    nodes: tuple[str, ...]


class _Matcher:
    """The walk over the graph. `_views` knows every variable that lies in memory."""

    def __init__(self, graph: Graph, model: Model) -> None:
        self._graph = graph
        self._model = model
        self._layers: list[layers.Layer] = []
        self._views: dict[Any, View] = {}
        self._onnx_values: dict[str, OnnxValue] = {}
        self._problems: list[str] = []
        self._names: set[str] = {spec.name for spec in (*model.inputs, *model.outputs)}
        self._cores: dict[str, Callable[[_Target, Any, relax.Call], View]] = {
            "relax.add": self._add,
            "relax.nn.conv2d": self._product,
            "relax.matmul": self._product,
            "relax.nn.avg_pool2d": self._average_pool,
            "relax.nn.max_pool2d": self._max_pool,
            "relax.mean": self._mean,
            "relax.nn.softmax": self._softmax,
            "relax.concat": self._concatenate,
        }

    def network(self) -> layers.Network:
        """Walk the whole graph."""
        for parameter, spec in zip(self._graph.main.params, self._model.inputs, strict=True):
            self._add_input(parameter, spec.name, spec.scale, spec.zero_point)
        for variable, expression in self._graph.bindings:
            name = operator(expression)
            if name == "relax.quantize" and self._graph.constant(expression.args[0]) is None:
                self._try(variable, expression, self._quantize)
            elif dtype_of(variable) in ("int8", "uint8") and name != "relax.quantize":
                self._try(variable, expression, self._move)
        self._onnx_values = provenance.onnx_values(self._graph, self._model, self._views)
        self._add_outputs()
        if self._problems:
            raise ModelError(
                f"{self._model.name} cannot run in integers: {'; '.join(self._problems)}",
                hint="quantize these layers' inputs and outputs too (QDQ), or take the operators out of the network",
            )
        return layers.Network(
            name=self._model.name,
            inputs=self._model.inputs,
            outputs=self._model.outputs,
            layers=tuple(self._layers),
            onnx_values=self._onnx_values,
        )

    def _try(self, variable: relax.Var, expression: Any, step: Callable[[relax.Var, Any], View]) -> None:
        try:
            self._views[variable] = step(variable, expression)
        except NoMatchError as problem:
            self._problems.append(str(problem))
            shape = shape_of(variable)
            stand_in = Value(name=str(variable.name), elements=int(np.prod(shape)))
            self._views[variable] = View(value=stand_in, shape=shape, order=identity(len(shape)))

    # Edges of the network

    def _add_input(self, parameter: relax.Var, name: str, scale: float | None, zero_point: int | None) -> None:
        shape, dtype = shape_of(parameter), dtype_of(parameter)
        if dtype not in ("float32", "int8", "uint8"):
            raise ModelError(
                f"input {name!r} of {self._model.name} has type {dtype}",
                hint="a quantized network takes float32, int8 or uint8",
            )
        value = Value(name=name, elements=int(np.prod(shape)), dtype=dtype)  # type: ignore[arg-type]
        if scale is not None and zero_point is not None:
            value = dataclasses.replace(value, scale=scale, zero_point=zero_point)
        if dtype == "uint8":
            flipped = dataclasses.replace(value, name=self._name(f"{name}_int8"), dtype="int8")
            self._layers.append(layers.FlipSign(inputs=(value,), output=flipped, nodes=()))
            value = flipped
        self._views[parameter] = View(value=value, shape=shape, order=identity(len(shape)))

    def _add_outputs(self) -> None:
        results = self._graph.main.body.body
        variables = list(results.fields) if isinstance(results, relax.Tuple) else [results]
        for variable, spec in zip(variables, self._model.outputs, strict=True):
            try:
                self._add_output(variable, spec.name)
            except NoMatchError as problem:
                self._problems.append(str(problem))

    def _add_output(self, variable: Any, name: str) -> None:
        dtype = dtype_of(variable)
        view = self._real(variable) if dtype == "float32" else self._stored(variable)
        if view is None or view.value.dtype != "int8":
            raise NoMatchError(self._why_not(variable))
        view = self._in_order(view, identity(len(view.shape)), name)
        result = dataclasses.replace(view.value, name=name, dtype=dtype)
        if dtype == "float32":
            nodes = self._graph.nodes(variable)
            self._layers.append(layers.Dequantize(inputs=(view.value,), output=result, nodes=nodes))
        elif dtype == "uint8":
            self._layers.append(layers.FlipSign(inputs=(view.value,), output=result, nodes=()))
        else:
            self._rename(view.value, result)

    def _rename(self, old: Value, new: Value) -> None:
        """Let the layer that makes `old` write the output; copy when somebody else reads `old` too."""
        read = any(value.name == old.name for layer in self._layers for value in layer.inputs)
        if read or not any(layer.output.name == old.name for layer in self._layers):
            self._layers.append(layers.Rescale(inputs=(old,), output=new, nodes=(), clamp=Clamp()))
            return
        if old.name in self._onnx_values:
            renamed = self._onnx_values.pop(old.name).model_copy(update={"tensor": new.name})
            self._onnx_values[new.name] = renamed
        self._layers = [
            dataclasses.replace(layer, output=dataclasses.replace(layer.output, name=new.name))
            if layer.output.name == old.name
            else layer
            for layer in self._layers
        ]

    # Values and views

    def _name(self, wanted: str) -> str:
        name, count = wanted, 1
        while name in self._names:
            count += 1
            name = f"{wanted}_{count}"
        self._names.add(name)
        return name

    def _stored(self, expression: Any) -> View | None:
        """The view of an expression that lies in memory, through float transposes and reshapes too."""
        while isinstance(expression, relax.Var) and expression not in self._views:
            definition = self._graph.definition(expression)
            if operator(definition) not in {"relax.permute_dims", *RESHAPES}:
                return None
            inner = self._stored(definition.args[0])
            return None if inner is None else self._moved(inner, definition, str(expression.name))
        return self._views.get(expression)

    def _moved(self, inner: View, call: relax.Call, name: str) -> View:
        if operator(call) in RESHAPES:
            return inner.reshaped(shape_of(call))
        if inner.before is not None:
            inner = self._in_order(inner, identity(len(inner.shape)), name)
        return inner.permuted(axes_of(call, len(inner.shape)))

    def _move(self, variable: relax.Var, expression: Any) -> View:
        view = self._stored(variable)
        if view is None:
            raise NoMatchError(self._why_not(variable))
        return view

    def _real(self, expression: Any) -> View | None:
        """The int8 tensor that a real value is dequantized from, with the dequantize's scale; None if it is none."""
        call = self._graph.call(expression, "relax.dequantize", "relax.permute_dims", *RESHAPES)
        if call is None:
            return None
        if operator(call) != "relax.dequantize":
            inner = self._real(call.args[0])
            return None if inner is None else self._moved(inner, call, "moved")
        view = self._stored(call.args[0])
        scale, zero = array(call.args[1]), array(call.args[2])
        if view is None or scale.size != 1:
            return None
        return _requantified(view, float(scale.item()), int(zero.item()) - (128 if zero.dtype == np.uint8 else 0))

    def _in_order(self, view: View, order: tuple[int, ...], name: str) -> View:
        """The same tensor with its memory in this order: as it is, or transposed by a layer."""
        if view.before is not None:
            inner = self._in_order(view.before, identity(len(view.before.shape)), name)
            view = inner.reshaped(view.shape)
        if view.lies_in(order):
            return dataclasses.replace(view, order=order)
        value = dataclasses.replace(view.value, name=self._name(f"{name}_transposed"))
        axes = tuple(view.order.index(axis) for axis in order)
        layer = layers.Transpose(inputs=(view.value,), output=value, nodes=(), shape=view.stored_shape, axes=axes)
        self._layers.append(layer)
        return View(value=value, shape=view.shape, order=order)

    def _operand(self, expression: Any, *, last: bool = False) -> View:
        """A layer's input, from memory; images channels last unless the layer works on the last axis."""
        view = self._real(expression)
        if view is None or view.value.dtype != "int8":
            raise NoMatchError(self._why_not(expression))
        order = identity(len(view.shape)) if last else channels_last(len(view.shape))
        return self._in_order(view, order, str(view.value.name))

    def _emit(self, target: _Target, shape: tuple[int, ...], order: tuple[int, ...], /, **fields: Any) -> View:
        """Append a layer of type `kind` that makes the target's value."""
        kind = fields.pop("kind")
        name = self._name(str(target.variable.name))
        elements = int(np.prod(shape))
        value = Value(name=name, elements=elements, scale=target.scale, zero_point=target.zero_point)
        self._layers.append(kind(output=value, nodes=target.nodes, **fields))
        return View(value=value, shape=shape, order=order)

    # A quantize and what is before it

    def _quantize(self, variable: relax.Var, expression: relax.Call) -> View:
        scale, zero = array(expression.args[1]), array(expression.args[2])
        if scale.size != 1 or zero.dtype not in (np.dtype(np.int8), np.dtype(np.uint8)):
            raise NoMatchError(
                f"{self._label(variable)}: activations are quantized to {zero.dtype} with {scale.size} scales, "
                "int8 or uint8 with one is needed"
            )
        zero_point = int(zero.item()) - (128 if zero.dtype == np.uint8 else 0)
        target = _Target(variable=variable, scale=float(scale.item()), zero_point=zero_point, clamp=Clamp(), nodes=())
        return self._layer(target, expression.args[0])

    def _layer(self, target: _Target, expression: Any) -> View:
        """Make the layer for a real expression that is quantized as the target says."""
        nodes = (*self._graph.nodes(expression), *target.nodes)
        call = self._graph.definition(expression)
        name = operator(call)
        if name in ("relax.nn.relu", "relax.nn.relu6", "relax.clip"):
            bounds = _bounds(call)
            clamp = _narrowed(target, *bounds)
            return self._layer(dataclasses.replace(target, clamp=clamp, nodes=nodes), call.args[0])
        view = self._real(expression)
        if view is not None:
            return self._rescale(target, view)
        view = self._stored(expression)
        if view is not None and view.value.dtype == "float32":
            return self._from_float(target, view)
        if name in {"relax.permute_dims", *RESHAPES}:
            inner = self._layer(target, call.args[0])
            return self._moved(inner, call, str(target.variable.name))
        if name not in self._cores:
            raise NoMatchError(self._why_not(expression))
        return self._cores[name](dataclasses.replace(target, nodes=nodes), expression, call)

    def _from_float(self, target: _Target, view: View) -> View:
        """Quantize a float input, images to channels last at once."""
        source = view.before if view.before is not None else view
        order = channels_last(len(source.shape))
        axes = tuple(source.order.index(axis) for axis in order)
        result = self._emit(
            target,
            source.shape,
            order,
            kind=layers.Quantize,
            inputs=(view.value,),
            shape=source.stored_shape,
            axes=axes,
        )
        return result.reshaped(view.shape) if view.before is not None else result

    def _rescale(self, target: _Target, view: View) -> View:
        same = view.value.scale == target.scale and view.value.zero_point == target.zero_point
        if same and target.clamp == Clamp():
            return view
        source = view.before if view.before is not None else view
        result = self._emit(
            target, source.shape, source.order, kind=layers.Rescale, inputs=(view.value,), clamp=target.clamp
        )
        return result.reshaped(view.shape) if view.before is not None else result

    # One method an operator

    def _add(self, target: _Target, expression: Any, call: relax.Call) -> View:
        if any(self._graph.constant(argument) is not None for argument in call.args):
            return self._product(target, expression, call)
        a, b = (self._operand(argument) for argument in call.args)
        if a.shape != b.shape:
            raise NoMatchError(f"{self._label(expression)}: operands of shapes {a.shape} and {b.shape} are not added")
        return self._emit(target, a.shape, a.order, kind=layers.Addition, inputs=(a.value, b.value), clamp=target.clamp)

    def _product(self, target: _Target, expression: Any, call: relax.Call) -> View:
        found = products.find(self._graph, expression)
        if isinstance(found, str):
            raise NoMatchError(f"{self._label(expression)}: {found}")
        view = self._real(found.data)
        if view is None:
            raise NoMatchError(self._why_not(found.data))
        nodes = tuple(dict.fromkeys((*self._graph.nodes(found.variable), *target.nodes)))
        target = dataclasses.replace(target, nodes=nodes)
        if operator(found.call) == "relax.nn.conv2d":
            return self._convolution(target, found, self._operand(found.data))
        return self._fully_connected(target, found, view)

    def _convolution(self, target: _Target, found: products.Found, view: View) -> View:
        attrs = found.call.attrs
        top, left, bottom, right = (int(side) for side in attrs.padding)
        window = Window(
            height=view.shape[2],
            width=view.shape[3],
            channels=view.shape[1],
            kernel=pair(found.weights.values.shape[2:]),
            stride=pair(attrs.strides),
            dilation=pair(attrs.dilation),
            padding=(top, left, bottom, right),
        )
        outputs = len(found.weights.values)
        return self._emit(
            target,
            (1, outputs, window.output_height, window.output_width),
            channels_last(4),
            kind=layers.Convolution,
            inputs=(view.value,),
            weights=np.ascontiguousarray(found.weights.values.transpose(0, 2, 3, 1)),
            weight_scales=np.broadcast_to(found.weights.scale.reshape(-1), (outputs,)),
            bias=found.bias_at(view.value.scale),
            clamp=target.clamp,
            window=window,
            groups=int(attrs.groups),
        )

    def _fully_connected(self, target: _Target, found: products.Found, view: View) -> View:
        weights = found.weights.values.T
        if view.before is not None and view.elements == weights.shape[1]:
            memory = np.empty_like(weights)
            memory[:, view.stored_index()] = weights
            weights = memory
        else:
            view = self._operand(found.data, last=True)
        return self._emit(
            target,
            (*view.shape[:-1], len(weights)),
            identity(len(view.shape)),
            kind=layers.FullyConnected,
            inputs=(view.value,),
            weights=np.ascontiguousarray(weights),
            weight_scales=found.weights.scale.reshape(-1),
            bias=found.bias_at(view.value.scale),
            clamp=target.clamp,
            rows=view.elements // weights.shape[1],
        )

    def _average_pool(self, target: _Target, expression: Any, call: relax.Call) -> View:
        view = self._operand(call.args[0])
        window = self._pool_window(expression, call, view)
        if window.is_padded and call.attrs.count_include_pad:
            raise NoMatchError(f"{self._label(expression)}: an average that counts its padding (count_include_pad)")
        if (view.value.scale, view.value.zero_point) == (target.scale, target.zero_point):
            return self._pool(target, layers.AveragePool, view, window)
        if (window.output_height, window.output_width) == (1, 1) and not window.is_padded:
            return self._mean_of(target, view)
        pooled = dataclasses.replace(target, scale=view.value.scale, zero_point=view.value.zero_point, clamp=Clamp())
        return self._rescale(target, self._pool(pooled, layers.AveragePool, view, window))

    def _max_pool(self, target: _Target, expression: Any, call: relax.Call) -> View:
        view = self._operand(call.args[0])
        window = self._pool_window(expression, call, view)
        same = (view.value.scale, view.value.zero_point) == (target.scale, target.zero_point)
        clamp = target.clamp if same else Clamp()
        pooled = dataclasses.replace(target, scale=view.value.scale, zero_point=view.value.zero_point, clamp=clamp)
        result = self._pool(pooled, layers.MaxPool, view, window)
        return result if same else self._rescale(target, result)

    def _pool(self, target: _Target, kind: type[layers.Layer], view: View, window: Window) -> View:
        shape = (1, window.channels, window.output_height, window.output_width)
        return self._emit(
            target, shape, channels_last(4), kind=kind, inputs=(view.value,), window=window, clamp=target.clamp
        )

    def _pool_window(self, expression: Any, call: relax.Call, view: View) -> Window:
        if call.attrs.ceil_mode:
            raise NoMatchError(f"{self._label(expression)}: pooling with ceil_mode")
        top, left, bottom, right = (int(side) for side in call.attrs.padding)
        return Window(
            height=view.shape[2],
            width=view.shape[3],
            channels=view.shape[1],
            kernel=pair(call.attrs.pool_size),
            stride=pair(call.attrs.strides),
            dilation=pair(call.attrs.dilation),
            padding=(top, left, bottom, right),
        )

    def _mean(self, target: _Target, expression: Any, call: relax.Call) -> View:
        view = self._operand(call.args[0])
        axes = {int(axis) % len(view.shape) for axis in call.attrs.axis}
        if len(view.shape) != 4 or axes != {2, 3}:
            raise NoMatchError(
                f"{self._label(expression)}: a mean over axes {sorted(axes)}; only rows and columns work"
            )
        if (view.value.scale, view.value.zero_point) == (target.scale, target.zero_point):
            height, width = view.shape[2:]
            window = Window(height=height, width=width, channels=view.shape[1], kernel=(height, width))
            return self._pool(target, layers.AveragePool, view, window).reshaped(shape_of(call))
        return self._mean_of(target, view).reshaped(shape_of(call))

    def _mean_of(self, target: _Target, view: View) -> View:
        pixels = view.shape[2] * view.shape[3]
        return self._emit(
            target,
            (1, view.shape[1], 1, 1),
            channels_last(4),
            kind=layers.Mean,
            inputs=(view.value,),
            pixels=pixels,
            channels=view.shape[1],
            clamp=target.clamp,
        )

    def _softmax(self, target: _Target, expression: Any, call: relax.Call) -> View:
        view = self._operand(call.args[0], last=True)
        if int(call.attrs.axis) % len(view.shape) != len(view.shape) - 1:
            raise NoMatchError(f"{self._label(expression)}: softmax over axis {call.attrs.axis}, not the last")
        classes = view.shape[-1]
        return self._emit(
            target,
            view.shape,
            view.order,
            kind=layers.Softmax,
            inputs=(view.value,),
            rows=view.elements // classes,
            classes=classes,
        )

    def _concatenate(self, target: _Target, expression: Any, call: relax.Call) -> View:
        parts = [self._rescale(target, self._operand(field)) for field in call.args[0].fields]
        order = channels_last(len(parts[0].shape))
        axis = int(call.attrs.axis) % len(order)
        inner = order[order.index(axis) :]
        runs = tuple(int(np.prod([part.shape[each] for each in inner])) for part in parts)
        shape = shape_of(call)
        return self._emit(
            target,
            shape,
            order,
            kind=layers.Concatenate,
            inputs=tuple(part.value for part in parts),
            rows=int(np.prod(shape)) // sum(runs),
            runs=runs,
        )

    # Reasons

    def _label(self, expression: Any) -> str:
        nodes = self._graph.nodes(expression)
        return f"layer {nodes[0]!r}" if nodes else f"layer {getattr(expression, 'name', expression)!r}"

    def _why_not(self, expression: Any) -> str:
        name = operator(self._graph.definition(expression)).removeprefix("relax.").removeprefix("nn.")
        if not name:
            return f"{self._label(expression)}: its input is not quantized"
        if f"relax.{name}" in self._cores or f"relax.nn.{name}" in self._cores:
            return f"{self._label(expression)} ({name}): its output is not quantized"
        return f"{self._label(expression)} ({name}): there is no integer kernel for it"


def _requantified(view: View, scale: float, zero_point: int) -> View:
    """The view with the quantization that a dequantize names (a network's input need not say its own)."""
    value = dataclasses.replace(view.value, scale=scale, zero_point=zero_point)
    before = None if view.before is None else _requantified(view.before, scale, zero_point)
    return dataclasses.replace(view, value=value, before=before)


def _bounds(call: relax.Call) -> tuple[float, float]:
    if operator(call) == "relax.nn.relu":
        return 0.0, np.inf
    if operator(call) == "relax.nn.relu6":
        return 0.0, 6.0
    low, high = (float(getattr(bound, "value", bound)) for bound in call.args[1:3])
    return low, high


def _narrowed(target: _Target, low: float, high: float) -> Clamp:
    """Limit the target's clamp to real bounds, rounded like TFLite's CalculateActivationRangeQuantized."""

    def quantized(bound: float) -> int:
        if not np.isfinite(bound):
            return 127 if bound > 0 else -128
        return int(np.clip(target.zero_point + np.round(np.float32(bound) / np.float32(target.scale)), -128, 127))

    return Clamp(low=max(target.clamp.low, quantized(low)), high=min(target.clamp.high, quantized(high)))
