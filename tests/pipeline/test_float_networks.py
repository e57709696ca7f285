"""Float networks as C on this machine, against ONNX Runtime: whole networks, and every operator of operators.FLOAT."""

from __future__ import annotations

import ctypes
import math
import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecompress import compile as compiler
from edgecompress import models
from edgecompress.compile import c_math, c_text, emit_c, emit_weights, graph, link, lowering, operators
from edgecompress.compile.program import Program
from edgecompress.core import target as targets
from edgecompress.core.values import Array, Model
from edgecompress.deploy import qemu

EXAMPLES = Path(__file__).parents[2] / "examples" / "mlperf_tiny"
FLOAT_NETWORKS = ("ad_autoencoder", "ic_resnet8", "kws_dscnn", "sww_stream", "vww_mobilenetv1_025")
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wvla", "-Werror")
TOLERANCE = 1e-5
"""Largest difference to ONNX Runtime, as a part of the output's largest number: sums are taken in another order."""

RANDOM = np.random.default_rng(7)


def compile_library(sources: dict[str, str], folder: Path) -> ctypes.CDLL:
    for name, text in sources.items():
        (folder / name).write_text(text)
    files = [str(folder / name) for name in sources if name.endswith(".c")]
    library = folder / "library.so"
    command = ["gcc", *link.COMMON_FLAGS, "-O2", *WARNINGS, "-shared", "-fPIC", "-o", str(library), *files, "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(library))


def run_as_c(program: Program, inputs: dict[str, Array], folder: Path) -> list[Array]:
    lowered = lowering.lower_and_plan(program)
    sources = emit_c.model_sources(program, lowered.kernels, lowered.arena) | emit_weights.weights_sources(program)
    library = compile_library(sources, folder)
    arena = np.frombuffer((ctypes.c_uint8 * lowered.arena.bytes).in_dll(library, "model_arena"), np.uint8)
    offsets = {placement.name: placement.offset for placement in lowered.arena.placements}
    for spec in program.inputs:
        arena[offsets[spec.name] :][: spec.byte_size] = inputs[spec.name].reshape(-1).view(np.uint8)
    library.model_run()
    return [
        arena[offsets[spec.name] :][: spec.byte_size].view(spec.dtype).reshape(spec.shape) for spec in program.outputs
    ]


def assert_same_as_onnxruntime(model: Model, inputs: dict[str, Array], folder: Path) -> None:
    outputs = run_as_c(graph.to_program(model, targets.load("host")), inputs, folder)
    expected = onnxruntime.InferenceSession(model.graph.SerializeToString()).run(None, inputs)
    for spec, output, wanted in zip(model.outputs, outputs, expected, strict=True):
        scale = max(float(np.abs(wanted).max()), 1e-9)
        np.testing.assert_allclose(output / scale, wanted / scale, rtol=0, atol=TOLERANCE, err_msg=spec.name)


@pytest.mark.parametrize("name", FLOAT_NETWORKS)
def test_a_float_network_as_c_agrees_with_onnxruntime(name: str, tmp_path: Path) -> None:
    model = models.load(EXAMPLES / f"{name}_fp32.onnx")
    inputs = {spec.name: RANDOM.random(spec.shape, np.float32) for spec in model.inputs}

    assert_same_as_onnxruntime(model, inputs, tmp_path)


@pytest.mark.parametrize(("name", "calls", "kernels"), [("ic_resnet8", 12, 12), ("kws_dscnn", 12, 6)])
def test_a_float_network_has_as_many_calls_as_layers_that_compute(name: str, calls: int, kernels: int) -> None:
    program = graph.to_program(models.load(EXAMPLES / f"{name}_fp32.onnx"), targets.load("host"))

    assert (len(program.calls), len(program.kernels)) == (calls, kernels)


@pytest.mark.parametrize("core", ["mps2-an385", "mps2-an386"])
def test_cores_with_and_without_a_float_unit_compute_the_bytes_of_this_machine(core: str, tmp_path: Path) -> None:
    target = targets.load(core)
    bundle = compiler.build(models.load(EXAMPLES / "sww_stream_fp32.onnx"), target, tmp_path / "bundle")

    with qemu.connect(target, None) as device:
        device.install(bundle)  # raises TransferError unless the board gives the test vectors byte for byte


IMAGE = (1, 6, 7, 8)
SEQUENCE = (1, 6, 20)
VECTOR = (1, 12)


def node(kind: str, inputs: str = "x", outputs: str = "y", **attributes: object) -> onnx.NodeProto:
    """A node; its inputs and outputs as words, `-` for one that is left out."""
    return helper.make_node(kind, inputs.replace("-", "").split(" "), outputs.split(" "), **attributes)


def network(
    *nodes: onnx.NodeProto,
    x: tuple[int, ...] = IMAGE,
    opset: int = 17,
    element: int = TensorProto.FLOAT,
    **constants: Array,
) -> onnx.ModelProto:
    """A network from `x` to everything that no node reads."""
    read = {name for each in nodes for name in each.input}
    results = [name for each in nodes for name in each.output if name not in read]
    proto = helper.make_model(
        helper.make_graph(
            list(nodes),
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
            [helper.make_tensor_value_info(name, element, None) for name in results],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=9,
    )
    proto = onnx.shape_inference.infer_shapes(proto)
    for result in proto.graph.output:  # functions are not inferred: they keep the shape
        if not result.type.tensor_type.HasField("shape"):
            result.type.CopyFrom(proto.graph.input[0].type)
    return proto


def real(*shape: int) -> Array:
    return (np.random.default_rng(sum(shape)).standard_normal(shape) * 0.3).astype(np.float32)


def positive(*shape: int) -> Array:
    return np.abs(real(*shape)) + np.float32(0.5)


def whole(*values: int) -> Array:
    return np.array(values, np.int64)


def scalar(value: float) -> Array:
    return np.array(value, np.float32)


def chain(*kinds: str, x: tuple[int, ...] = IMAGE, **attributes: object) -> onnx.ModelProto:
    """Nodes in a row; the last has the attributes."""
    names = ["x", *(f"v{number}" for number in range(1, len(kinds))), "y"]
    last = len(kinds) - 1
    nodes = [
        node(kind, names[number], names[number + 1], **(attributes if number == last else {}))
        for number, kind in enumerate(kinds)
    ]
    return network(*nodes, x=x)


def with_constants(
    kind: str, x: tuple[int, ...] = IMAGE, attributes: dict[str, object] | None = None, **constants: Array
) -> onnx.ModelProto:
    """One node that reads x, then the constants; `none_` stands for one that is left out."""
    inputs = " ".join("-" if name == "none_" else name for name in ["x", *constants])
    kept = {name: value for name, value in constants.items() if name != "none_"}
    return network(node(kind, inputs, **(attributes or {})), x=x, **kept)


def convolution(*shape: int, x: tuple[int, ...] = IMAGE, **attributes: object) -> onnx.ModelProto:
    return network(node("Conv", "x w b", **attributes), x=x, w=real(*shape), b=real(shape[0]))


def chosen(*comparisons: onnx.NodeProto) -> onnx.ModelProto:
    """x where the comparison `b` holds, and c elsewhere."""
    return network(*comparisons, node("Where", "b x c"), c=scalar(0.1), d=scalar(0.3))


def logic(kind: str) -> onnx.ModelProto:
    return chosen(node("Greater", "x c", "p"), node("Less", "x d", "q"), node(kind, "p q", "b"))


PLAIN = (
    "Abs Ceil Dropout Elu Erf Exp Flatten Floor GlobalAveragePool GlobalLpPool GlobalMaxPool HardSigmoid HardSwish "
    "Hardmax Identity LeakyRelu LogSoftmax Neg Reciprocal Relu Round Selu Shrink Sigmoid Sign Softmax Softplus "
    "Softsign Tanh ThresholdedRelu"
)
BINARY = "Add Div Max Mean Min Mul Sub Sum"
REDUCTIONS = "L1 L2 LogSum LogSumExp Max Mean Min Prod SumSquare"
DOUBLED = np.array([1, 1, 2, 2], np.float32)

CASES: dict[str, onnx.ModelProto] = {
    **{kind: chain(kind) for kind in PLAIN.split()},
    **{kind: chain("Abs", kind) for kind in ("Log", "Sqrt")},
    **{kind: with_constants(kind, c=positive(1, 6, 1, 1)) for kind in BINARY.split()},
    **{f"Reduce{kind}": chain("Abs", f"Reduce{kind}", axes=[1, 2], keepdims=0) for kind in REDUCTIONS.split()},
    **{f"ReduceMean {axes}": chain("ReduceMean", axes=axes) for axes in ([2, 3], [-1])},
    **{kind: logic(kind) for kind in ("And", "Or", "Xor")},
    **{kind: chosen(node(kind, "x c", "b")) for kind in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")},
    "Not": chosen(node("Less", "x c", "p"), node("Not", "p", "b")),
    "Where": chosen(node("Greater", "x d", "b")),
    **{
        f"Pow {power:g}": network(node("Abs", "x", "a"), node("Pow", "a p"), p=scalar(power))
        for power in operators.POWERS
    },
    "ArgMax": network(node("ArgMax", axis=1), element=TensorProto.INT64),
    "ArgMin": network(node("ArgMin", axis=1), element=TensorProto.INT64),
    "AveragePool": chain("AveragePool", kernel_shape=[2, 2], strides=[2, 2]),
    "AveragePool padded": chain("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "AveragePool 1-D": chain("AveragePool", x=SEQUENCE, kernel_shape=[3], count_include_pad=1, pads=[1, 1]),
    "BatchNormalization": with_constants("BatchNormalization", s=real(6), t=real(6), m=real(6), v=positive(6)),
    "Cast": network(node("Greater", "x c", "b"), node("Cast", "b", to=TensorProto.FLOAT), c=scalar(0.1)),
    "Clip": with_constants("Clip", low=scalar(0), high=scalar(0.4)),
    "Clip above": with_constants("Clip", none_=scalar(0), high=scalar(0.4)),
    "Concat": network(node("Sigmoid", "x", "a"), node("Exp", "x", "b"), node("Concat", "a b x", axis=1)),
    "Constant": network(helper.make_node("Constant", [], ["c"], value_float=0.5), node("Add", "x c")),
    "Conv": convolution(8, 6, 3, 3, pads=[1, 1, 1, 1]),
    "Conv strided": convolution(5, 6, 3, 3, pads=[1, 0, 0, 1], strides=[2, 2]),
    "Conv in groups": convolution(8, 3, 3, 3, group=2),
    "Conv dilated": convolution(8, 6, 3, 3, dilations=[2, 2], pads=[2, 2, 2, 2]),
    "Conv depthwise": convolution(6, 1, 3, 3, group=6, pads=[1, 1, 1, 1]),
    "Conv depthwise, two each": convolution(12, 1, 3, 3, group=6, pads=[1, 1, 1, 1]),
    "Conv 1x1": convolution(16, 6, 1, 1),
    "Conv padded by itself": convolution(8, 6, 3, 3, auto_pad="SAME_UPPER", strides=[2, 2]),
    "Conv 1-D": convolution(8, 6, 3, x=SEQUENCE, pads=[1, 1], strides=[2]),
    "Conv 3-D": network(
        node("Reshape", "x in", "v"),
        node("Conv", "v w b", "s", pads=[1, 1, 1, 1, 1, 1]),
        node("Reshape", "s out"),
        x=(1, 12, 5, 6),
        w=real(4, 3, 3, 3, 3),
        b=real(4),
        **{"in": whole(1, 3, 4, 5, 6), "out": whole(1, 16, 5, 6)},
    ),
    "ConvTranspose": with_constants("ConvTranspose", attributes={"strides": [2, 2]}, w=real(6, 4, 3, 3), b=real(4)),
    "DepthToSpace": chain("DepthToSpace", x=(1, 8, 4, 5), blocksize=2),
    "Einsum": network(node("Einsum", "x x", equation="bij,bkj->bik"), x=SEQUENCE),
    "Expand": with_constants("Expand", x=(1, 6, 1), shape=whole(1, 6, 4)),
    "Gather": with_constants("Gather", attributes={"axis": 2}, indices=whole(0, -1, 2)),
    "Gather one": with_constants("Gather", attributes={"axis": 1}, index=np.array(3)),
    "GatherElements": with_constants(
        "GatherElements", x=VECTOR, attributes={"axis": 1}, i=whole(1, 0, 3).reshape(1, 3)
    ),
    "Gelu": network(node("Gelu"), opset=20),
    "Gemm": with_constants("Gemm", x=VECTOR, attributes={"transB": 1}, w=real(10, 12), b=real(10)),
    "Gemm scaled": with_constants("Gemm", x=VECTOR, attributes={"alpha": 0.5, "beta": 2.0}, w=real(12, 9), b=real(9)),
    "GroupNormalization": network(node("GroupNormalization", "x s t", num_groups=2), opset=21, s=real(6), t=real(6)),
    "InstanceNormalization": with_constants("InstanceNormalization", s=real(6), t=real(6)),
    "LayerNormalization": with_constants("LayerNormalization", x=SEQUENCE, s=real(20), t=real(20)),
    "LpPool": chain("LpPool", kernel_shape=[2, 2], strides=[2, 2]),
    "MatMul": with_constants("MatMul", x=(1, 5, 12), w=real(12, 9)),
    "MatMul of two inputs": network(
        node("Transpose", "x", "t", perm=[0, 2, 1]),
        node("MatMul", "x t", "s"),
        node("Softmax", "s", "a"),
        node("MatMul", "a x"),
        x=SEQUENCE,
    ),
    "MaxPool": chain("MaxPool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    "MaxPool padded": chain("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "MaxPool 1-D": chain("MaxPool", x=SEQUENCE, kernel_shape=[2], strides=[2]),
    "PRelu": with_constants("PRelu", slope=real(6, 1, 1)),
    **{
        f"Pad {mode}": with_constants("Pad", attributes={"mode": mode}, widths=whole(0, 0, 1, 2, 0, 0, 1, 0))
        for mode in ("constant", "reflect", "edge")
    },
    "RMSNormalization": network(node("RMSNormalization", "x s"), x=SEQUENCE, opset=23, s=real(20)),
    "ReduceSum": with_constants("ReduceSum", attributes={"keepdims": 0}, axes=whole(1)),
    "Reshape": with_constants("Reshape", shape=whole(1, -1)),
    "Resize nearest": with_constants("Resize", attributes={"mode": "nearest"}, none_=scalar(0), scales=DOUBLED),
    "Resize linear": with_constants("Resize", attributes={"mode": "linear"}, none_=scalar(0), scales=DOUBLED),
    "Slice": with_constants("Slice", a=whole(1), b=whole(5), c=whole(2)),
    "SpaceToDepth": chain("SpaceToDepth", x=(1, 3, 4, 6), blocksize=2),
    "Split": network(node("Split", "x s", "a b", axis=1), node("Mul", "a b"), s=whole(3, 3)),
    "Split at the end": network(node("Split", "x s", "y z", axis=1), s=whole(2, 4)),
    "Squeeze": with_constants("Squeeze", x=(1, 5, 1, 4), axes=whole(2)),
    "Tile": with_constants("Tile", x=VECTOR, repeats=whole(1, 3)),
    "Transpose": chain("Transpose", perm=[0, 2, 3, 1]),
    "Trilu": chain("Trilu", x=(1, 5, 5)),
    "Unsqueeze": with_constants("Unsqueeze", x=VECTOR, axes=whole(2)),
    "images with channels last": network(
        node("Transpose", "x", "t", perm=[0, 3, 1, 2]),
        node("Conv", "t w", "c", pads=[1, 1, 1, 1]),
        node("Transpose", "c", perm=[0, 2, 3, 1]),
        w=real(4, 8, 3, 3),
    ),
    "convolution, normalisation, gate": network(
        node("Conv", "x w", "c", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "c s t m v", "n"),
        node("Sigmoid", "n", "g"),
        node("Mul", "n g"),
        w=real(8, 6, 3, 3),
        s=real(8),
        t=real(8),
        m=real(8),
        v=positive(8),
    ),
    "squeeze and excite": network(
        node("GlobalAveragePool", "x", "p"),
        node("Conv", "p u", "a"),
        node("Relu", "a", "r"),
        node("Conv", "r w", "e"),
        node("HardSigmoid", "e", "g"),
        node("Mul", "x g"),
        u=real(3, 6, 1, 1),
        w=real(6, 3, 1, 1),
    ),
    "outputs that are inputs of others": network(
        node("Relu", "x", "y"), node("Exp", "y", "z"), node("Identity", "x", "same")
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_an_operator_as_c_agrees_with_onnxruntime(case: str, tmp_path: Path) -> None:
    path = tmp_path / "case.onnx"
    onnx.save(CASES[case], path)
    model = models.load(path)
    inputs = {"x": np.random.default_rng(1).standard_normal(model.inputs[0].shape).astype(np.float32)}

    assert_same_as_onnxruntime(model, inputs, tmp_path)


def test_every_operator_that_a_float_network_may_hold_is_compared() -> None:
    compared = {each.op_type for case in CASES.values() for each in case.graph.node}

    assert compared == operators.FLOAT


def units_apart(values: Array, exact: Array) -> float:
    """The largest distance in units in the last place of the exact value."""
    return float(np.max(np.abs(values.astype(np.float64) - exact) / np.spacing(np.abs(exact).astype(np.float32))))


REFERENCES = {
    "exp_float": (np.exp, -87.0, 88.7, 2.0),
    "log_float": (np.log, 1e-30, 1e30, 2.0),
    "tanh_float": (np.tanh, -10.0, 10.0, 3.0),
    "sigmoid_float": (lambda x: 1 / (1 + np.exp(-x)), -80.0, 80.0, 3.0),
}


def apply_in_c(name: str, values: Array, folder: Path) -> Array:
    functions = c_math.definitions(f"{name}(0)")
    source = (
        f"#include <stdint.h>\n#include <string.h>\n{c_text.inline_functions(functions)}{functions}"
        f"void apply(float *x, int32_t n);\n"
        f"void apply(float *x, int32_t n) {{ for (int32_t i = 0; i < n; ++i) x[i] = {name}(x[i]); }}\n"
    )
    result = values.astype(np.float32)
    compile_library({"apply.c": source}, folder).apply(result.ctypes.data_as(ctypes.c_void_p), len(result))
    return result


@pytest.mark.parametrize("name", REFERENCES)
def test_an_elementary_function_is_exact_to_a_few_units_in_the_last_place(name: str, tmp_path: Path) -> None:
    reference, low, high, limit = REFERENCES[name]
    spread = np.geomspace(low, high, 50_000) if low > 0 else np.linspace(low, high, 100_001)
    values = spread.astype(np.float32)

    assert units_apart(apply_in_c(name, values, tmp_path), reference(values.astype(np.float64))) <= limit


def test_the_error_function_is_exact_to_4e_7(tmp_path: Path) -> None:
    values = np.linspace(-6, 6, 20_001, dtype=np.float32)
    exact = np.array([math.erf(value) for value in values])

    assert np.abs(apply_in_c("erf_float", values, tmp_path) - exact).max() <= 4e-7


@pytest.mark.parametrize(
    ("name", "reference"),
    [("floor_float", np.floor), ("ceil_float", np.ceil), ("round_float", np.rint), ("trunc_float", np.trunc)],
)
def test_rounding_is_exact(name: str, reference: np.ufunc, tmp_path: Path) -> None:
    values = np.concatenate([np.arange(-4, 4.25, 0.25), [0.49999997, 8388607.5, -8388607.5, 3e9, -3e9]]).astype(
        np.float32
    )

    np.testing.assert_array_equal(apply_in_c(name, values, tmp_path), reference(values))
