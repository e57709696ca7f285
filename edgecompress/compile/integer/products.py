"""Convolutions and matrix products of a QDQ graph: data, constant weights, constant bias."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tvm import relax

from edgecompress.compile.integer.graph import Constant, Graph, operator

RANKS = {"relax.nn.conv1d": 3, "relax.nn.conv2d": 4, "relax.matmul": 2}
"""The operators that are products, and the axes of their weights."""


class WrongQuantization(str):
    """A reason that calls for other quantization of the weights."""

    __slots__ = ()


@dataclass(frozen=True, kw_only=True)
class Found:
    """A product and what is added to it. `weights` are int8 with zero point 0; the scale is for each output, or one."""

    variable: Any
    call: relax.Call
    data: Any
    weights: Constant
    outputs: int
    bias: Constant | None

    def bias_at(self, input_scale: float) -> NDArray[np.int64]:
        """The bias at the accumulator's scale. One that is quantized at that scale already stays as it is."""
        if self.bias is None:
            return np.zeros(self.outputs, np.int64)
        wanted = np.float64(input_scale) * np.broadcast_to(self.weights.scale.reshape(-1), (self.outputs,))
        if self.bias.is_quantized and np.allclose(self.bias.scale.reshape(-1), wanted, rtol=1e-3, atol=0):
            stored = self.bias.values.astype(np.int64).reshape(-1)
            return np.broadcast_to(stored - self.bias.zero_point.astype(np.int64).reshape(-1), (self.outputs,))
        real = np.broadcast_to(self.bias.real().reshape(-1), (self.outputs,))
        return np.rint(real / wanted).astype(np.int64)


def find(graph: Graph, expression: Any, call: relax.Call) -> Found | str:
    """Find the product that an expression is, or say what is in the way."""
    variable, bias = expression, None
    if operator(call) == "relax.add":
        constants = [graph.constant(argument) for argument in call.args]
        bias = next(each for each in constants if each is not None)
        variable = call.args[constants.index(None)] if None in constants else call.args[0]
        call = graph.definition(variable)
    if operator(call) not in RANKS:
        return "a constant is added to something that is no convolution and no matrix product"
    weights = graph.constant(call.args[1])
    if weights is None or not weights.is_quantized:
        return "its weights are not quantized constants"
    weights = _as_int8(weights)
    if weights.zero_point.any():
        return WrongQuantization("its weights have a zero point; quantize weights symmetrically")
    rank = RANKS[operator(call)]
    if weights.values.ndim != rank:
        return f"its weights have {weights.values.ndim} axes, not {rank}"
    axis = 1 if operator(call) == "relax.matmul" else 0
    outputs = weights.values.shape[axis]
    if weights.scale.size > 1 and (weights.axis != axis or weights.scale.size != outputs):
        return WrongQuantization("its weights have scales along another axis than the outputs")
    if bias is not None and bias.values.size not in (1, outputs):
        return f"what is added to it has {bias.values.size} elements, not one for each of {outputs} outputs"
    return Found(variable=variable, call=call, data=call.args[0], weights=weights, outputs=outputs, bias=bias)


def _as_int8(weights: Constant) -> Constant:
    if weights.values.dtype != np.uint8:
        return weights
    return Constant(
        values=(weights.values.astype(np.int16) - 128).astype(np.int8),
        scale=weights.scale,
        zero_point=weights.zero_point.astype(np.int16) - 128,
        axis=weights.axis,
    )
