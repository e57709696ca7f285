"""Small .tflite networks, one for each operator and its corners, against TensorFlow Lite Micro: the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tflite_writer import Layer, Tensor, floats, integers, write

from edgecompress import compile as compiler
from edgecompress import models
from edgecompress.core import target as targets
from edgecompress.core.values import Array

SAME, VALID = 0, 1
NONE, RELU, RELU_N1_TO_1, RELU6 = range(4)
COUNT = 8
DRAW = np.random.default_rng(5)

Network = tuple[dict[str, Tensor], Sequence[Layer]]
IMAGE = Tensor(shape=(1, 9, 7, 6), scale=0.05, zero=3)


def window(padding: int = SAME, stride: int = 1, activation: int = NONE, **more: int) -> dict[str, int]:
    return {"Padding": padding, "StrideH": stride, "StrideW": stride, "FusedActivationFunction": activation} | more


def weights(*shape: int, scales: int = 1, axis: int = 0) -> Tensor:
    scale = DRAW.uniform(0.002, 0.01, scales).astype(np.float32)
    return Tensor(shape=shape, scale=scale, zero=np.zeros(scales), axis=axis, data=DRAW.integers(-127, 128, shape))


def bias_of(data: Tensor, matrix: Tensor, outputs: int) -> Tensor:
    scale = np.float32(data.scale) * np.asarray(matrix.scale, np.float32)
    values = DRAW.integers(-3000, 3000, outputs)
    return Tensor(shape=(outputs,), dtype="int32", scale=scale, zero=np.zeros(scale.size), data=values)


def product(kind: str, table: str, w: Tensor, y: Tensor, options: dict[str, int], x: Tensor = IMAGE) -> Network:
    outputs = y.shape[-1]
    layer = Layer(kind=kind, reads=("x", "w", "b"), makes=("y",), table=table, options=options)
    return {"x": x, "w": w, "b": bias_of(x, w, outputs), "y": y}, [layer]


def convolution(y: tuple[int, ...], options: dict[str, int], w: Tensor) -> Network:
    return product("CONV_2D", "Conv2DOptions", w, Tensor(shape=y, scale=0.08, zero=-20), options)


def depthwise(y: tuple[int, ...], options: dict[str, int], w: Tensor) -> Network:
    return product("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", w, Tensor(shape=y, scale=0.04, zero=5), options)


def pool(kind: str, y: tuple[int, ...], options: dict[str, int]) -> Network:
    layer = Layer(kind=kind, reads=("x",), makes=("y",), table="Pool2DOptions", options=options)
    return {"x": IMAGE, "y": replace(IMAGE, shape=y)}, [layer]


def mean(y: tuple[int, ...], *, keeps: bool, scale: float = 0.05, zero: int = 3) -> Network:
    layer = Layer(kind="MEAN", reads=("x", "axes"), makes=("y",), table="ReducerOptions", options={"KeepDims": keeps})
    return {"x": IMAGE, "axes": integers([1, 2]), "y": Tensor(shape=y, scale=scale, zero=zero)}, [layer]


def one(kind: str, y: Tensor, x: Tensor = IMAGE) -> Network:
    return {"x": x, "y": y}, [Layer(kind=kind, reads=("x",), makes=("y",))]


def residual(activation: int) -> Network:
    options = {"FusedActivationFunction": activation}
    tensors = {"x": IMAGE, "p": IMAGE, "y": Tensor(shape=IMAGE.shape, scale=0.07, zero=-8)}
    pooling = Layer(
        kind="MAX_POOL_2D",
        reads=("x",),
        makes=("p",),
        table="Pool2DOptions",
        options=window(FilterHeight=3, FilterWidth=3),
    )
    return tensors, [pooling, Layer(kind="ADD", reads=("x", "p"), makes=("y",), table="AddOptions", options=options)]


def joined(axis: int, y: tuple[int, ...]) -> Network:
    tensors, (pooling, _) = residual(NONE)
    layer = Layer(
        kind="CONCATENATION",
        reads=("x", "p"),
        makes=("y",),
        table="ConcatenationOptions",
        options={"Axis": axis},
    )
    return {**tensors, "y": replace(IMAGE, shape=y)}, [pooling, layer]


def multiplied(y: Tensor, activation: int = NONE, **more: Tensor) -> Network:
    """The image times its largest values, or times a tensor that is given."""
    tensors, (pooling, _) = residual(NONE)
    options = {"FusedActivationFunction": activation}
    by = next(iter(more), "p")
    layer = Layer(kind="MUL", reads=("x", by), makes=("y",), table="MulOptions", options=options)
    return {**tensors, **more, "y": y}, [*([] if more else [pooling]), layer]


def gated() -> Network:
    """The image times one number a channel, its mean: what squeeze and excitation does."""
    tensors, [layer] = mean((1, 1, 1, 6), keeps=True, scale=0.01, zero=-128)
    gate = replace(layer, makes=("gate",))
    product = Layer(kind="MUL", reads=("gate", "x"), makes=("y",), table="MulOptions")
    return {**tensors, "gate": tensors["y"], "y": Tensor(shape=IMAGE.shape, scale=0.03, zero=7)}, [gate, product]


def resized(kind: str, rows: int, columns: int, **flags: int) -> Network:
    table = "ResizeBilinearOptions" if kind == "RESIZE_BILINEAR" else "ResizeNearestNeighborOptions"
    layer = Layer(kind=kind, reads=("x", "size"), makes=("y",), table=table, options=flags)
    return {"x": IMAGE, "size": integers([rows, columns]), "y": replace(IMAGE, shape=(1, rows, columns, 6))}, [layer]


def padded() -> Network:
    widths = integers([[0, 0], [1, 2], [0, 3], [2, 1]])
    layer = Layer(kind="PAD", reads=("x", "widths"), makes=("y",))
    return {"x": IMAGE, "widths": widths, "y": replace(IMAGE, shape=(1, 12, 10, 9))}, [layer]


def padded_convolution() -> Network:
    w = weights(4, 3, 3, 6, scales=4)
    tensors = {
        "x": IMAGE,
        "widths": integers([[0, 0], [1, 0], [0, 2], [0, 0]]),
        "p": replace(IMAGE, shape=(1, 10, 9, 6)),
        "w": w,
        "b": bias_of(IMAGE, w, 4),
        "y": Tensor(shape=(1, 4, 4, 4), scale=0.08, zero=-20),
    }
    conv = Layer(kind="CONV_2D", reads=("p", "w", "b"), makes=("y",), table="Conv2DOptions", options=window(VALID, 2))
    return tensors, [Layer(kind="PAD", reads=("x", "widths"), makes=("p",)), conv]


def classifier() -> Network:
    """Reshape, fully connected without a bias, softmax."""
    flat = replace(IMAGE, shape=(1, 378))
    return {
        "x": IMAGE,
        "shape": integers([-1, 378]),
        "flat": flat,
        "w": weights(5, 378),
        "logits": Tensor(shape=(1, 5), scale=0.2, zero=9),
        "y": Tensor(shape=(1, 5), scale=1 / 256, zero=-128),
    }, [
        Layer(kind="RESHAPE", reads=("x", "shape"), makes=("flat",)),
        Layer(kind="FULLY_CONNECTED", reads=("flat", "w", -1), makes=("logits",), table="FullyConnectedOptions"),
        Layer(kind="SOFTMAX", reads=("logits",), makes=("y",), table="SoftmaxOptions", options={"Beta": 1.0}),
    ]


DILATED = {"DilationHFactor": 2, "DilationWFactor": 2}
POOLED = {"FilterHeight": 3, "FilterWidth": 2}
NETWORKS: dict[str, Network] = {
    "conv same": convolution((1, 9, 7, 4), window(), weights(4, 3, 3, 6, scales=4)),
    "conv same stride 2 relu": convolution((1, 5, 4, 4), window(SAME, 2, RELU), weights(4, 3, 3, 6, scales=4)),
    "conv valid stride 3 relu6": convolution((1, 3, 2, 4), window(VALID, 3, RELU6), weights(4, 3, 2, 6)),
    "conv even window": convolution((1, 9, 7, 4), window(), weights(4, 4, 2, 6, scales=4)),
    "conv dilated": convolution((1, 9, 7, 4), window(SAME, 1, **DILATED), weights(4, 3, 3, 6, scales=4)),
    "conv relu n1 to 1": convolution((1, 9, 7, 4), window(activation=RELU_N1_TO_1), weights(4, 1, 1, 6, scales=4)),
    "depthwise": depthwise((1, 5, 4, 6), window(SAME, 2, DepthMultiplier=1), weights(1, 3, 3, 6, scales=6, axis=3)),
    "depthwise multiplier": depthwise(
        (1, 7, 5, 12), window(VALID, DepthMultiplier=2), weights(1, 3, 3, 12, scales=12, axis=3)
    ),
    "pad": padded_convolution(),
    "average pool": pool("AVERAGE_POOL_2D", (1, 9, 7, 6), window(**POOLED)),
    "average pool valid": pool("AVERAGE_POOL_2D", (1, 4, 3, 6), window(VALID, 2, **POOLED)),
    "max pool relu": pool("MAX_POOL_2D", (1, 5, 4, 6), window(SAME, 2, RELU, **POOLED)),
    "mean": mean((1, 6), keeps=False),
    "mean kept": mean((1, 1, 1, 6), keeps=True),
    "mean rescaled": mean((1, 6), keeps=False, scale=0.03, zero=-4),
    "relu": one("RELU", Tensor(shape=IMAGE.shape, scale=0.025, zero=-128)),
    "relu6": one("RELU6", IMAGE),
    "quantize": one("QUANTIZE", Tensor(shape=IMAGE.shape, scale=0.0617, zero=-7)),
    "quantize coarser": one("QUANTIZE", Tensor(shape=IMAGE.shape, scale=0.13, zero=-7)),
    "dequantize": one("DEQUANTIZE", floats(*IMAGE.shape)),
    "add": residual(NONE),
    "add relu": residual(RELU),
    "concatenation of channels": joined(-1, (1, 9, 7, 12)),
    "concatenation of rows": joined(1, (1, 18, 7, 6)),
    "classifier": classifier(),
    "pad alone": padded(),
    "multiply": multiplied(Tensor(shape=IMAGE.shape, scale=0.11, zero=-3)),
    "multiply relu": multiplied(Tensor(shape=IMAGE.shape, scale=0.09, zero=-128), RELU),
    "multiply to a fine scale": multiplied(Tensor(shape=IMAGE.shape, scale=0.0011, zero=1)),
    "multiply by a constant channel": multiplied(Tensor(shape=IMAGE.shape, scale=0.02, zero=4), w=weights(6)),
    "multiply by a constant image": multiplied(Tensor(shape=IMAGE.shape, scale=0.02, zero=4), w=weights(1, 9, 7, 6)),
    "multiply by a column": multiplied(Tensor(shape=IMAGE.shape, scale=0.02, zero=4), w=weights(1, 9, 1, 6)),
    "multiply by one number": multiplied(Tensor(shape=IMAGE.shape, scale=0.0137, zero=4), w=weights(1)),
    "multiply by itself": multiplied(Tensor(shape=IMAGE.shape, scale=0.21, zero=4), x=IMAGE),
    "multiply by its mean": gated(),
    "nearest": resized("RESIZE_NEAREST_NEIGHBOR", 13, 20),
    "nearest of corners": resized("RESIZE_NEAREST_NEIGHBOR", 17, 5, AlignCorners=1),
    "nearest of centres": resized("RESIZE_NEAREST_NEIGHBOR", 4, 20, HalfPixelCenters=1),
    "bilinear": resized("RESIZE_BILINEAR", 18, 14),
    "bilinear of corners": resized("RESIZE_BILINEAR", 17, 4, AlignCorners=1),
    "bilinear of centres": resized("RESIZE_BILINEAR", 20, 3, HalfPixelCenters=1),
    "bilinear to a pixel": resized("RESIZE_BILINEAR", 1, 1),
}


def side_by_side(networks: dict[str, Network]) -> tuple[bytes, list[str]]:
    """One network of all of them, which read the same image; and the names of its outputs."""
    tensors: dict[str, Tensor] = {"x": IMAGE}
    operators: list[Layer] = []
    outputs = []
    for number, (own_tensors, own_layers) in enumerate(networks.values()):
        names: dict[str | int, str | int] = {name: f"n{number}_{name}" for name in own_tensors}
        names |= {"x": "x", -1: -1}
        tensors |= {str(names[name]): tensor for name, tensor in own_tensors.items()}
        operators += [
            replace(layer, reads=[names[name] for name in layer.reads], makes=[names[name] for name in layer.makes])
            for layer in own_layers
        ]
        outputs.append(f"n{number}_y")
    return write(tensors, operators, outputs=outputs), outputs


@pytest.fixture(scope="module")
def computed(
    tmp_path_factory: pytest.TempPathFactory, interpreted: Callable[..., Array]
) -> dict[str, tuple[Array, Array]]:
    """What each network computes, and what TensorFlow Lite Micro does: they are compiled together."""
    folder = tmp_path_factory.mktemp("networks")
    path = folder / "net.tflite"
    content, outputs = side_by_side(NETWORKS)
    path.write_bytes(content)
    samples = np.random.default_rng(3).integers(-128, 128, (COUNT, *IMAGE.shape[1:])).astype(np.int8)

    bundle = compiler.build(models.load(path), targets.load("host"), folder / "bundle")
    found = bundle.run_on_host({"x": samples})

    ours = [found[output].reshape(COUNT, -1) for output in outputs]
    ends = np.cumsum([values.shape[1] for values in ours])
    theirs = np.split(interpreted(path, samples, len(outputs)), ends[:-1], axis=1)
    return dict(zip(NETWORKS, zip(ours, theirs, strict=True), strict=True))


@pytest.mark.parametrize("name", NETWORKS)
def test_an_operator_gives_the_bytes_of_tflite_micro(name: str, computed: dict[str, tuple[Array, Array]]) -> None:
    found, wanted = computed[name]

    assert len(np.unique(wanted, axis=0)) > 1, "the inputs make no difference"
    np.testing.assert_array_equal(found, wanted)


def test_a_float_network_computes_what_tflite_micro_does(
    tmp_path: Path, interpreted: Callable[[Path, Array], Array]
) -> None:
    draw = np.random.default_rng(8)
    tensors = {
        "x": floats(1, 9, 7, 6),
        "w": floats(4, 3, 3, 6, data=draw.normal(size=(4, 3, 3, 6))),
        "b": floats(4, data=draw.normal(size=4)),
        "c": floats(1, 5, 4, 4),
        "dw": floats(1, 3, 3, 8, data=draw.normal(size=(1, 3, 3, 8))),
        "db": floats(8, data=draw.normal(size=8)),
        "d": floats(1, 5, 4, 8),
        "p": floats(1, 2, 2, 8),
        "m": floats(3, 32, data=draw.normal(scale=0.05, size=(3, 32))),
        "mb": floats(3, data=draw.normal(size=3)),
        "logits": floats(1, 3),
        "y": floats(1, 3),
    }
    layers = [
        Layer(
            kind="CONV_2D", reads=("x", "w", "b"), makes=("c",), table="Conv2DOptions", options=window(SAME, 2, RELU6)
        ),
        Layer(
            kind="DEPTHWISE_CONV_2D",
            reads=("c", "dw", "db"),
            makes=("d",),
            table="DepthwiseConv2DOptions",
            options=window(DepthMultiplier=2),
        ),
        Layer(
            kind="AVERAGE_POOL_2D",
            reads=("d",),
            makes=("p",),
            table="Pool2DOptions",
            options=window(VALID, 2, RELU, FilterHeight=2, FilterWidth=2),
        ),
        Layer(kind="FULLY_CONNECTED", reads=("p", "m", "mb"), makes=("logits",), table="FullyConnectedOptions"),
        Layer(kind="SOFTMAX", reads=("logits",), makes=("y",), table="SoftmaxOptions", options={"Beta": 1.0}),
    ]
    path = tmp_path / "net.tflite"
    path.write_bytes(write(tensors, layers))
    samples = draw.random((COUNT, 9, 7, 6), np.float32)

    bundle = compiler.build(models.load(path), targets.load("host"), tmp_path / "bundle")
    (found,) = bundle.run_on_host({"x": samples}).values()

    np.testing.assert_allclose(found.reshape(COUNT, -1), interpreted(path, samples), rtol=1e-5, atol=1e-7)
