"""compress/torch_graph, operator by operator: ONNX Runtime, torch and what is written again agree on noise.

`to_torch` and `to_onnx` compare with ONNX Runtime themselves, and raise when they are 1e-4 apart.
"""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from edgecompress.compress import torch_graph
from edgecompress.compress.torch_graph._import import RULES
from edgecompress.core.errors import ModelError
from edgecompress.core.values import Model, TensorSpec

CASES = {
    "Abs": "y = Abs(x)",
    "Add": "y = Add(x, v)",
    "AveragePool": "y = AveragePool <kernel_shape = [3, 2], strides = [2, 1], pads = [1, 0, 1, 0]> (x)",
    "BatchNormalization": "y = BatchNormalization <epsilon = 0.01> (x, v4, b4, b4, p4)",
    "Clip": "a = Clip(x, zero, six) b = Clip(a, , half) c = Clip(b, minus, half) y = Clip(c, zero)",
    "Concat": "a = Relu(x) y = Concat <axis = 1> (x, a, x)",
    "Conv": "y = Conv <strides = [2, 2], pads = [1, 0, 2, 1], dilations = [1, 2]> (x, w, b4)",
    "Conv, SAME_UPPER, groups": 'y = Conv <auto_pad = "SAME_UPPER", strides = [2, 2], group = 2> (x, wg)',
    "Conv, one axis": "a = Reshape(x, line) y = Conv <pads = [1, 1]> (a, w1, b4)",
    "Div": "a = Div(x, half) y = Div(half, a)",
    "Dropout": "a = Dropout(x) y = Relu(a)",
    "Elu": "y = Elu <alpha = 0.7> (x)",
    "Erf": "y = Erf(x)",
    "Exp": "y = Exp(x)",
    "Flatten": "y = Flatten(x)",
    "Gather": "a = Gather <axis = 1> (x, places) y = Gather <axis = 3> (a, place)",
    "Gelu": "y = Gelu(x)",
    "Gemm": "a = Flatten(x) y = Gemm <alpha = 0.5, beta = 2.0> (a, g, c5)",
    "Gemm, turned": "a = Flatten(x) y = Gemm <transB = 1> (a, gt, c5)",
    "GlobalAveragePool": "y = GlobalAveragePool(x)",
    "GlobalMaxPool": "y = GlobalMaxPool(x)",
    "GreaterOrEqual": "a = GreaterOrEqual(x, half) y = Where(a, x, minus)",
    "HardSigmoid": "a = HardSigmoid(x) y = HardSigmoid <alpha = 0.16666667, beta = 0.5> (a)",
    "HardSwish": "y = HardSwish(x)",
    "Identity": "a = Identity(x) y = Relu(a)",
    "LayerNormalization": "y = LayerNormalization <axis = -1> (x, p6, z6)",
    "LeakyRelu": "y = LeakyRelu <alpha = 0.2> (x)",
    "Log": "a = Abs(x) b = Add(a, half) y = Log(b)",
    "MatMul": "a = Transpose <perm = [0, 1, 3, 2]> (x) b = MatMul(x, a) y = MatMul(b, m)",
    "Max": "a = Max(x, half) b = Neg(x) y = Max(a, b)",
    "MaxPool": "a = MaxPool <kernel_shape = [3, 3], strides = [2, 2], pads = [0, 0, 1, 1]> (x)"
    " y = MaxPool <kernel_shape = [2, 2], ceil_mode = 1, strides = [2, 2]> (a)",
    "Min": "a = Min(x, half) b = Neg(x) y = Min(a, b)",
    "Mul": "y = Mul(x, half)",
    "Neg": "y = Neg(x)",
    "PRelu": "y = PRelu(x, v)",
    "Pad": "y = Pad(x, pads, half)",
    "Pow": "y = Pow(x, two)",
    "Reciprocal": "a = Exp(x) y = Reciprocal(a)",
    "ReduceMax": "y = ReduceMax <keepdims = 0> (x, last)",
    "ReduceMean": "y = ReduceMean(x, both)",
    "ReduceSum": "y = ReduceSum <keepdims = 0> (x, both)",
    "Relu": "y = Relu(x)",
    "Reshape": "y = Reshape(x, halves)",
    "Resize": 'a = Resize(x, , , larger) b = Resize(x, , twice) c = Resize <mode = "nearest", '
    'coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"> (b, , , larger) y = Add(a, c)',
    "Resize, linear": 'a = Resize <mode = "linear"> (x, , , larger) b = Resize <mode = "linear", '
    'coordinate_transformation_mode = "align_corners"> (x, , , larger) y = Sub(a, b)',
    "Resize, one axis": 'a = Reshape(x, line) y = Resize <mode = "linear"> (a, , , longer)',
    "Sigmoid": "y = Sigmoid(x)",
    "Slice": "y = Slice(x, from, to, both, every)",
    "Softmax": "y = Softmax <axis = 1> (x)",
    "Softplus": "y = Softplus(x)",
    "Split": "a, b = Split <axis = 1, num_outputs = 2> (x) c, d = Split <axis = 3> (b, uneven)"
    " y = Concat <axis = 3> (d, a)",
    "Sqrt": "a = Abs(x) y = Sqrt(a)",
    "Squeeze": "a = GlobalAveragePool(x) y = Squeeze(a, both)",
    "Sub": "y = Sub(half, x)",
    "Tanh": "y = Tanh(x)",
    "Transpose": "y = Transpose <perm = [0, 3, 1, 2]> (x)",
    "Unsqueeze": "y = Unsqueeze(x, last)",
    "Where": "a = GreaterOrEqual(x, v) b = Neg(x) y = Where(a, b, x)",
}
DRAW = np.random.default_rng(0)
CONSTANTS = {
    **{name: np.float32(value) for name, value in {"zero": 0, "half": 0.5, "six": 6, "minus": -0.5, "two": 2}.items()},
    **{
        name: DRAW.normal(size=shape).astype(np.float32)
        for name, shape in {
            "v": (4, 1, 1),
            "v4": (4,),
            "b4": (4,),
            "w": (4, 4, 3, 2),
            "wg": (4, 2, 3, 3),
            "w1": (4, 20, 3),
            "g": (120, 5),
            "gt": (5, 120),
            "c5": (5,),
            "m": (5, 7),
            "p6": (6,),
            "z6": (6,),
        }.items()
    },
    "p4": np.array([0.5, 1, 2, 3], np.float32),
    "twice": np.array([1, 1, 2, 2], np.float32),
    **{
        name: np.array(numbers, np.int64)
        for name, numbers in {
            "line": [1, 20, 6],
            "places": [3, 0],
            "place": 2,
            "pads": [0, 0, 1, 2, 0, 0, 0, 3],
            "last": [3],
            "both": [2, 3],
            "halves": [1, 2, 2, 30],
            "from": [1, -5],
            "to": [5, 6],
            "every": [2, 1],
            "uneven": [2, 4],
            "larger": [1, 4, 11, 14],
            "longer": [1, 20, 15],
            "smaller": [1, 4, 5, 3],
        }.items()
    },
}


def network(nodes: str, opset: int = 20) -> Model:
    """A network with the input x, (1, 4, 5, 6), the output y and the constants that its nodes read."""
    header = f'<ir_version: 9, opset_import: ["": {opset}]>\ng (float[1,4,5,6] x) => (float y) {{ {nodes} }}'
    proto = parser.parse_model(header)
    read = {name for node in proto.graph.node for name in node.input}
    proto.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in CONSTANTS.items() if name in read
    )
    del proto.graph.output[0].type.tensor_type.shape.dim[:]
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    proto = onnx.shape_inference.infer_shapes(proto, strict_mode=True)
    for position, node in enumerate(proto.graph.node):
        node.name = f"{node.op_type}_{position}"
    shape = tuple(dim.dim_value for dim in proto.graph.output[0].type.tensor_type.shape.dim)
    return Model(
        name="net",
        graph=proto,
        inputs=(TensorSpec(name="x", shape=(1, 4, 5, 6), dtype="float32"),),
        outputs=(TensorSpec(name="y", shape=shape, dtype="float32"),),
    )


@pytest.mark.parametrize("case", sorted(CASES))
def test_an_operator_computes_the_same_in_torch_and_written_again(case: str) -> None:
    model = network(CASES[case])

    written = torch_graph.to_onnx(torch_graph.to_torch(model), like=model)

    assert written.outputs == model.outputs
    onnx.checker.check_model(written.graph, full_check=True)


def test_every_operator_that_is_known_has_a_case() -> None:
    assert {case.partition(",")[0] for case in CASES} == set(RULES)


def test_an_operator_without_a_rule_is_named_with_all_that_have_one() -> None:
    with pytest.raises(ModelError) as caught:
        torch_graph.to_torch(network("a = Relu(x) y = Mish(a)"))

    assert caught.value.message == "net: Mish 'Mish_1' cannot be trained"
    assert caught.value.hint == f"known operators: {', '.join(sorted(RULES))}"


@pytest.mark.parametrize(
    ("nodes", "message", "hint"),
    [
        (
            "a = Relu(x) b = Flatten(a) c = Transpose(b) y = Gemm(b, c)",
            "net: Gemm 'Gemm_3' multiplies with a computed or turned matrix",
            "write it with MatMul and Transpose",
        ),
        (
            "y = AveragePool <kernel_shape = [2, 2], pads = [0, 0, 1, 1]> (x)",
            "net: AveragePool 'AveragePool_0' has the pads (0, 0, 1, 1)",
            "the same zeros on both sides can be trained",
        ),
        (
            'y = Pad <mode = "reflect"> (x, pads)',
            "net: Pad 'Pad_0' has the mode 'reflect' or cuts",
            "a constant border can be trained",
        ),
        (
            'y = Resize <mode = "cubic"> (x, , , larger)',
            "net: Resize 'Resize_0' resizes by cubic (half_pixel)",
            "nearest (asymmetric with floor, half_pixel) and linear (half_pixel, align_corners) can be trained",
        ),
        (
            "y = Resize(x, , , smaller)",
            "net: Resize 'Resize_0' resizes by nearest (half_pixel, round_prefer_floor)",
            "nearest (asymmetric with floor, half_pixel) and linear (half_pixel, align_corners) can be trained",
        ),
        ("a = Abs(x) y = Conv(x, a)", "net: Conv 'Conv_1' computes its input 1", "only constants can be trained there"),
    ],
)
def test_what_an_operator_may_not_do_is_said(nodes: str, message: str, hint: str) -> None:
    with pytest.raises(ModelError) as caught:
        torch_graph.to_torch(network(nodes))

    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_a_network_that_mixes_samples_is_refused() -> None:
    with pytest.raises(ModelError) as caught:
        torch_graph.to_torch(network("y = Softmax <axis = 0> (x)"))

    assert caught.value.message.startswith("net in torch: 'y' is 0.989 away from ONNX Runtime on noise")
