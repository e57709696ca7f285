"""What a .tflite network must be before it is converted; each check raises one ModelError."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from edgecompress.core.errors import ModelError
from edgecompress.models._onnx_shapes import ELEMENTS_LIMIT, show
from edgecompress.models._tflite_records import DAMAGED, Network, Operator, Quantization, Tensor

ZERO_POINT_RANGES = {"int8": (-128, 127), "uint8": (0, 255), "int32": (0, 0)}
NUMPY_TYPES = ("float32", "int8", "uint8", "int32", "int64")
TYPE_HINTS: Mapping[str, str] = {
    "float16": "convert the network without float16 weights",
    "int16": "convert the network to int8 activations",
}


def check_operators(network: Network, known: Collection[str], path: Path) -> None:
    """Check that every operator can be read; list all that cannot, with the layers that use them."""
    if not network.operators:
        raise ModelError(f"{path} holds no network", hint=DAMAGED)
    layers: dict[str, list[str]] = {}
    for operator in network.operators:
        if operator.kind not in known:
            layers.setdefault(operator.kind, []).append(repr(label(operator, network)))
    if layers:
        listed = "; ".join(f"{kind} ({', '.join(names)})" for kind, names in layers.items())
        raise ModelError(
            f"{path} uses operators that cannot be read: {listed}",
            hint=f"known: {', '.join(sorted(known))}; for others, export the network to ONNX (tf2onnx)",
        )


def check_tensors(network: Network, path: Path) -> None:
    """Check every tensor that is used: its shape, type, data and quantization."""
    used = dict.fromkeys((*network.inputs, *network.outputs))
    for operator in network.operators:
        used |= dict.fromkeys(index for index in (*operator.inputs, *operator.outputs) if index >= 0)
    for index in used:
        _check_tensor(network.tensors[index], path)


def check_order(network: Network, path: Path) -> None:
    """Check that every tensor is made once, before it is read."""
    makers = {index: operator for operator in network.operators for index in operator.outputs}
    done = {index for index, tensor in enumerate(network.tensors) if tensor.data is not None}
    for index in network.inputs:
        _check_made_once(index, done, network, path)
        done.add(index)
    for operator in network.operators:
        who = f"{path}: {operator.kind} {label(operator, network)!r}"
        for index in operator.inputs:
            if index < 0 or index in done:
                continue
            name = network.tensors[index].name
            if index not in makers:
                raise ModelError(f"{who} reads {name!r}, which nothing makes", hint=DAMAGED)
            maker = makers[index]
            raise ModelError(
                f"{who} reads {name!r} before {maker.kind} {label(maker, network)!r} makes it",
                hint="the network has a cycle or is not sorted; convert it again",
            )
        for index in operator.outputs:
            _check_made_once(index, done, network, path)
            done.add(index)
    for index in network.outputs:
        if index not in makers:
            raise ModelError(
                f"{path}: no layer makes the output {network.tensors[index].name!r}",
                hint="an input or a constant cannot be an output; convert the network again",
            )


def check_shapes(network: Network, shapes: Mapping[str, tuple[int, ...]], path: Path) -> None:
    """Check what the user wants to bind: the shapes of a .tflite file are fixed already."""
    inputs = {network.tensors[index].name: network.tensors[index] for index in network.inputs}
    for name, wanted in shapes.items():
        if name not in inputs:
            raise ModelError(f"{path} has no input {name!r} to bind a shape to", hint=f"inputs: {', '.join(inputs)}")
        if inputs[name].shape != tuple(wanted):
            raise ModelError(
                f"{path}: input {name!r} {show(inputs[name].shape)} cannot be bound to {show(tuple(wanted))}",
                hint="a .tflite file has the shapes that it was converted with; convert it with others",
            )


def label(operator: Operator, network: Network) -> str:
    """A layer's name: that of the first tensor it makes."""
    return network.tensors[operator.outputs[0]].name if operator.outputs else ""


def _check_made_once(index: int, done: set[int], network: Network, path: Path) -> None:
    if index in done:
        raise ModelError(f"{path}: the tensor {network.tensors[index].name!r} is made twice", hint=DAMAGED)


def _check_tensor(tensor: Tensor, path: Path) -> None:
    where = f"{path}: the tensor {tensor.name!r}"
    if tensor.oddity is not None:
        raise ModelError(f"{where} {tensor.oddity}", hint="convert the network for inference, with dense weights")
    if tensor.dtype not in NUMPY_TYPES:
        raise ModelError(f"{where} is {tensor.dtype}", hint=_type_hint(tensor.dtype))
    if tensor.open_dims:
        axes = ", ".join(str(axis) for axis in tensor.open_dims)
        raise ModelError(
            f"{where} {show(tensor.shape)} has open dimensions: axis {axes}",
            hint="convert the network with a fixed input shape; only the batch may be open",
        )
    _check_size(tensor, where)
    if tensor.quantization is not None:
        _check_quantization(tensor, tensor.quantization, where)


def _check_size(tensor: Tensor, where: str) -> None:
    if min(tensor.shape, default=1) < 1:
        raise ModelError(f"{where} has the shape {show(tensor.shape)}", hint=DAMAGED)
    elements = math.prod(tensor.shape)
    if elements > ELEMENTS_LIMIT:
        raise ModelError(
            f"{where} {show(tensor.shape)} has {elements:,} elements; {ELEMENTS_LIMIT:,} are allowed",
            hint="the file may be damaged; no device takes a tensor of that size",
        )
    wanted = elements * np.dtype(tensor.dtype).itemsize
    if tensor.data is not None and tensor.data.size != wanted:
        raise ModelError(
            f"{where} has {tensor.data.size:,} bytes of data; its shape {show(tensor.shape)} takes {wanted:,}",
            hint=DAMAGED,
        )


def _check_quantization(tensor: Tensor, quantization: Quantization, where: str) -> None:
    scales, zero_points = quantization.scales, quantization.zero_points
    wrong = scales[~(np.isfinite(scales) & (scales > 0))]
    if wrong.size:
        raise ModelError(f"{where} has the scale {wrong[0]:g}; it must be finite and above zero", hint="quantize again")
    if scales.size > 1 and not 0 <= quantization.axis < len(tensor.shape):
        raise ModelError(
            f"{where} is quantized along axis {quantization.axis}; it has {len(tensor.shape)}", hint=DAMAGED
        )
    if scales.size > 1 and scales.size != tensor.shape[quantization.axis]:
        extent = tensor.shape[quantization.axis]
        raise ModelError(f"{where} has {scales.size:,} scales for {extent:,} channels", hint=DAMAGED)
    if tensor.dtype in ZERO_POINT_RANGES:
        low, high = ZERO_POINT_RANGES[tensor.dtype]
        outside = zero_points[(zero_points < low) | (zero_points > high)]
        if outside.size:
            raise ModelError(
                f"{where} has the zero point {outside[0]}; {tensor.dtype} takes {low} to {high}", hint="quantize again"
            )


def _type_hint(dtype: str) -> str:
    return TYPE_HINTS.get(dtype, "float32 networks and int8 networks can be read")
