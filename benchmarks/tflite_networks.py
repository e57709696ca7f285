"""Write an ONNX network as a .tflite file for LiteRT, float or as the QDQ graph quantizes it: the same arithmetic.

It knows the operators of the networks that benchmarks/cortex_a_host.py times, and refuses others. Images are channels
last; so is the input. A padding that TensorFlow does not know becomes a PAD, as converters write it.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tflite
from onnx import helper, numpy_helper, shape_inference

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.tflite_values import Constant, Quantization
from edgecompress.core.values import Array
from tests.support.tflite_writer import Layer, Tensor, integers, write

_LAST = (0, 2, 3, 1)
_SAME, _VALID = tflite.Padding.SAME, tflite.Padding.VALID
_NONE, _RELU, _RELU6 = (getattr(tflite.ActivationFunctionType, name) for name in ("NONE", "RELU", "RELU6"))


class UnsupportedNetworkError(ValueError):
    """The network has an operator, or a use of one, that is not written."""


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def convert(model: onnx.ModelProto) -> bytes:
    """Return the file's bytes. Raises UnsupportedNetworkError."""
    return _Conversion(model).run()


class _Conversion:
    """A network in the making: ONNX names on one side, tensors and layers of the file on the other."""

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = shape_inference.infer_shapes(model, data_prop=True).graph
        infos = [*graph.input, *graph.value_info, *graph.output]
        self._shapes = {info.name: [d.dim_value or 1 for d in info.type.tensor_type.shape.dim] for info in infos}
        self._constants = {each.name: Constant(values=numpy_helper.to_array(each)) for each in graph.initializer}
        self._same: dict[str, str] = {}
        self._quantization: dict[str, Quantization] = {}
        self._nodes = [node for node in graph.node if not self._is_quantizer(node)]
        self._inputs, self._outputs = [i.name for i in graph.input], [o.name for o in graph.output]
        self._readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        self._makers = {name: node for node in self._nodes for name in node.output}
        for node in self._nodes:
            for name in node.input:
                self._readers[self._root(name)].append(node)
        self._has_images = any(node.op_type == "Conv" for node in self._nodes)
        self._tensors: dict[str, Tensor] = {}
        self._layers: list[Layer] = []
        self._done: set[str] = set()
        self._rules: dict[str, Callable[[onnx.NodeProto], None]] = {
            "Conv": self._convolution,
            "MatMul": self._product,
            "Gemm": self._product,
            "Add": self._sum,
            "AveragePool": self._pool,
            "MaxPool": self._pool,
            "ReduceMean": self._mean,
            "Reshape": self._reshape,
            "Transpose": self._transpose,
            "Softmax": self._softmax,
            "Split": self._split,
            "LayerNormalization": self._layer_normalization,
            "Div": self._division,
        }

    def run(self) -> bytes:
        for name in self._inputs:
            self._declare(name)
        self._pass_on_quantization()
        for node in self._nodes:
            if node.output[0] in self._done:
                continue
            if node.op_type not in self._rules:
                raise UnsupportedNetworkError(f"{node.op_type} is not written")
            self._rules[node.op_type](node)
        outputs = [self._root(name) for name in self._outputs]
        return write(self._tensors, self._layers, inputs=self._inputs, outputs=outputs)

    def _is_quantizer(self, node: onnx.NodeProto) -> bool:
        """Take a QuantizeLinear or DequantizeLinear as a property of its tensor."""
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            return False
        source, scale, *zero = node.input
        numbers = np.atleast_1d(self._constants[scale].values)
        zeros = np.atleast_1d(self._constants[zero[0]].values) if zero else np.zeros_like(numbers, np.int8)
        quantization = Quantization(scale=numbers, zero=zeros, axis=_attributes(node).get("axis", 0))
        if source in self._constants:
            values = self._constants[source].values
            self._constants[node.output[0]] = Constant(values=values, quantization=quantization)
        else:
            self._same[node.output[0]] = source
            self._quantization.setdefault(self._root(source), quantization)
        return True

    def _root(self, name: str) -> str:
        while name in self._same:
            name = self._same[name]
        return name

    def _pass_on_quantization(self) -> None:
        """What only moves numbers gives its output the input's quantization, or has it from there."""
        moving = ("Reshape", "Transpose", "Split", "MaxPool")
        for node in (each for each in self._nodes if each.op_type in moving):
            found = self._quantization.get(self._root(node.input[0]))
            for name in node.output:
                if found is not None:
                    self._quantization[name] = found

    def _shape(self, name: str) -> list[int]:
        """The shape in the file: in a network of images, what has four axes has its channels last."""
        extents = self._shapes[name]
        is_turned = len(extents) == 4 and self._has_images and name not in self._inputs_last
        return [extents[axis] for axis in _LAST] if is_turned else extents

    @property
    def _inputs_last(self) -> list[str]:
        """Images that are channels last in the ONNX file too."""
        first = {name for name in self._inputs for reader in self._readers[name] if reader.op_type == "Transpose"}
        return [name for name in first if len(self._shapes[name]) == 4]

    def _declare(self, name: str) -> str:
        """Add the tensor of a value that is not constant, once."""
        name = self._root(name)
        if name not in self._tensors:
            self._tensors[name] = self._described(self._shape(name), self._quantization.get(name))
        return name

    @staticmethod
    def _described(extents: Sequence[int], quantization: Quantization | None) -> Tensor:
        if quantization is None:
            return Tensor(shape=extents, dtype="float32", scale=None)
        return Tensor(shape=extents, scale=quantization.scale.tolist(), zero=quantization.zero.tolist())

    def _add(self, kind: str, reads: Sequence[str], makes: Sequence[str], table: str = "", **options: Any) -> None:
        """Add a layer; where not all is quantized it computes in float."""
        tensors = [name for name in (*reads, *makes) if self._tensors[name].dtype in ("int8", "float32")]
        quantized = [self._tensors[name].dtype == "int8" for name in tensors]
        if all(quantized) or not any(quantized):
            self._layers.append(Layer(kind=kind, reads=reads, makes=makes, table=table, options=options))
            return
        reads = [self._as_float(name) for name in reads]
        floats = [self._twin(name, "computed") for name in makes]
        self._layers.append(Layer(kind=kind, reads=reads, makes=floats, table=table, options=options))
        for name, twin in zip(makes, floats, strict=True):
            if twin != name:
                self._layers.append(Layer(kind="QUANTIZE", reads=(twin,), makes=(name,)))

    def _as_float(self, name: str) -> str:
        twin = self._twin(name, "real")
        if twin != name and not any(twin in layer.makes for layer in self._layers):
            self._layers.append(Layer(kind="DEQUANTIZE", reads=(name,), makes=(twin,)))
        return twin

    def _twin(self, name: str, suffix: str) -> str:
        """A tensor of floats for one of bytes."""
        if self._tensors[name].dtype != "int8":
            return name
        self._tensors[f"{name}/{suffix}"] = Tensor(shape=self._tensors[name].shape, dtype="float32", scale=None)
        return f"{name}/{suffix}"

    def _constant(self, name: str, values: Array) -> str:
        self._tensors[name] = Tensor(shape=values.shape, dtype="float32", scale=None, data=values.astype(np.float32))
        return name

    def _follower(self, name: str, kinds: Sequence[str]) -> onnx.NodeProto | None:
        """The only reader of a value, when it is one of these kinds."""
        readers = self._readers[name]
        return readers[0] if len(readers) == 1 and readers[0].op_type in kinds and name not in self._outputs else None

    def _activated(self, name: str) -> tuple[str, int]:
        """The value behind the activation that follows, and that activation."""
        follower = self._follower(name, ("Relu", "Clip"))
        if follower is None:
            return self._declare(name), _NONE
        self._done.add(follower.output[0])
        if follower.op_type == "Relu":
            return self._declare(follower.output[0]), _RELU
        limits = [float(self._constants[each].values) for each in follower.input[1:]]
        if limits != [0.0, 6.0]:
            raise UnsupportedNetworkError(f"limits of {limits} are not written")
        return self._declare(follower.output[0]), _RELU6

    def _parameters(self, node: onnx.NodeProto, weights: Constant, axis: int, bias: Constant | None) -> list[str]:
        """The constants of a convolution or product; `weights` lie as the file wants them, outputs along `axis`."""
        quantization = self._quantization.get(self._root(node.input[0]))
        name, outputs = node.output[0], weights.values.shape[axis]
        if quantization is None or weights.quantization is None:
            reals = weights.real
            zeros = np.zeros(outputs) if bias is None else bias.real
            return [self._constant(f"{name}/weights", reals), self._constant(f"{name}/bias", zeros)]
        scale = weights.quantization.scale
        self._tensors[f"{name}/weights"] = Tensor(
            shape=weights.values.shape,
            scale=scale.tolist(),
            zero=[0] * scale.size,
            axis=axis if scale.size > 1 else 0,
            data=weights.values,
        )
        product = quantization.scale * scale
        numbers = np.zeros(outputs) if bias is None else np.round(bias.real.ravel() / product)
        self._tensors[f"{name}/bias"] = Tensor(
            shape=(outputs,), dtype="int32", scale=product.tolist(), zero=[0] * product.size, data=numbers
        )
        return [f"{name}/weights", f"{name}/bias"]

    def _convolution(self, node: onnx.NodeProto) -> None:
        attributes = _attributes(node)
        weights = self._constants[node.input[1]]
        outputs, inputs = weights.values.shape[:2]
        is_depthwise = inputs == 1 and attributes.get("group", 1) == outputs
        axes, axis = ((1, 2, 3, 0), 3) if is_depthwise else ((0, 2, 3, 1), 0)
        turned = Constant(values=weights.values.transpose(axes), quantization=weights.quantization)
        bias = self._constants[node.input[2]] if len(node.input) > 2 else None
        image, padding = self._padded(node, attributes)
        result, activation = self._activated(node.output[0])
        strides = attributes.get("strides", [1, 1])
        reads = [image, *self._parameters(node, turned, axis, bias)]
        steps = {"StrideH": strides[0], "StrideW": strides[1]}
        options = {"Padding": padding, **steps, "FusedActivationFunction": activation}
        kind, table = ("CONV_2D", "Conv2DOptions")
        if is_depthwise:
            kind, table, options["DepthMultiplier"] = "DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", 1
        self._layers.append(Layer(kind=kind, reads=reads, makes=(result,), table=table, options=options))

    def _padded(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> tuple[str, int]:
        """The image that a window slides over, and the padding that TensorFlow adds to it."""
        image = self._declare(node.input[0])
        height, width = self._tensors[image].shape[1:3]
        pads, strides = attributes.get("pads", [0] * 4), attributes.get("strides", [1, 1])
        kernel = attributes["kernel_shape"]
        if not any(pads):
            return image, _VALID
        same = []
        for extent, step, taps in zip((height, width), strides, kernel, strict=True):
            missing = max((-(-extent // step) - 1) * step + taps - extent, 0)
            same.append((missing // 2, missing - missing // 2))
        if pads == [same[0][0], same[1][0], same[0][1], same[1][1]]:
            return image, _SAME
        name = f"{node.output[0]}/padded"
        self._tensors[f"{name}/widths"] = integers([[0, 0], [pads[0], pads[2]], [pads[1], pads[3]], [0, 0]])
        extents = [1, height + pads[0] + pads[2], width + pads[1] + pads[3], self._tensors[image].shape[3]]
        self._tensors[name] = self._described(extents, self._quantization.get(image))
        self._add("PAD", (image, f"{name}/widths"), (name,), "PadOptions")
        return name, _VALID

    def _product(self, node: onnx.NodeProto) -> None:
        data = self._declare(node.input[0])
        weights = self._constants.get(node.input[1])
        if weights is None:
            other = self._declare(node.input[1])
            self._add("BATCH_MATMUL", (data, other), (self._declare(node.output[0]),), "BatchMatMulOptions")
            return
        bias = self._constants[node.input[2]] if len(node.input) > 2 else None
        if node.op_type == "MatMul" or not _attributes(node).get("transB", 0):
            weights = Constant(values=weights.values.T, quantization=weights.quantization)
        result = node.output[0]
        follower = self._follower(result, ("Add",))
        if bias is None and follower is not None:
            other = next(name for name in follower.input if self._root(name) != result)
            if other in self._constants and self._constants[other].values.ndim == 1:
                bias, result = self._constants[other], follower.output[0]
                self._done.add(result)
        result, activation = self._activated(result)
        reads = [data, *self._parameters(node, weights, 0, bias)]
        keeps = len(self._shapes[self._root(node.input[0])]) > 2
        options = {"KeepNumDims": keeps, "FusedActivationFunction": activation}
        table = "FullyConnectedOptions"
        self._layers.append(Layer(kind="FULLY_CONNECTED", reads=reads, makes=(result,), table=table, options=options))

    def _sum(self, node: onnx.NodeProto) -> None:
        reads = [self._declare(name) for name in node.input]
        result, activation = self._activated(node.output[0])
        self._add("ADD", reads, (result,), "AddOptions", FusedActivationFunction=activation)

    def _pool(self, node: onnx.NodeProto) -> None:
        attributes = _attributes(node)
        image, padding = self._padded(node, attributes)  # zeros: what is pooled here has gone through a ReLU
        (high, wide), kernel = attributes.get("strides", [1, 1]), attributes["kernel_shape"]
        sizes = {"FilterHeight": kernel[0], "FilterWidth": kernel[1]}
        options = {"Padding": padding, "StrideH": high, "StrideW": wide, **sizes}
        kind = "AVERAGE_POOL_2D" if node.op_type == "AveragePool" else "MAX_POOL_2D"
        self._add(kind, (image,), (self._declare(node.output[0]),), "Pool2DOptions", **options)

    def _mean(self, node: onnx.NodeProto) -> None:
        axes = f"{node.output[0]}/axes"
        self._tensors[axes] = integers([1, 2])
        result = self._declare(node.output[0])
        keeps = len(self._shapes[node.output[0]]) == 4
        self._add("MEAN", (self._declare(node.input[0]), axes), (result,), "ReducerOptions", KeepDims=keeps)

    def _reshape(self, node: onnx.NodeProto) -> None:
        name = f"{node.output[0]}/shape"
        result = self._declare(node.output[0])
        self._tensors[name] = integers(self._tensors[result].shape)
        self._add("RESHAPE", (self._declare(node.input[0]), name), (result,), "ReshapeOptions")

    def _transpose(self, node: onnx.NodeProto) -> None:
        axes = _attributes(node)["perm"]
        if self._root(node.input[0]) in self._inputs_last and axes == [0, 3, 1, 2]:
            self._same[node.output[0]] = self._root(node.input[0])
            return
        name = f"{node.output[0]}/axes"
        self._tensors[name] = integers(axes)
        self._add(
            "TRANSPOSE", (self._declare(node.input[0]), name), (self._declare(node.output[0]),), "TransposeOptions"
        )

    def _softmax(self, node: onnx.NodeProto) -> None:
        makes = (self._declare(node.output[0]),)
        self._add("SOFTMAX", (self._declare(node.input[0]),), makes, "SoftmaxOptions", Beta=1.0)

    def _split(self, node: onnx.NodeProto) -> None:
        name = f"{node.output[0]}/axis"
        self._tensors[name] = Tensor(shape=(), dtype="int32", scale=None, data=_attributes(node)["axis"])
        makes = [self._declare(each) for each in node.output]
        self._add("SPLIT", (name, self._declare(node.input[0])), makes, "SplitOptions", NumSplits=len(makes))

    def _division(self, node: onnx.NodeProto) -> None:
        """A division by one number: a factor, or the begin of a GELU as exporters write it."""
        divisor = float(self._constants[node.input[1]].real.ravel()[0])
        data = self._declare(node.input[0])
        erf = self._follower(node.output[0], ("Erf",))
        if erf is None:
            factor = self._constant(f"{node.output[0]}/factor", np.array(1.0 / divisor))
            twin = self._constants[node.input[1]]
            if twin.quantization is not None and self._tensors[data].dtype == "int8":
                self._tensors[factor] = Tensor(shape=(), scale=[1.0 / divisor / 127.0], zero=[0], data=127)
            self._add("MUL", (data, factor), (self._declare(node.output[0]),), "MulOptions")
            return
        add = self._follower(erf.output[0], ("Add",))
        half = self._follower(add.output[0], ("Mul",)) if add else None
        last = self._follower(half.output[0], ("Mul",)) if half else None
        if not (add and half and last):
            raise UnsupportedNetworkError("an Erf that is no GELU is not written")
        self._done.update(each.output[0] for each in (erf, add, half, last))
        self._add("GELU", (data,), (self._declare(last.output[0]),), "GeluOptions", Approximate=False)

    def _layer_normalization(self, node: onnx.NodeProto) -> None:
        """As converters write it: mean, difference, mean of squares, reciprocal root, factors and moves."""
        epsilon = _attributes(node).get("epsilon", 1e-5)
        scale, move = (self._constants[name].real for name in node.input[1:])
        data, result = self._as_float(self._declare(node.input[0])), self._declare(node.output[0])
        name, extents = node.output[0], list(self._tensors[data].shape)
        self._tensors[f"{name}/axis"] = integers([len(extents) - 1])

        def step(kind: str, reads: Sequence[str], part: str, shape: Sequence[int], table: str, **options: Any) -> str:
            self._tensors[f"{name}/{part}"] = Tensor(shape=shape, dtype="float32", scale=None)
            self._add(kind, reads, (f"{name}/{part}",), table, **options)
            return f"{name}/{part}"

        row, axis = [*extents[:-1], 1], f"{name}/axis"
        mean = step("MEAN", (data, axis), "mean", row, "ReducerOptions", KeepDims=True)
        away = step("SUB", (data, mean), "away", extents, "SubOptions")
        squares = step("MUL", (away, away), "squares", extents, "MulOptions")
        variance = step("MEAN", (squares, axis), "variance", row, "ReducerOptions", KeepDims=True)
        small = self._constant(f"{name}/epsilon", np.array(epsilon))
        moved = step("ADD", (variance, small), "moved", row, "AddOptions")
        factor = step("RSQRT", (moved,), "factor", row, "")
        normal = step("MUL", (away, factor), "normal", extents, "MulOptions")
        scaled = step("MUL", (normal, self._constant(f"{name}/scale", scale)), "scaled", extents, "MulOptions")
        self._add("ADD", (scaled, self._constant(f"{name}/move", move)), (result,), "AddOptions")
