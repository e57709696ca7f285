"""ONNX nodes that are imported in our own way: TVM makes opaque kernels of some, and prints warnings about others.

A converter takes the node's inputs (None for one that is left out) and attributes, and gives None where TVM's own way
will do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tvm
from tvm import relax, tirx

_PADDED = {"AveragePool", "Conv", "LpPool", "MaxPool"}


def convert(kind: str, inputs: Sequence[Any], attributes: Mapping[str, Any]) -> relax.Expr | None:
    """Import a node, or return None."""
    return _CONVERTERS[kind](inputs, attributes) if kind in _CONVERTERS else None


def with_explicit_padding(kind: str, inputs: Sequence[Any], attributes: dict[str, Any]) -> dict[str, Any]:
    """Replace auto_pad SAME of a convolution or pooling by the pads that it stands for (ONNX, operator Conv)."""
    if kind not in _PADDED or attributes.get("auto_pad") not in (b"SAME_UPPER", b"SAME_LOWER"):
        return attributes
    extents = [int(extent) for extent in inputs[0].ty.shape.values[2:]]
    kernel = attributes.get("kernel_shape") or [int(extent) for extent in inputs[1].ty.shape.values[2:]]
    strides = attributes.get("strides") or [1] * len(extents)
    dilations = attributes.get("dilations") or [1] * len(extents)
    begins, ends = [], []
    for extent, size, stride, dilation in zip(extents, kernel, strides, dilations, strict=True):
        covered = (-(-extent // stride) - 1) * stride + (size - 1) * dilation + 1
        total = max(covered - extent, 0)
        smaller, larger = total // 2, total - total // 2
        begins.append(smaller if attributes["auto_pad"] == b"SAME_UPPER" else larger)
        ends.append(larger if attributes["auto_pad"] == b"SAME_UPPER" else smaller)
    explicit = {name: value for name, value in attributes.items() if name != "auto_pad"}
    return {**explicit, "pads": [*begins, *ends]}


def _clip(inputs: Sequence[Any], _: Mapping[str, Any]) -> relax.Expr | None:
    """Clip between constants; with 0 as the only bound it is a Relu."""
    data, low, high = inputs[0], inputs[1], inputs[2]
    if any(bound is not None and not isinstance(bound, tvm.ir.GenericConst) for bound in (low, high)):
        return None
    if low is not None and high is not None:
        return relax.op.clip(data, _scalar(low), _scalar(high))
    if low is not None:
        return relax.op.maximum(data, low) if _scalar(low).value else relax.op.nn.relu(data)
    return relax.op.minimum(data, high) if high is not None else data


def _scalar(constant: tvm.ir.GenericConst) -> tirx.FloatImm:
    return tirx.FloatImm("float32", float(constant.value.numpy()))


def _pad(inputs: Sequence[Any], attributes: Mapping[str, Any]) -> relax.Expr | None:
    """Pad all axes with a constant."""
    data, widths, value, axes = inputs[0], inputs[1], inputs[2], inputs[3]
    if attributes.get("mode", b"constant") != b"constant" or axes is not None:
        return None
    before, after = np.split(widths.value.numpy(), 2)
    pairs = np.stack([before, after], axis=1).ravel().tolist()
    return relax.op.nn.pad(data, pairs, pad_value=_scalar(value).value if value is not None else 0.0)


def _tile(inputs: Sequence[Any], _: Mapping[str, Any]) -> relax.Expr | None:
    """Repeat along the axes."""
    return relax.op.tile(inputs[0], inputs[1].value.numpy().tolist())


def _dropout(inputs: Sequence[Any], _: Mapping[str, Any]) -> relax.Expr:
    """Drop nothing: the network is not being trained."""
    return inputs[0]


def _power(inputs: Sequence[Any], _: Mapping[str, Any]) -> relax.Expr | None:
    """Raise to one of operators.POWERS without a logarithm."""
    base, exponent = inputs[0], inputs[1]
    powers = np.unique(exponent.value.numpy()) if isinstance(exponent, tvm.ir.GenericConst) else np.array([])
    match powers.tolist():
        case [-1.0]:
            return relax.op.divide(relax.const(1.0, "float32"), base)
        case [0.5]:
            return relax.op.sqrt(base)
        case [1.0]:
            return base
        case [2.0]:
            return relax.op.multiply(base, base)
        case [3.0]:
            return relax.op.multiply(relax.op.multiply(base, base), base)
    return None


def _gather(inputs: Sequence[Any], attributes: Mapping[str, Any]) -> relax.Expr | None:
    """Take slices at places along an axis. A place outside counts as the nearest one inside: nothing else is read."""
    data, indices = inputs[0], inputs[1]
    is_known = isinstance(indices, tvm.ir.GenericConst)
    if not isinstance(data.ty, relax.TensorType) or (is_known and not isinstance(data, relax.Var)):
        return None
    axis = attributes.get("axis", 0) % data.ty.ndim
    extent = int(data.ty.shape.values[axis])
    if not is_known:
        dtype = str(indices.ty.dtype.dtype)
        from_end = relax.op.add(indices, relax.const(extent, dtype))
        positive = relax.op.where(relax.op.less(indices, relax.const(0, dtype)), from_end, indices)
        return relax.op.take(data, positive, axis=axis, mode="clip")
    places = indices.value.numpy()
    places = np.where(places < 0, places + extent, places)
    if places.ndim == 0 and 0 <= places < extent:
        part = relax.op.strided_slice(data, [axis], [int(places)], [int(places) + 1])
        return relax.op.squeeze(part, [axis])
    return relax.op.take(data, relax.const(places), axis=axis, mode="clip")


def _split(inputs: Sequence[Any], attributes: Mapping[str, Any]) -> relax.Expr:
    """Cut along an axis: each part is a slice."""
    data = inputs[0]
    axis = int(attributes.get("axis", 0)) % data.ty.ndim
    extent = int(data.ty.shape.values[axis])
    if inputs[1] is not None:
        sizes = [int(size) for size in inputs[1].value.numpy()]
    else:
        parts = int(attributes["tvm_custom"]["num_outputs"])
        longest = -(-extent // parts)
        sizes = [min(longest, extent - longest * part) for part in range(parts)]
    ends = np.cumsum(sizes).tolist()
    return relax.Tuple(
        [relax.op.strided_slice(data, [axis], [end - size], [end]) for end, size in zip(ends, sizes, strict=True)]
    )


_CONVERTERS: dict[str, Callable[[Sequence[Any], Mapping[str, Any]], relax.Expr | None]] = {
    "Clip": _clip,
    "Dropout": _dropout,
    "Gather": _gather,
    "Pad": _pad,
    "Pow": _power,
    "Split": _split,
    "Tile": _tile,
}
