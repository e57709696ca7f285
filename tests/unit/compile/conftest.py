"""A program of two layers, small enough to read: (2 x + 1), then a reversal through a workspace."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompress.compile.program import Call, CKernel, Program, Tensor
from edgecompress.core.values import TensorSpec


@pytest.fixture
def two_layers() -> Program:
    """A program without PrimFuncs: its kernels are those of `two_kernels`."""
    return Program(
        name="two layers",
        inputs=(TensorSpec(name="x", shape=(1, 16), dtype="int8", scale=0.5, zero_point=-3),),
        outputs=(TensorSpec(name="y", shape=(1, 16), dtype="int8", scale=0.25, zero_point=4),),
        tensors={"middle": Tensor(name="middle", shape=(1, 16), dtype="int8")},
        constants={"factors": np.full(16, 2, np.int32), "unused": np.zeros(9, np.int8)},
        calls=(
            Call(
                name="affine",
                op="dense",
                kernel="affine",
                arguments=("x", "factors"),
                output="middle",
                scalars=(1,),
                onnx_nodes=("Gemm_0", "Relu_1"),
                macs=16,
            ),
            Call(name="turn", op="reverse", kernel="turn", arguments=("middle",), output="y", onnx_nodes=("Slice_2",)),
        ),
        kernels={},
    )


@pytest.fixture
def two_kernels() -> dict[str, CKernel]:
    """The kernels of `two_layers` as C."""
    affine = """\
KERNEL void affine(const int8_t *restrict x, const int32_t *restrict w, int8_t *restrict y,
    int32_t plus) {
  for (int32_t i = 0; i < 16; ++i) {
    y[i] = (int8_t)(x[i] * w[i] + plus);
  }
}
"""
    turn = """\
KERNEL void turn(const int8_t *restrict x, int8_t *restrict y, int8_t *restrict copy) {
  memcpy(copy, x, 16);
  for (int32_t i = 0; i < 16; ++i) {
    y[i] = copy[15 - i];
  }
}
"""
    return {
        "affine": CKernel(name="affine", source=affine, workspaces=()),
        "turn": CKernel(name="turn", source=turn, workspaces=(16,)),
    }
