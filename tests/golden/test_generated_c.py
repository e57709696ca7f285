"""The C of one small program, as a person will read it: a dense layer with requantisation, then a float epilogue."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tvm.script import tirx as T  # noqa: N812

from edgecompress.compile import emit_c, emit_network, emit_weights, lowering
from edgecompress.compile.program import Call, Program, Tensor
from edgecompress.core.values import TensorSpec


@T.prim_func(s_tir=True, private=True)
def dense_int8(
    x: T.Buffer((8,), "int8"),
    weights: T.Buffer((4, 8), "int8"),
    bias: T.Buffer((4,), "int32"),
    out: T.Buffer((4,), "int8"),
    multiplier: T.int32,
    zero_point: T.int32,
):
    sums = T.sblock_alloc_buffer((4,), "int32")
    for i, k in T.grid(4, 8):
        with T.sblock("sums"):
            row, column = T.axis.remap("SR", [i, k])
            with T.init():
                sums[row] = bias[row]
            sums[row] = sums[row] + T.Cast("int32", x[column]) * T.Cast("int32", weights[row, column])
    for i in range(4):
        with T.sblock("out"):
            row = T.axis.spatial(4, i)
            product = T.meta_var(T.Cast("int64", sums[row]) * T.Cast("int64", multiplier) + T.int64(1 << 30))
            shifted = T.meta_var(T.Cast("int32", T.shift_right(product, T.int64(31))) + zero_point)
            out[row] = T.Cast("int8", T.max(T.min(shifted, 127), -128))


@T.prim_func(s_tir=True, private=True)
def dequantize(x: T.Buffer((4,), "int8"), out: T.Buffer((4,), "float32")):
    for i in range(4):
        with T.sblock("out"):
            v = T.axis.spatial(4, i)
            out[v] = T.Cast("float32", T.Cast("int32", x[v]) - 3) * T.float32(0.0123456789)


@pytest.fixture
def program() -> Program:
    weights = np.arange(-16, 16, dtype=np.int8).reshape(4, 8)
    return Program(
        name="golden",
        inputs=(TensorSpec(name="features", shape=(1, 8), dtype="int8", scale=0.05, zero_point=-1),),
        outputs=(TensorSpec(name="scores", shape=(1, 4), dtype="float32"),),
        tensors={"logits": Tensor(name="logits", shape=(1, 4), dtype="int8")},
        constants={"fc/weights": weights, "fc/bias": np.array([100, -200, 300, -400], np.int32)},
        calls=(
            Call(
                name="fc",
                op="dense",
                kernel="dense_int8",
                arguments=("features", "fc/weights", "fc/bias"),
                output="logits",
                scalars=(1 << 28, 3),
                onnx_nodes=("Gemm_4",),
                macs=32,
            ),
            Call(
                name="out",
                op="dequantize",
                kernel="dequantize",
                arguments=("logits",),
                output="scores",
                onnx_nodes=("DequantizeLinear_9",),
            ),
        ),
        kernels={"dense_int8": dense_int8, "dequantize": dequantize},
    )


def test_the_generated_c_is_the_one_that_was_read(program: Program, golden: Callable[[str, str], None]) -> None:
    lowered = lowering.lower_and_plan(program)
    sources = emit_c.model_sources(program, lowered.kernels, lowered.arena)
    sources |= emit_weights.weights_sources(program)
    sources["network.c"] = emit_network.network_source(program, "board", bytes(range(16)))

    for name, text in sources.items():
        golden(f"generated_c/{name}", text)
