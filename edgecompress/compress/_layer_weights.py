"""The weights of layers, in a float graph and in a quantized one: read them, put others in their place.

Methods that leave the shape of a network alone (masks, codebooks, coding) work on these values and on nothing else of
the graph. A quantized layer's weights are its integers; their scales stay as they are.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

from edgecompress.core.errors import ConfigError, ModelError
from edgecompress.core.values import Array, Finding, Model, Series

OPERATORS = frozenset({"Conv", "Gemm", "MatMul"})
WEIGHTS = 1
"""Which input of these operators the weights are."""
MOST_DB = 150.0
"""What a ratio of power is at most: nothing was lost but the last digits."""


@dataclass(frozen=True, kw_only=True)
class LayerWeights:
    """What a convolution or matrix product multiplies with.

    `values` are (outputs, inputs of the group, rows and columns of the kernel) in float32, or int8 with a `scale` for
    each output. `order` brings them back to the axes of the tensor.
    """

    layer: str
    op: str
    tensor: str
    values: Array
    scale: NDArray[np.float64] | None
    order: tuple[int, ...]

    @property
    def is_quantized(self) -> bool:
        """True for integers."""
        return self.scale is not None

    @property
    def rows(self) -> Array:
        """The values as (outputs, weights of one output)."""
        return self.values.reshape(len(self.values), -1)

    @property
    def real(self) -> NDArray[np.float64]:
        """What the values stand for."""
        factor = 1.0 if self.scale is None else self.scale.reshape(-1, *[1] * (self.values.ndim - 1))
        real: NDArray[np.float64] = self.values.astype(np.float64) * factor
        return real


def read(model: Model, *, least: int = 1) -> tuple[LayerWeights, ...]:
    """List the weights of layers in the order of the graph, each tensor once; those of at least so many numbers.

    Raises ModelError when the network has none.
    """
    found: dict[str, LayerWeights] = {}
    for weights in _all(model.graph.graph):
        if weights.values.size >= least:
            found.setdefault(weights.tensor, weights)
    if not found:
        raise ModelError(
            f"{model.name} has no layer with at least {least:,} constant weights",
            hint="convolutions and matrix products with constant float or int8 weights can be compressed",
        )
    return tuple(found.values())


def check_names(names: Collection[str], layers: Sequence[LayerWeights], *, where: str) -> None:
    """Raise ConfigError for a name that no layer has."""
    known = [each.layer for each in layers]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"layers: {', '.join(known)}"
            raise ConfigError(f"{where}: no layer is called {name!r}", hint=hint)


def replaced(graph: ModelProto, changed: Mapping[str, Array], layers: Sequence[LayerWeights]) -> ModelProto:
    """Return the graph with other weights for some tensors, given in the axes of `LayerWeights.values`."""
    orders = {each.tensor: each.order for each in layers}
    copy = ModelProto()
    copy.CopyFrom(graph)
    for tensor in copy.graph.initializer:
        if tensor.name in changed:
            dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
            values = np.transpose(changed[tensor.name], orders[tensor.name]).astype(dtype)
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))
    return copy


def parameter_bytes(graph: ModelProto) -> int:
    """The bytes of all constants of a graph, as they lie in it."""
    return sum(math.prod(tensor.dims) * _itemsize(tensor.data_type) for tensor in graph.graph.initializer)


def _itemsize(data_type: int) -> int:
    return int(helper.tensor_dtype_to_np_dtype(data_type).itemsize)


def _all(graph: GraphProto) -> Iterator[LayerWeights]:
    constants = {tensor.name: tensor for tensor in graph.initializer}
    makers = {node.output[0]: node for node in graph.node if node.op_type == "DequantizeLinear"}
    for node in graph.node:
        if node.op_type not in OPERATORS:
            continue
        name = node.input[WEIGHTS]
        dequantize = makers.get(name)
        tensor = dequantize.input[0] if dequantize is not None else name
        if tensor not in constants:
            continue
        values = numpy_helper.to_array(constants[tensor])
        if (
            values.ndim < 2
            or values.dtype not in (np.float32, np.int8)
            or (values.dtype == np.int8) != bool(dequantize)
        ):
            continue
        forward, order = _orders(node, values.ndim)
        scale = None
        if dequantize is not None:
            each = numpy_helper.to_array(constants[dequantize.input[1]]).astype(np.float64).reshape(-1)
            scale = np.broadcast_to(each, values.shape[forward[0]])
        yield LayerWeights(
            layer=node.name or node.output[0],
            op=node.op_type,
            tensor=tensor,
            values=np.ascontiguousarray(np.transpose(values, forward)),
            scale=scale,
            order=order,
        )


def _orders(node: NodeProto, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """How axes are ordered so that outputs come first and inputs second, and how to bring them back."""
    axes = tuple(range(rank))
    transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    if node.op_type == "Conv" or transposed:
        return axes, axes
    forward = (rank - 1, rank - 2, *axes[:-2])
    back = tuple(int(place) for place in np.argsort(forward))
    return forward, back


def errors(title: str, before: Sequence[LayerWeights], after: Sequence[LayerWeights]) -> Finding:
    """Compare weights layer by layer: signal-to-noise ratio of those that are in both."""
    now = {each.tensor: each.real for each in after}
    pairs = [(each.layer, each.real, now[each.tensor]) for each in before if each.tensor in now]
    return Finding(
        title=title,
        kind="bars",
        x_label="layer",
        y_label="signal to noise of the weights (dB)",
        series=(
            Series(
                name="weights",
                x=tuple(name for name, _, _ in pairs),
                y=tuple(signal_to_noise_db(real, changed) for _, real, changed in pairs),
            ),
        ),
    )


def signal_to_noise_db(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """Ten times the logarithm of power over that of the error; MOST_DB where next to nothing was lost."""
    noise = float(np.square(before - after).sum())
    signal = float(np.square(before).sum())
    return MOST_DB if noise <= signal * 10 ** (-MOST_DB / 10) else 10 * math.log10(signal / noise)
