"""QDQ graph to integer layers: every quantize, with the real operators up to the dequantizes before it, is a layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import relax

from edgecompress.compile import frontend
from edgecompress.compile.integer import float_parts, layers, provenance, tables
from edgecompress.compile.integer.builder import (
    MOVES,
    Builder,
    NoMatchError,
    Target,
    WrongQuantizationError,
    as_int8_zero,
)
from edgecompress.compile.integer.computed_operands import cut
from edgecompress.compile.integer.graph import Graph, array, dtype_of, operator, shape_of
from edgecompress.compile.integer.layers import Clamp, Value
from edgecompress.compile.integer.operators import MAKERS
from edgecompress.compile.integer.views import View, channels_last, identity
from edgecompress.core.errors import ModelError
from edgecompress.core.values import Arithmetic, Model, TensorSpec

LINE_RANK = 3


def match(imported: frontend.Imported, model: Model) -> layers.Network:
    """Turn a QDQ network into layers.

    Raises ModelError that names every ONNX node which cannot run in integers.
    """
    graph = Graph(imported)
    edges = {spec.name for spec in (*model.inputs, *model.outputs)}
    builder = Builder(graph, edges, model.arithmetic)
    problems: list[str] = []
    for parameter, spec in zip(graph.main.params, model.inputs, strict=True):
        _add_input(builder, parameter, spec)
    for variable, expression in graph.bindings:
        step = _step(graph, variable, expression)
        if step is not None:
            _try(builder, problems, variable, expression, step)
    for result, spec in zip(_results(graph), model.outputs, strict=True):
        try:
            _add_output(builder, result, spec.name)
        except NoMatchError as problem:
            problems.append(str(problem))
    if problems:
        raise ModelError(
            f"{model.name} cannot run in integers: {'; '.join(dict.fromkeys(problems))}",
            hint="quantize the inputs and outputs of these layers (QDQ), or take them out of the network",
        )
    held = provenance.onnx_values(graph, model, builder.views)
    renamed = {tensor: builder.renamed.get(tensor, tensor) for tensor in held}
    return layers.Network(
        name=model.name,
        inputs=model.inputs,
        outputs=model.outputs,
        layers=tuple(builder.layers),
        onnx_values={renamed[name]: each.model_copy(update={"tensor": renamed[name]}) for name, each in held.items()},
    )


Step = Callable[[Builder, relax.Var, Any], View]


def _step(graph: Graph, variable: relax.Var, expression: Any) -> Step | None:
    """How a binding is matched: a quantize makes a layer, other int8 tensors are rearranged ones, the rest waits."""
    if operator(expression) == "relax.quantize":
        return _quantize
    if not isinstance(variable.ty, relax.TensorType):  # several outputs, of the network or of one operator; a shape
        return None
    if dtype_of(variable) in ("int8", "uint8") and graph.constant(variable) is None:
        return _rearrange
    return None


def _try(builder: Builder, problems: list[str], variable: relax.Var, expression: Any, step: Step) -> None:
    """Match one binding; where it fails, note why and go on with a stand-in, to find every problem at once."""
    try:
        builder.views[variable] = step(builder, variable, expression)
    except NoMatchError as problem:
        problems.append(str(problem))
        shape = shape_of(variable)
        stand_in = Value(name=str(variable.name), shape=shape)
        builder.views[variable] = View(value=stand_in, shape=shape, order=identity(len(shape)))


def _rearrange(builder: Builder, variable: relax.Var, expression: Any) -> View:
    view = builder.stored(variable)
    if view is not None:
        return view
    source = builder.stored(expression.args[0]) if operator(expression) == "relax.strided_slice" else None
    if source is not None:
        return cut(builder, Target(variable=variable, scale=1.0, zero_point=0), source, expression)
    if dtype_of(variable) == "uint8":  # it lies in memory as int8
        raise NoMatchError(builder.why_not(variable))
    return float_parts.as_it_is(builder, variable, builder.unique(str(variable.name)))


# Edges of the network


def _add_input(builder: Builder, parameter: relax.Var, spec: TensorSpec) -> None:
    shape = shape_of(parameter)
    value = Value(name=spec.name, shape=shape, dtype=spec.dtype)
    if spec.dtype == "uint8":
        flipped = Value(name=builder.unique(f"{spec.name}_int8"), shape=shape)
        builder.layers.append(layers.FlipSign(inputs=(value,), output=flipped, nodes=()))
        value = flipped
    builder.views[parameter] = View(value=value, shape=shape, order=identity(len(shape)))


def _results(graph: Graph) -> list[Any]:
    result = graph.main.body.body
    several = graph.definition(result)
    return list(several.fields) if isinstance(several, relax.Tuple) else [result]


def _add_output(builder: Builder, variable: Any, name: str) -> None:
    dtype = dtype_of(variable)
    view = builder.real(variable) if dtype == "float32" else builder.stored(variable)
    if dtype not in ("int8", "uint8") and (view is None or view.value.dtype != "int8"):
        float_parts.as_it_is(builder, variable, name)
        return
    if view is None:
        raise NoMatchError(builder.why_not(variable))
    source = builder.in_order(view, identity(len(view.shape))).value
    result = dataclasses.replace(source, name=name, shape=view.shape)
    if dtype == "float32":
        nodes = builder.graph.nodes(variable)
        result = dataclasses.replace(result, dtype="float32")
        builder.layers.append(layers.Dequantize(inputs=(source,), output=result, nodes=nodes))
    elif dtype == "uint8":
        result = dataclasses.replace(result, dtype="uint8")
        builder.layers.append(layers.FlipSign(inputs=(source,), output=result, nodes=()))
    else:
        _let_write(builder, source, result)


def _let_write(builder: Builder, source: Value, result: Value) -> None:
    """Let the layer that makes `source` write the output itself; copy when somebody else reads `source` too.

    An output that was written so stays: when another one is the same tensor, it is copied.
    """
    makers = [i for i, layer in enumerate(builder.layers) if layer.output.name == source.name]
    is_read = any(value.name == source.name for layer in builder.layers for value in layer.inputs)
    if is_read or not makers or source.name in builder.renamed.values():
        builder.layers.append(layers.Rescale(inputs=(source,), output=result, nodes=(), clamp=layers.NO_CLAMP))
        return
    builder.rename(source.name, result.name)
    maker = builder.layers[makers[0]]
    builder.layers[makers[0]] = dataclasses.replace(maker, output=result)


# A quantize and what stands before it


def _quantize(builder: Builder, variable: relax.Var, expression: relax.Call) -> View:
    scale, zero = array(expression.args[1]), array(expression.args[2])
    if scale.size != 1 or zero.dtype not in (np.int8, np.uint8):
        kind = f"{zero.dtype} with {scale.size} scale{'s' if scale.size > 1 else ''}"
        raise NoMatchError(f"{builder.label(variable)} quantizes to {kind}; only int8 or uint8 with one scale can run")
    target = Target(variable=variable, scale=float(scale.item()), zero_point=as_int8_zero(zero))
    try:
        return _layer(builder, target, expression.args[0])
    except WrongQuantizationError:
        raise
    except NoMatchError:
        return float_parts.quantized(builder, target, expression.args[0])


def _layer(builder: Builder, target: Target, expression: Any) -> View:
    """Make the layer for a real expression that is quantized as the target says."""
    view = builder.real(expression)
    if view is not None:
        return builder.rescale(target, view)
    view = builder.stored(expression)
    if view is not None and view.value.dtype == "float32":
        return _from_float(builder, target, view)
    call = builder.graph.definition(expression)
    name = operator(call)
    if name in MOVES:
        return builder.moved(_layer(builder, target, call.args[0]), call)
    target = dataclasses.replace(target, nodes=(*builder.graph.nodes(expression), *target.nodes))
    bounds = _bounds(call)
    if bounds is not None:
        clamp = _narrowed(target, *bounds, builder.arithmetic)
        return _layer(builder, dataclasses.replace(target, clamp=clamp), call.args[0])
    factor = _factor(builder, call)
    if factor is not None and builder.real(call.args[0]) is None:
        # A sum that is only scaled: its own numbers at another scale.
        made = _layer(builder, dataclasses.replace(target, scale=target.scale / factor), call.args[0])
        return made.requantified(target.scale, target.zero_point)
    if name not in MAKERS:
        return _function(builder, target, expression)
    try:
        return MAKERS[name](builder, target, expression, call)
    except WrongQuantizationError:
        raise
    except NoMatchError as problem:
        return _function(builder, target, expression, problem)


def _function(builder: Builder, target: Target, expression: Any, problem: NoMatchError | None = None) -> View:
    """Make a table of any other function of one tensor."""
    found = tables.find(builder, expression)
    if found is None or found.view.shape != shape_of(expression) or not np.isfinite(found.results).all():
        raise problem or NoMatchError(builder.why_not(expression))
    view = builder.in_memory(found.view)
    low, high = target.clamp.low, target.clamp.high
    table = np.clip(found.quantized(target.scale, target.zero_point), low, high)
    return builder.emit(target, view.shape, view.order, layers.Lookup, inputs=(view.value,), table=table)


def _from_float(builder: Builder, target: Target, view: View) -> View:
    """Quantize a float input, images to channels last at once, and lines where convolutions over lines read them."""
    source = view.before or view
    rank = len(source.shape)
    is_sequence = rank == LINE_RANK and not builder.graph.calls("relax.nn.conv1d")
    order = identity(rank) if is_sequence else channels_last(rank)
    axes = tuple(source.order.index(axis) for axis in order)
    result = builder.emit(
        target, source.shape, order, layers.Quantize, inputs=(view.value,), shape=source.stored_shape, axes=axes
    )
    return result.reshaped(view.shape) if view.before else result


def _factor(builder: Builder, call: Any) -> float | None:
    """What a value is multiplied by, if by one constant number above zero."""
    if operator(call) not in ("relax.multiply", "relax.divide"):
        return None
    constant = builder.graph.constant(call.args[1])
    if constant is None or constant.values.size != 1:
        return None
    number = float(constant.real().item())
    if not np.isfinite(number) or number <= 0:
        return None
    return number if operator(call) == "relax.multiply" else 1 / number


def _bounds(call: Any) -> tuple[float, float] | None:
    """The real bounds that an activation limits to; None for anything else."""
    match operator(call):
        case "relax.nn.relu":
            return 0.0, np.inf
        case "relax.nn.relu6":
            return 0.0, 6.0
        case "relax.clip":
            low, high = (float(getattr(bound, "value", bound)) for bound in call.args[1:3])
            return low, high
    return None


def _narrowed(target: Target, low: float, high: float, arithmetic: Arithmetic) -> Clamp:
    """Limit the target's clamp to real bounds; ties go to even as in QuantizeLinear, or away from zero.

    The latter is TFLite's CalculateActivationRangeQuantized.
    """

    def quantized(bound: float) -> int:
        if np.isinf(bound):
            return 127 if bound > 0 else -128
        steps = np.float32(bound) / np.float32(target.scale)
        nearest = np.rint(steps) if arithmetic == "onnx" else np.trunc(steps + np.copysign(np.float32(0.5), steps))
        return int(np.clip(target.zero_point + nearest, -128, 127))

    return Clamp(low=max(target.clamp.low, quantized(low)), high=min(target.clamp.high, quantized(high)))
