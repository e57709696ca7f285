"""Attention, softmax, normalisation, elementwise functions by vectors: exact references, equal bytes on all cores."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import vector_layers

from edgecompress.compile import c_text, c_vector_math, link
from edgecompress.compile.kernels import vector_attention, vector_core, vector_elementwise, vector_rows
from edgecompress.compile.kernels.vector_attention import Attention, Operand
from edgecompress.compile.kernels.vector_core import VectorCore
from edgecompress.compile.kernels.vector_elementwise import Elementwise, Quantize, Step
from edgecompress.compile.kernels.vector_rows import LayerNorm, Softmax
from edgecompress.compile.program import CKernel
from edgecompress.core import target as targets
from edgecompress.core.values import Array

TOLERANCE = 1e-5
EMULATORS = {
    "rpi4": ("qemu-aarch64-static", "-cpu", "cortex-a72"),
    "rpi2": ("qemu-arm-static", "-cpu", "cortex-a7"),
    "armv7": ("qemu-arm-static", "-cpu", "cortex-a9"),
    "x86-64-v3": ("qemu-x86_64-static", "-cpu", "Haswell"),
    "x86-64": ("qemu-x86_64-static", "-cpu", "Nehalem"),
}
READ_AND_WRITE = """\
static void *room(size_t bytes) { return malloc(bytes); }
static float *take(size_t count) {
  float *const to = malloc(count * 4u);
  if (to == NULL || fread(to, 4u, count, stdin) != count) exit(1);
  return to;
}
static void give(const void *from, size_t bytes) {
  if (fwrite(from, 1u, bytes, stdout) != bytes) exit(2);
}
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """How a kernel is written, its operands, and the exact result."""

    write: Callable[[str, VectorCore], CKernel]
    operands: tuple[Array, ...]
    exact: Array


def cases() -> list[Case]:
    random = np.random.default_rng(9)
    found = [softmax(random, 6, 48), softmax(random, 11, 16), layer_norm(random, 5, 64)]
    found += [
        attention(random, *extents) for extents in ((3, 19, 21, 12, 16), (2, 8, 700, 16, 32), (1, 5, 1100, 4, 48))
    ]
    return [*found, gelu(random, 2048), gelu(random, 1003), hard_swish(random), quantized(random)]


def real(random: np.random.Generator, *shape: int) -> Array:
    return random.standard_normal(shape).astype(np.float32)


def normalised(scores: Array) -> Array:
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def softmax(random: np.random.Generator, rows: int, length: int) -> Case:
    x, layer = real(random, rows, length) * 5, Softmax(rows=rows, length=length)
    return Case(
        write=lambda name, core: vector_rows.softmax(name, layer, core),
        operands=(x,),
        exact=normalised(x.astype(np.float64)),
    )


def layer_norm(random: np.random.Generator, rows: int, length: int) -> Case:
    x, gamma, beta = real(random, rows, length) + 3, real(random, length), real(random, length)
    layer = LayerNorm(rows=rows, length=length, epsilon=1e-5)
    away = x.astype(np.float64) - x.mean(-1, keepdims=True, dtype=np.float64)
    exact = away / np.sqrt((away**2).mean(-1, keepdims=True) + 1e-5) * gamma + beta
    return Case(
        write=lambda name, core: vector_rows.layer_norm(name, layer, core), operands=(x, gamma, beta), exact=exact
    )


def attention(
    random: np.random.Generator, heads: int, rows: int, keys: int, depth: int, outputs: int, *, masks: bool = False
) -> Case:
    """Queries, keys and values lie head beside head, as one product makes them; keys are up to five blocks.

    A mask hides the first keys from each query, by infinities.
    """
    q, k, v = real(random, rows, heads, depth), real(random, keys, heads, depth), real(random, keys, heads, outputs)
    layer = Attention(
        batches=(heads,),
        rows=rows,
        keys=keys,
        depth=depth,
        outputs=outputs,
        scale=2 / math.sqrt(depth),
        query=Operand(start=0, batches=(depth,), row=heads * depth),
        key=Operand(start=0, batches=(depth,), row=heads * depth),
        value=Operand(start=0, batches=(outputs,), row=heads * outputs),
        result=Operand(start=0, batches=(outputs,), row=heads * outputs),
        mask=Operand(start=0, batches=(0,), row=keys) if masks else None,
    )
    scores = np.einsum("rhd,khd->hrk", q, k, dtype=np.float64) * layer.scale
    mask = np.where(np.arange(keys) < np.arange(rows)[:, None] * keys // rows, -np.inf, real(random, rows, keys))
    mask = mask.astype(np.float32)
    scores = scores + mask if masks else scores
    exact = np.einsum("hrk,khd->rhd", normalised(scores), v)
    return Case(write=lambda name, core: vector_attention.kernel(name, layer, core), operands=(q, k, v), exact=exact)


def elementwise(operands: tuple[Array, ...], layer: Elementwise, exact: Array) -> Case:
    return Case(write=lambda name, core: vector_elementwise.kernel(name, layer, core), operands=operands, exact=exact)


def gelu(random: np.random.Generator, elements: int) -> Case:
    """x / 2 * (1 + erf(x / sqrt(2)))"""
    x = real(random, elements) * 3
    rows, run = vector_elementwise.split(elements, None)
    steps = (
        Step(function="number", number=math.sqrt(0.5)),
        Step(function="multiply", values=(0, 1)),
        Step(function="erf", values=(2,)),
        Step(function="number", number=1.0),
        Step(function="add", values=(3, 4)),
        Step(function="number", number=0.5),
        Step(function="multiply", values=(0, 6)),
        Step(function="multiply", values=(7, 5)),
    )
    layer = Elementwise(rows=rows, run=run, operands=("tensor",), steps=steps, result=8)
    exact = x.astype(np.float64) / 2 * (1 + np.vectorize(math.erf)(x * math.sqrt(0.5)))
    return elementwise((x,), layer, exact)


def hard_swish(random: np.random.Generator) -> Case:
    """Two tensors, a row and a number: limited, negated, the larger one of both."""
    x, z, row, number = real(random, 7, 21), real(random, 7, 21), real(random, 21), real(random, 1)
    steps = (
        Step(function="add", values=(0, 2)),
        Step(function="number", number=0.0),
        Step(function="limit_max", values=(4, 5)),
        Step(function="multiply", values=(6, 3)),
        Step(function="negative", values=(7,)),
        Step(function="larger", values=(8, 1)),
        Step(function="sigmoid", values=(9,)),
        Step(function="tanh", values=(10,)),
    )
    layer = Elementwise(rows=7, run=21, operands=("tensor", "tensor", "row", "number"), steps=steps, result=11)
    sizes = np.maximum(-np.maximum(x.astype(np.float64) + row, 0) * number, z)
    return elementwise((x, z, row, number), layer, np.tanh(1 / (1 + np.exp(-sizes))))


def quantized(random: np.random.Generator) -> Case:
    """Ties, numbers out of range, and a zero point at the edge, as QuantizeLinear has them."""
    x = np.concatenate([real(random, 1000) * 40, np.arange(-100, 100, dtype=np.float32) / 4])
    scale, zero = np.array([0.5], np.float32), np.array([-100.0], np.float32)
    layer = Elementwise(
        rows=1,
        run=1200,
        operands=("tensor", "number", "number"),
        steps=(),
        result=0,
        quantizes=Quantize(scale=1, zero=2, low=-128, high=127),
    )
    return elementwise((x, scale, zero), layer, np.clip(np.rint(x / scale) + zero, -128, 127).astype(np.int8))


def program(drawn: list[Case], core: VectorCore) -> str:
    """Read the operands of all cases, write their results."""
    kernels = [case.write(f"layer{number}", core).source for number, case in enumerate(drawn)]
    calls = []
    for number, case in enumerate(drawn):
        taken = ", ".join(f"take({each.size}u)" for each in case.operands)
        places = ", ".join(f"a[{n}]" for n in range(len(case.operands)))
        size = case.exact.size * (1 if case.exact.dtype == np.int8 else 4)
        calls += [f"  {{\n    const float *const a[] = {{{taken}}};", f"    void *const y = room({size}u);"]
        calls += [f"    layer{number}({places}, y);", f"    give(y, {size}u);\n  }}"]
    functions = "\n".join(kernels)
    functions = c_vector_math.definitions(functions) + functions
    head = "".join(f"#include <{name}.h>\n" for name in ("math", "stdint", "stdio", "stdlib", "string"))
    inside = c_text.inline_functions(functions) + functions
    return f"{head}{c_text.KERNEL_MACRO}{inside}{READ_AND_WRITE}int main(void) {{\n" + "\n".join([*calls, "}", ""])


def run(command: tuple[str, ...], drawn: list[Case]) -> list[Array]:
    stdin = b"".join(each.tobytes() for case in drawn for each in case.operands)
    raw = subprocess.run(command, input=stdin, capture_output=True, check=True).stdout
    results, start = [], 0
    for case in drawn:
        dtype = np.dtype(np.int8 if case.exact.dtype == np.int8 else np.float32)
        results.append(np.frombuffer(raw, dtype, case.exact.size, start).reshape(case.exact.shape))
        start += case.exact.size * dtype.itemsize
    return results


@pytest.mark.parametrize("board", EMULATORS)
def test_rows_agree_with_a_plain_reference_and_on_an_emulated_core(board: str, tmp_path: Path) -> None:
    target = targets.load(board)
    core = vector_core.of(target)
    assert core is not None
    drawn = cases()
    source = program(drawn, core)
    here = vector_layers.build(source, ("gcc", *link.reference_flags(target)), tmp_path / "here")
    there = vector_layers.build(
        source, (f"{target.toolchain.prefix}gcc", *target.toolchain.cpu_flags), tmp_path / "there"
    )

    results = run((str(here),), drawn)
    emulated = run((*EMULATORS[board], str(there)), drawn)

    for number, (case, result, again) in enumerate(zip(drawn, results, emulated, strict=True)):
        scale = max(float(np.abs(case.exact).max()), 1e-9) if case.exact.dtype != np.int8 else 1.0
        largest = np.abs(result.astype(np.float64) - case.exact).max() / scale
        assert largest <= (TOLERANCE if case.exact.dtype != np.int8 else 0), f"case {number}: {largest}"
        assert result.tobytes() == again.tobytes(), f"case {number}"
