"""Random .tflite layers of every kind, side by side in one network, against TensorFlow Lite Micro: the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from tflite_writer import Layer, Tensor, integers, write

from edgecompress import compile as compiler
from edgecompress import models
from edgecompress.core import target as targets
from edgecompress.core.values import Array, Model
from edgecompress.models import onnx_file

SIDES, CHANNELS = (9, 7), 6
IMAGE = Tensor(shape=(1, *SIDES, CHANNELS), scale=0.05, zero=3)
LAYERS, SAMPLES = 56, 4
ACTIVATIONS = 4
"""None, relu, relu from -1 to 1, relu6."""


@dataclass(kw_only=True)
class Drawing:
    """A network in the making: every layer reads the image `x`, or also `p`, the largest values around each pixel."""

    draw: np.random.Generator
    tensors: dict[str, Tensor] = field(default_factory=lambda: {"x": IMAGE, "p": IMAGE})
    layers: list[Layer] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)

    def pick(self, low: int, high: int) -> int:
        return int(self.draw.integers(low, high, endpoint=True))

    def constant(self, tensor: Tensor) -> str:
        name = f"c{len(self.tensors)}"
        self.tensors[name] = tensor
        return name

    def output(self, *shape: int, keeps: bool = False) -> str:
        """A result at any scale, or at the image's."""
        name = f"y{len(self.outputs)}"
        scale, zero = float(self.draw.uniform(0.01, 0.2)), self.pick(-128, 127)
        self.tensors[name] = replace(IMAGE, shape=shape) if keeps else Tensor(shape=shape, scale=scale, zero=zero)
        self.outputs.append(name)
        return name

    def layer(self, kind: str, reads: tuple[str, ...], makes: str, table: str = "", **options: int) -> None:
        self.layers.append(Layer(kind=kind, reads=reads, makes=(makes,), table=table, options=options))

    def window(self, *, dilates: bool = True) -> tuple[dict[str, int], tuple[int, int], tuple[int, int]]:
        """Options of a window, its size, and how many rows and columns it makes."""
        size = self.pick(1, 4), self.pick(1, 4)
        strides = self.pick(1, 3), self.pick(1, 3)
        dilations = (self.pick(1, 2), self.pick(1, 2)) if dilates and strides == (1, 1) else (1, 1)
        valid = self.pick(0, 1)
        reach = [(taps - 1) * step + 1 for taps, step in zip(size, dilations, strict=True)]
        if valid:
            made = [(side - r) // stride + 1 for side, r, stride in zip(SIDES, reach, strides, strict=True)]
        else:
            made = [-(-side // stride) for side, stride in zip(SIDES, strides, strict=True)]
        options = {"Padding": valid, "StrideH": strides[0], "StrideW": strides[1], **self.activation()}
        if dilates:
            options |= {"DilationHFactor": dilations[0], "DilationWFactor": dilations[1]}
        return options, size, (made[0], made[1])

    def activation(self) -> dict[str, int]:
        return {"FusedActivationFunction": self.pick(0, ACTIVATIONS - 1)}

    def weights(self, *shape: int, outputs: int, axis: int) -> tuple[str, str]:
        """Weights and bias, with a scale for each output."""
        scales = self.draw.uniform(0.002, 0.01, outputs).astype(np.float32)
        zeros = np.zeros(outputs)
        values = self.draw.integers(-127, 128, shape)
        bias = self.draw.integers(-3000, 3000, outputs)
        weights = self.constant(Tensor(shape=shape, scale=scales, zero=zeros, axis=axis, data=values))
        scale = np.float32(IMAGE.scale) * scales
        return weights, self.constant(Tensor(shape=(outputs,), dtype="int32", scale=scale, zero=zeros, data=bias))


def convolution(drawing: Drawing) -> None:
    options, size, made = drawing.window()
    outputs = drawing.pick(1, 9)
    constants = drawing.weights(outputs, *size, CHANNELS, outputs=outputs, axis=0)
    drawing.layer("CONV_2D", ("x", *constants), drawing.output(1, *made, outputs), "Conv2DOptions", **options)


def depthwise(drawing: Drawing) -> None:
    options, size, made = drawing.window()
    multiplier = drawing.pick(1, 2)
    outputs = multiplier * CHANNELS
    constants = drawing.weights(1, *size, outputs, outputs=outputs, axis=3)
    result = drawing.output(1, *made, outputs)
    options |= {"DepthMultiplier": multiplier}
    drawing.layer("DEPTHWISE_CONV_2D", ("x", *constants), result, "DepthwiseConv2DOptions", **options)


def pool(drawing: Drawing) -> None:
    options, size, made = drawing.window(dilates=False)
    options |= {"FilterHeight": size[0], "FilterWidth": size[1]}
    kind = ("AVERAGE_POOL_2D", "MAX_POOL_2D")[drawing.pick(0, 1)]
    drawing.layer(kind, ("x",), drawing.output(1, *made, CHANNELS, keeps=True), "Pool2DOptions", **options)


def mean(drawing: Drawing) -> None:
    axes = drawing.constant(integers([1, 2]))
    result = drawing.output(1, CHANNELS, keeps=bool(drawing.pick(0, 1)))
    drawing.layer("MEAN", ("x", axes), result, "ReducerOptions", KeepDims=0)


def addition(drawing: Drawing) -> None:
    drawing.layer("ADD", ("x", "p"), drawing.output(*IMAGE.shape), "AddOptions", **drawing.activation())


def multiplication(drawing: Drawing) -> None:
    row = Tensor(
        shape=(1, 1, 1, CHANNELS), scale=0.01, zero=drawing.pick(-9, 9), data=drawing.draw.integers(-128, 128, CHANNELS)
    )
    factor = "p" if drawing.pick(0, 1) else drawing.constant(row)
    drawing.layer("MUL", ("x", factor), drawing.output(*IMAGE.shape), "MulOptions", **drawing.activation())


def change_of_scale(drawing: Drawing) -> None:
    drawing.layer(("QUANTIZE", "RELU")[drawing.pick(0, 1)], ("x",), drawing.output(*IMAGE.shape))


def padding(drawing: Drawing) -> None:
    widths = np.array([[0, 0], *drawing.draw.integers(0, 4, (3, 2)).tolist()])
    shape = [extent + before + behind for extent, (before, behind) in zip(IMAGE.shape, widths, strict=True)]
    drawing.layer("PAD", ("x", drawing.constant(integers(widths))), drawing.output(*shape, keeps=True))


def resize(drawing: Drawing) -> None:
    rows, columns = drawing.pick(1, 20), drawing.pick(1, 20)
    kind, table = (
        ("RESIZE_BILINEAR", "ResizeBilinearOptions"),
        ("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions"),
    )[drawing.pick(0, 1)]
    flags = ({}, {"AlignCorners": 1}, {"HalfPixelCenters": 1})[drawing.pick(0, 2)]
    result = drawing.output(1, rows, columns, CHANNELS, keeps=True)
    drawing.layer(kind, ("x", drawing.constant(integers([rows, columns]))), result, table, **flags)


def concatenation(drawing: Drawing) -> None:
    axis = drawing.pick(1, 3)
    shape = [2 * extent if place == axis else extent for place, extent in enumerate(IMAGE.shape)]
    result = drawing.output(*shape, keeps=True)
    drawing.layer("CONCATENATION", ("p", "x"), result, "ConcatenationOptions", Axis=axis)


KINDS = (
    convolution,
    convolution,
    depthwise,
    pool,
    mean,
    addition,
    multiplication,
    change_of_scale,
    padding,
    resize,
    resize,
    concatenation,
)


def drawn(seed: int) -> Drawing:
    drawing = Drawing(draw=np.random.default_rng(seed))
    window = {"Padding": 0, "StrideH": 1, "StrideW": 1, "FilterHeight": 3, "FilterWidth": 3}
    drawing.layer("MAX_POOL_2D", ("x",), "p", "Pool2DOptions", **window)
    for number in range(LAYERS):
        KINDS[number % len(KINDS)](drawing)
    return drawing


def reloaded(path: Path) -> Model:
    """The model of a run: written as ONNX, and read again."""
    onnx_file.save(models.load(path), path.with_suffix(".onnx"))
    return models.load(path.with_suffix(".onnx"))


@pytest.mark.parametrize(("seed", "load"), [(1, models.load), (2, reloaded)], ids=["the file", "in a run"])
def test_random_layers_give_the_bytes_of_tflite_micro(
    seed: int, load: Callable[[Path], Model], tmp_path: Path, interpreted: Callable[..., Array]
) -> None:
    drawing = drawn(seed)
    path = tmp_path / "net.tflite"
    path.write_bytes(write(drawing.tensors, drawing.layers, outputs=drawing.outputs))
    samples = np.random.default_rng(3).integers(-128, 128, (SAMPLES, *IMAGE.shape[1:])).astype(np.int8)

    bundle = compiler.build(load(path), targets.load("host"), tmp_path / "bundle")
    found = bundle.run_on_host({"x": samples})

    wanted = interpreted(path, samples, len(drawing.outputs))
    sizes = [int(np.prod(drawing.tensors[name].shape)) for name in drawing.outputs]
    parts = np.split(wanted, np.cumsum(sizes)[:-1], axis=1)
    wrong = [
        (layer, drawing.tensors[name])
        for name, layer, part in zip(drawing.outputs, drawing.layers[1:], parts, strict=True)
        if found[name].tobytes() != part.tobytes()
    ]
    operations = Counter(layer.op for layer in bundle.manifest.layers)
    assert wrong == []
    assert sum(len(np.unique(part)) > 8 for part in parts) > LAYERS * 0.7
    assert operations.total() - operations["transpose"] >= LAYERS
