"""compress/static_int8: what it refuses, and the graph it makes of small networks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, numpy_helper, parser

from edgecompress import models
from edgecompress.compress import dynamic_int8, static_int8
from edgecompress.core.errors import ConfigError, ModelError
from edgecompress.core.recipe import Option
from edgecompress.core.values import AppliedStep, Context, Data, Model, Samples

HEADER = '<ir_version: 8, opset_import: ["": 17]>\n'
CONV_RELU_POOL = """
    g (float[N,6,6,3] x) => (float[N,5] y) <int64[2] flat = {1, 36}>
    {
        t = Transpose <perm = [0, 3, 1, 2]> (x)
        c = Conv <pads = [1, 1, 1, 1]> (t, w, b)
        r = Relu(c)
        p = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (r)
        f = Reshape(p, flat)
        m = MatMul(f, v)
        a = Add(m, d)
        y = Softmax(a)
    }
"""


def load(path: Path, text: str, **constants: np.ndarray) -> Model:
    proto = parser.parse_model(HEADER + text)
    proto.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    path.write_bytes(proto.SerializeToString())
    return models.load(path)


@pytest.fixture
def network(tmp_path: Path) -> Model:
    draw = np.random.default_rng(0)
    shapes = {"w": (4, 3, 3, 3), "b": (4,), "v": (36, 5), "d": (5,)}
    constants = {name: draw.normal(size=shape, scale=0.2).astype(np.float32) for name, shape in shapes.items()}
    return load(tmp_path / "net.onnx", CONV_RELU_POOL, **constants)


def samples(model: Model, count: int = 12) -> Samples:
    draw = np.random.default_rng(1)
    return Samples(
        inputs={spec.name: draw.normal(size=(count, *spec.shape[1:])).astype(np.float32) for spec in model.inputs}
    )


def quantize(model: Model, **options: Option) -> Model:
    used = samples(model)
    context = Context(data=Data(calibration=used, evaluation=used), where="a.toml: step 1")
    return static_int8.apply(model, options, context)


def outputs(model: Model, used: Samples) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.graph.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = [{name: array[i : i + 1] for name, array in used.inputs.items()} for i in range(used.count)]
    return [session.run(None, feed)[0] for feed in feeds]


def operators(proto: ModelProto) -> list[str]:
    return [node.op_type for node in proto.graph.node if node.op_type != "DequantizeLinear"]


def parameters(proto: ModelProto, tensor: str) -> tuple[float, int]:
    """Scale and zero point with which `tensor` is quantized."""
    node = next(node for node in proto.graph.node if node.op_type == "QuantizeLinear" and node.input[0] == tensor)
    constants = {constant.name: numpy_helper.to_array(constant) for constant in proto.graph.initializer}
    return float(constants[node.input[1]]), int(constants[node.input[2]])


def made_by(proto: ModelProto, op_type: str) -> str:
    return str(next(node for node in proto.graph.node if node.op_type == op_type).output[0])


def test_nothing_between_the_input_and_the_output_stays_in_floating_point(network: Model) -> None:
    graph = quantize(network).graph

    assert operators(graph) == [
        *("QuantizeLinear", "Transpose", "Conv", "QuantizeLinear", "AveragePool", "QuantizeLinear", "Reshape"),
        *("Gemm", "QuantizeLinear", "Softmax", "QuantizeLinear"),
    ]
    assert not any(constant.data_type == onnx.TensorProto.FLOAT and constant.dims for constant in weights(graph))


def weights(proto: ModelProto) -> list[onnx.TensorProto]:
    quantizers = {"QuantizeLinear", "DequantizeLinear"}
    scales = {name for node in proto.graph.node if node.op_type in quantizers for name in node.input[1:]}
    return [constant for constant in proto.graph.initializer if constant.name not in scales]


def test_weights_are_symmetric_per_channel_and_biases_have_the_product_of_the_scales(network: Model) -> None:
    graph = quantize(network).graph
    constants = {constant.name: numpy_helper.to_array(constant) for constant in graph.graph.initializer}
    makers = {name: node for node in graph.graph.node for name in node.output}

    for op_type in ("Conv", "Gemm"):
        node = next(node for node in graph.graph.node if node.op_type == op_type)
        data, weight, bias = ([constants.get(name) for name in makers[name].input] for name in node.input)

        assert weight[0].dtype == np.int8
        assert weight[1].shape == (weight[0].shape[0],)
        assert not weight[2].any()
        assert bias[0].dtype == np.int32
        assert not bias[2].any()
        np.testing.assert_allclose(bias[1], data[1] * weight[1], rtol=1e-6)


def test_softmax_has_the_scale_that_tflite_fixes(network: Model) -> None:
    graph = quantize(network).graph

    assert parameters(graph, made_by(graph, "Softmax")) == (1 / 256, -128)


@pytest.mark.parametrize("ranges", ["minmax", "percentile", "entropy", "mse"])
def test_pooling_keeps_the_scale_of_its_input(network: Model, ranges: str) -> None:
    graph = quantize(network, ranges=ranges).graph

    assert parameters(graph, made_by(graph, "AveragePool")) == parameters(graph, made_by(graph, "Conv"))


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("ranges", ["minmax", "percentile", "entropy", "mse"])
def test_the_int8_network_computes_about_the_same(network: Model, ranges: str, symmetric: bool) -> None:
    used = samples(network)

    int8 = outputs(quantize(network, ranges=ranges, symmetric=symmetric), used)

    for found, wanted in zip(int8, outputs(network, used), strict=True):
        assert np.abs(found - wanted).max() < 0.03


def test_symmetric_activations_have_no_zero_point_and_relu_follows_its_operator(network: Model) -> None:
    graph = quantize(network, symmetric=True).graph

    assert parameters(graph, made_by(graph, "Relu"))[1] == 0
    assert operators(graph)[2:5] == ["Conv", "Relu", "QuantizeLinear"]


def test_one_scale_a_tensor_when_per_channel_is_off(network: Model) -> None:
    graph = quantize(network, per_channel=False).graph

    scales = [tensor for tensor in graph.graph.initializer if tensor.name.endswith("_scale")]
    assert {numpy_helper.to_array(scale).size for scale in scales} == {1}


def test_the_step_is_recorded_with_every_option(network: Model) -> None:
    assert quantize(network, ranges="mse").steps == (
        AppliedStep(
            method="static_int8",
            options={
                "ranges": "mse",
                "percentile": 99.99,
                "per_channel": True,
                "symmetric": False,
                "weight_bits": 8,
                "correct_bias": False,
            },
        ),
    )


def test_the_same_samples_give_the_same_network_and_the_float_one_is_left_alone(network: Model) -> None:
    before = network.graph.SerializeToString(deterministic=True)

    first, second = quantize(network, ranges="mse"), quantize(network, ranges="mse")

    assert first == second
    assert network.graph.SerializeToString(deterministic=True) == before


def test_nothing_is_printed_and_progress_is_told(network: Model, capfd: pytest.CaptureFixture[str]) -> None:
    told: list[tuple[str, int, int]] = []
    used = samples(network, count=2)
    context = Context(data=Data(calibration=used, evaluation=used), progress=lambda *step: told.append(step))

    static_int8.apply(network, {}, context)

    assert capfd.readouterr() == ("", "")
    assert told == [
        *(("calibrate: extremes", 1, 2), ("calibrate: extremes", 2, 2)),
        *(("calibrate: histograms", 1, 2), ("calibrate: histograms", 2, 2)),
        *(("quantize", 0, 1), ("quantize", 1, 1)),
    ]


def test_an_output_that_another_layer_reads_stays_an_output(tmp_path: Path) -> None:
    model = load(
        tmp_path / "net.onnx",
        "g (float[N,3] x) => (float[N,3] y, float[3,N] z) { y = Relu(x) z = Transpose <perm = [0, 1]> (y) }".replace(
            "float[3,N]", "float[N,3]"
        ),
    )

    onnx.checker.check_model(quantize(model).graph, full_check=True)


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"rangs": "mse"}, "a.toml: step 1: unknown key 'rangs'", "did you mean 'ranges'?"),
        (
            {"ranges": "best"},
            "a.toml: step 1: 'ranges': Input should be 'minmax', 'percentile', 'entropy' or 'mse' (got 'best')",
            None,
        ),
        ({"percentile": 20}, "a.toml: step 1: 'percentile': Input should be greater than 50 (got 20)", None),
        ({"symmetric": "yes"}, "a.toml: step 1: 'symmetric': Input should be a valid boolean (got 'yes')", None),
    ],
)
def test_wrong_options_are_refused(
    network: Model, options: Mapping[str, Option], message: str, hint: str | None
) -> None:
    with pytest.raises(ConfigError) as caught:
        quantize(network, **options)

    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_a_network_that_is_quantized_already_is_refused(network: Model) -> None:
    with pytest.raises(ModelError) as caught:
        quantize(quantize(network))

    assert caught.value.message == "net is already quantized"
    assert caught.value.hint == "take the step static_int8 out of the recipe"


def test_a_network_that_is_quantized_while_it_runs_is_refused(network: Model) -> None:
    with pytest.raises(ModelError) as caught:
        quantize(dynamic_int8.apply(network, {}, Context()))

    assert caught.value.message == "net is already quantized while it runs (dynamic_int8)"
    assert caught.value.hint == "take one of the two steps out of the recipe"


def test_no_data_is_refused(network: Model) -> None:
    with pytest.raises(ConfigError) as caught:
        static_int8.apply(network, {}, Context())

    assert caught.value.message == "static_int8 needs samples to calibrate net with"
    assert caught.value.hint == "add a [data] table to the recipe"


def test_a_network_that_computes_infinity_is_refused(tmp_path: Path) -> None:
    model = load(
        tmp_path / "net.onnx",
        "g (float[N,3] x) => (float[N,3] y) { a = Div(x, k) y = Relu(a) }",
        k=np.zeros(1, np.float32),
    )

    with pytest.raises(ModelError) as caught:
        quantize(model)

    assert caught.value.message == "the network computes NaN or infinity in 'a' on calibration sample 0"


def test_what_onnxruntime_cannot_run_is_a_model_error(network: Model) -> None:
    broken = ModelProto()
    broken.CopyFrom(network.graph)
    broken.graph.node[0].input[0] = "nothing"

    with pytest.raises(ModelError) as caught:
        quantize(Model(name="net", graph=broken, inputs=network.inputs, outputs=network.outputs))

    assert caught.value.message.startswith("onnxruntime cannot quantize net: ")
    assert caught.value.hint == "check that onnxruntime runs the network at all"
