"""Every integer layer is within one step of ONNX Runtime's value of it, when both are given the same inputs.

So what is more than one step at a network's end is the rounding of several layers, carried on, and no layer that
computes something else. The bound is 1 for every operator, the softmax included.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecompress import compile as compiler
from edgecompress import models
from edgecompress.core import target as targets
from edgecompress.core.errors import ToolFailedError
from edgecompress.core.values import no_progress
from edgecompress.measure import _outputs, _rounding

NETWORKS = ("ad_autoencoder", "ic_resnet8", "kws_dscnn", "sww_stream", "vww_mobilenetv1_025", "wakeword")
LARGEST_LSB = 1
COUNT = 4
SEEDS = (0, 1, 2)
WITHOUT_ONNX_VALUE = {"dequantize", "flip_sign", "transpose"}
"""What layers do that ONNX has no quantized value for: the edges of a network, and another order in memory."""


@pytest.mark.parametrize("name", NETWORKS)
def test_a_layer_given_the_inputs_of_onnxruntime_is_within_one_step_of_it(
    name: str, compiled: Callable[[str], Any]
) -> None:
    network = compiled(name)

    for seed in SEEDS:
        found = _rounding.compare_layers(network.bundle, network.model, network.seeded_inputs(COUNT, seed))

        assert [each.layer.name for each in found] == [
            layer.name for layer in network.bundle.manifest.layers if layer.op not in WITHOUT_ONNX_VALUE
        ]
        assert {each.layer.name: each.alone for each in found if each.alone > LARGEST_LSB} == {}


def test_values_inside_a_border_are_compared_too(compiled: Callable[[str], Any], tmp_path: Path) -> None:
    network = compiled("ic_resnet8")
    bundle = compiler.build(network.model, targets.load("x86-64-amx"), tmp_path / "bundle")

    found = _rounding.compare_layers(bundle, network.model, network.seeded_inputs(COUNT, 0))

    held = [each for each in found if each.layer.onnx_output and each.layer.onnx_output.inside]
    assert len(held) > 1
    assert {each.layer.output_shape for each in held} == {(1, 32, 32, 16), (1, 16, 16, 32), (1, 8, 8, 64)}
    assert max(each.alone for each in found) == LARGEST_LSB


@pytest.mark.parametrize("name", ["ic_resnet8", "kws_dscnn"])
def test_the_reason_holds_the_networks_figures(name: str, compiled: Callable[[str], Any]) -> None:
    network = compiled(name)
    inputs, _ = network.bundle.vectors()
    (spec,) = network.model.outputs
    ours, theirs = (
        outputs[spec.name].astype(int)
        for outputs in (
            network.bundle.run_on_host(inputs),
            _outputs.of_onnxruntime(network.model, inputs, no_progress),
        )
    )

    found = _rounding.compare_layers(network.bundle, network.model, inputs)

    assert found[-1].in_sequence == np.abs(ours - theirs).max() > LARGEST_LSB
    assert found[0].in_sequence == found[0].alone
    assert f"each of {len(found)} layers is within 1 LSB" in _rounding.reason(found)
    assert f" into {found[-1].in_sequence} LSB" in _rounding.reason(found)


def test_the_host_program_refuses_what_is_no_layer(compiled: Callable[[str], Any]) -> None:
    bundle = compiled("kws_dscnn").bundle
    program, layers = bundle.folder / "host" / "reference", len(bundle.manifest.layers)

    with pytest.raises(ToolFailedError) as caught:
        bundle.run_layer_on_host(layers, np.zeros((1, bundle.manifest.arena.bytes), np.uint8))
    cut = subprocess.run([program, "--layer", "0"], input=b"short", capture_output=True)
    unknown = subprocess.run([program, "--trace"], capture_output=True)

    assert caught.value.message == f"{program} failed with exit code 2:\nthere is no layer {layers}"
    assert (cut.returncode, cut.stdout, cut.stderr) == (1, b"", b"the last sample is cut short\n")
    assert (unknown.returncode, unknown.stderr) == (2, b"usage: reference [--layer NUMBER]\n")


# One network of single layers side by side, at scales that the real networks do not have.

ROWS, CLASSES = 64, 12
IMAGE = (1, 8, 6, 6)
PROBABILITY = (1 / 256, -128)
LAYERS: dict[str, tuple[str, tuple[float, ...], tuple[float, int], dict[str, Any]]] = {
    "softmax_flat": ("Softmax", (0.02,), PROBABILITY, {"axis": -1}),
    "softmax": ("Softmax", (0.15,), PROBABILITY, {"axis": -1}),
    "softmax_steep": ("Softmax", (1.7,), PROBABILITY, {"axis": -1}),
    "softmax_rescaled": ("Softmax", (0.1,), (0.6 / 255, -128), {"axis": -1}),
    "add": ("Add", (0.1, 0.1), (0.17, 5), {}),
    "add_scaled": ("Add", (0.1, 0.0337), (0.09, -20), {}),
    "add_far_apart": ("Add", (0.9, 0.004), (0.95, 3), {}),
    "average_pool": ("AveragePool", (0.1,), (0.1, 3), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "average_pool_overlapping": ("AveragePool", (0.1,), (0.1, 3), {"kernel_shape": [3, 3]}),
    "mean": ("GlobalAveragePool", (0.1,), (0.023, -9), {}),
    "max_pool": ("MaxPool", (0.1,), (0.1, 3), {"kernel_shape": [2, 2]}),
    "rescale": ("Relu", (0.1,), (0.061, -128), {}),
}
"""By output: the operator, its inputs' scales (zero point 3), the output's scale and zero point, attributes."""
INPUT_ZERO_POINT = 3


def single_layers() -> onnx.ModelProto:
    nodes, constants, outputs = [], {}, []
    for name, (operator, scales, (scale, zero_point), attributes) in LAYERS.items():
        sources = ["logits"] if operator == "Softmax" else ["image", "other"][: len(scales)]
        for number, (source, input_scale) in enumerate(zip(sources, scales, strict=True)):
            constants |= {f"{name}_s{number}": np.float32(input_scale), f"{name}_z{number}": np.int8(INPUT_ZERO_POINT)}
            quantized = [source, f"{name}_s{number}", f"{name}_z{number}"]
            nodes.append(helper.make_node("DequantizeLinear", quantized, [f"{name}_{number}"]))
        real = [f"{name}_{number}" for number in range(len(scales))]
        constants |= {f"{name}_s": np.float32(scale), f"{name}_z": np.int8(zero_point)}
        nodes.append(helper.make_node(operator, real, [f"{name}_real"], name=f"{name}_layer", **attributes))
        nodes.append(helper.make_node("QuantizeLinear", [f"{name}_real", f"{name}_s", f"{name}_z"], [name]))
        outputs.append(helper.make_tensor_value_info(name, TensorProto.INT8, None))
    shapes = {"logits": (1, ROWS, CLASSES), "image": IMAGE, "other": IMAGE}
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT8, shape) for name, shape in shapes.items()]
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "single_layers", inputs, outputs, initializers)
    inferred = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(inferred, strict_mode=True)


@pytest.fixture(scope="module")
def distances(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """The largest difference from ONNX Runtime of every output of `single_layers`, on 32 samples."""
    folder = tmp_path_factory.mktemp("layers")
    onnx.save(single_layers(), folder / "layers.onnx")
    model = models.load(folder / "layers.onnx")
    bundle = compiler.build(model, targets.load("host"), folder / "bundle")
    draw = np.random.default_rng(5)
    inputs = {
        spec.name: draw.integers(-128, 128, (32, *spec.shape[1:])).astype(np.int8) for spec in bundle.manifest.inputs
    }
    ours, theirs = bundle.run_on_host(inputs), _outputs.of_onnxruntime(model, inputs, no_progress)
    return {name: int(np.abs(ours[name].astype(int) - theirs[name].astype(int)).max()) for name in ours}


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_a_single_layer_is_within_one_step(name: str, distances: dict[str, int]) -> None:
    assert distances[name] <= LARGEST_LSB


def test_rounding_differs_somewhere(distances: dict[str, int]) -> None:
    assert max(distances.values()) == LARGEST_LSB
    assert distances["max_pool"] == 0


# A network whose values lie in memory in another order than in ONNX, as int8 and as uint8.


def flattened(dtype: type[np.integer]) -> onnx.ModelProto:
    """x -> convolution -> flatten -> product -> softmax -> y; QuantizeLinear stands behind the flatten."""
    draw = np.random.default_rng(6)
    middle = 128 if dtype is np.uint8 else 0
    constants = {
        "conv_w": draw.integers(-127, 128, (5, 2, 3, 3)).astype(np.int8),
        "dense_w": draw.integers(-127, 128, (80, 7)).astype(np.int8),
        "w_scale": np.float32(0.01),
        "w_zero": np.int8(0),
    }
    nodes = [
        helper.make_node("DequantizeLinear", [f"{name}_w", "w_scale", "w_zero"], [f"{name}_real_w"])
        for name in ("conv", "dense")
    ]

    def quantized(real: str, name: str, scale: float, zero_point: int) -> str:
        constants.update({f"{name}_scale": np.float32(scale), f"{name}_zero": dtype(zero_point + middle)})
        parameters = [f"{name}_scale", f"{name}_zero"]
        nodes.append(helper.make_node("QuantizeLinear", [real, *parameters], [name], name=f"quantize_{name}"))
        nodes.append(helper.make_node("DequantizeLinear", [name, *parameters], [f"{name}_back"]))
        return f"{name}_back"

    image = quantized("x", "image", 1 / 255, -128)
    nodes.append(helper.make_node("Conv", [image, "conv_real_w"], ["conv"], name="conv"))
    nodes.append(helper.make_node("Relu", ["conv"], ["relu"]))
    nodes.append(helper.make_node("Flatten", ["relu"], ["flat"]))
    features = quantized("flat", "features", 0.05, -128)
    nodes.append(helper.make_node("MatMul", [features, "dense_real_w"], ["dense"], name="dense"))
    logits = quantized("dense", "logits", 0.2, 11)
    nodes.append(helper.make_node("Softmax", [logits], ["softmax"], axis=-1))
    shapes = {"x": (1, 2, 6, 6), quantized("softmax", "scores", 1 / 256, -128): (1, 7)}
    edges = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "flattened", edges[:1], edges[1:], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_values_are_found_in_another_order_and_type(dtype: type[np.integer], tmp_path: Path) -> None:
    onnx.save(flattened(dtype), tmp_path / "flattened.onnx")
    model = models.load(tmp_path / "flattened.onnx")
    bundle = compiler.build(model, targets.load("host"), tmp_path / "bundle")

    found = _rounding.compare_layers(bundle, model, bundle.vectors()[0])

    held = {each.layer.onnx_output.name: (each.layer.op, each.alone) for each in found}
    assert [(name, op) for name, (op, _) in held.items()] == [
        ("image", "quantize"),
        ("features", "conv2d"),
        ("logits", "fully_connected"),
        ("scores", "softmax"),
    ]
    assert max(alone for _, alone in held.values()) <= LARGEST_LSB
