"""Networks with vector kernels: what is fused, what is transposed, and ONNX Runtime's results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecompress import compile as compiler
from edgecompress import models
from edgecompress.compile import graph
from edgecompress.compile.program import Program
from edgecompress.core import target as targets
from edgecompress.core.values import Array, Model

TARGET = "rpi4"
TOLERANCE = 1e-5
EXAMPLES = Path(__file__).parents[2] / "examples" / "mlperf_tiny"


def real(*shape: int) -> Array:
    return (np.random.default_rng(sum(shape)).standard_normal(shape) * 0.3).astype(np.float32)


def node(kind: str, inputs: str, output: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), output.split(), name=output, **attributes)


def network(folder: Path, *nodes: onnx.NodeProto, x: tuple[int, ...] = (1, 6, 9, 10), **constants: Array) -> Model:
    read = {name for each in nodes for name in each.input}
    results = [name for each in nodes for name in each.output if name not in read]
    proto = helper.make_model(
        helper.make_graph(
            list(nodes),
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in results],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    onnx.save(onnx.shape_inference.infer_shapes(proto), folder / "net.onnx")
    return models.load(folder / "net.onnx")


def operators(program: Program) -> list[str]:
    return [call.op for call in program.calls]


def residual_block(folder: Path) -> Model:
    """A shortcut around a normalised depthwise convolution, between two convolutions; outputs in two places."""
    return network(
        folder,
        node("Conv", "x w b", "c", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Clip", "c zero six", "r"),
        node("Conv", "r d", "e", group=8, pads=[1, 1, 1, 1]),
        node("BatchNormalization", "e s t m v", "n"),
        node("Add", "n r", "a"),
        node("Relu", "a", "f"),
        node("MaxPool", "f", "p", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("HardSwish", "p", "h"),
        node("Conv", "h u", "y"),
        node("GlobalAveragePool", "h", "g"),
        node("Flatten", "g", "l"),
        node("Gemm", "l q k", "z", transB=1),
        w=real(8, 6, 3, 3),
        b=real(8),
        d=real(8, 1, 3, 3),
        s=np.abs(real(8)) + 1,
        t=real(8),
        m=real(8),
        v=np.abs(real(8)) + 1,
        u=real(5, 8, 1, 1),
        q=real(7, 8),
        k=real(7),
        zero=np.array(0, np.float32),
        six=np.array(6, np.float32),
    )


def attention(folder: Path, positions: int = 12) -> Model:
    """Scores of positions, their softmax, what they weigh, and its normalisation."""
    return network(
        folder,
        node("MatMul", "x w", "q"),
        node("Transpose", "q", "t", perm=[0, 2, 1]),
        node("MatMul", "q t", "s"),
        node("Softmax", "s", "a"),
        node("MatMul", "a x", "v"),
        node("LayerNormalization", "v g b", "y", axis=-1, epsilon=1e-3),
        x=(1, positions, 16),
        w=real(16, 16),
        g=real(16),
        b=real(16),
    )


def heads(folder: Path) -> Model:
    """Masked attention of three heads, all out of one product, with scaled queries and keys; more keys than a block."""
    return network(
        folder,
        node("MatMul", "x w", "p"),
        node("Split", "p", "q k v", axis=2),
        node("Reshape", "q shape", "qh"),
        node("Reshape", "k shape", "kh"),
        node("Reshape", "v shape", "vh"),
        node("Transpose", "qh", "qu", perm=[0, 2, 1, 3]),
        node("Transpose", "kh", "ku", perm=[0, 2, 3, 1]),
        node("Mul", "qu half", "qt"),
        node("Mul", "ku half", "kt"),
        node("Transpose", "vh", "vt", perm=[0, 2, 1, 3]),
        node("MatMul", "qt kt", "s"),
        node("Add", "s mask", "h"),
        node("Softmax", "h", "a", axis=-1),
        node("MatMul", "a vt", "o"),
        node("Transpose", "o", "t", perm=[0, 2, 1, 3]),
        node("Reshape", "t flat", "y"),
        x=(1, 300, 16),
        w=real(16, 72) * 4,
        shape=np.array([1, 300, 3, 8]),
        flat=np.array([1, 300, 24]),
        half=np.array(0.5, np.float32),
        mask=real(1, 1, 1, 300) * 9,
    )


@pytest.mark.parametrize("make", [residual_block, attention, heads])
def test_a_network_agrees_with_onnxruntime(make: Callable[[Path], Model], tmp_path: Path) -> None:
    model = make(tmp_path)
    bundle = compiler.build(model, targets.load(TARGET), tmp_path / "bundle")
    inputs = {spec.name: np.load(bundle.folder / f"vectors/inputs_{n}.npy") for n, spec in enumerate(model.inputs)}
    session = onnxruntime.InferenceSession(model.graph.SerializeToString())

    for sample in range(2):
        expected = session.run(None, {name: values[sample : sample + 1] for name, values in inputs.items()})
        for number, wanted in enumerate(expected):
            output = np.load(bundle.folder / f"vectors/outputs_{number}.npy")[sample : sample + 1]
            scale = np.abs(wanted).max()
            np.testing.assert_allclose(output / scale, wanted / scale, rtol=0, atol=TOLERANCE)


def test_what_follows_a_convolution_number_by_number_is_part_of_it(tmp_path: Path) -> None:
    program = graph.to_program(residual_block(tmp_path), targets.load(TARGET))

    assert operators(program) == [
        "conv2d",
        "depthwise_conv2d",
        "max_pool2d",
        "elementwise",
        "conv2d",
        "average_pool2d",
        "dense",
        "transpose",
    ]


@pytest.mark.parametrize("positions", [12, 10])
def test_attention_is_one_kernel_and_reads_through_transposes(positions: int, tmp_path: Path) -> None:
    program = graph.to_program(attention(tmp_path, positions), targets.load(TARGET))

    assert operators(program) == ["dense", "attention", "layer_norm"]


def test_attention_reads_through_heads_and_factors(tmp_path: Path) -> None:
    program = graph.to_program(heads(tmp_path), targets.load(TARGET))

    assert operators(program) == ["dense", "attention"]


@pytest.mark.parametrize(("positions", "product"), [(12, "dense"), (10, "matmul")])
def test_a_product_whose_rows_are_no_whole_vectors_takes_the_general_way(
    positions: int, product: str, tmp_path: Path
) -> None:
    model = network(
        tmp_path,
        node("Transpose", "x", "t", perm=[0, 2, 1]),
        node("MatMul", "x t", "y"),
        x=(1, positions, 16),
    )
    program = graph.to_program(model, targets.load(TARGET))

    assert operators(program) == ["transpose", product]


def test_resnet8_takes_a_kernel_a_layer_and_no_transposition() -> None:
    program = graph.to_program(models.load(EXAMPLES / "ic_resnet8_fp32.onnx"), targets.load(TARGET))

    convolutions = [name.removeprefix("winograd2_") for name in operators(program)[:9]]
    assert [*convolutions, *operators(program)[9:]] == ["conv2d"] * 9 + ["average_pool2d", "dense", "softmax"]
    assert program.calls[2].onnx_nodes[-2:] == ("model/activation_2/Relu;model/add/add", "Relu__12")
