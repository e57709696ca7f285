"""Random layers for vector kernels: drawn shapes, a plain reference in float64, and a program that runs them."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from edgecompress.compile import c_text, c_vector_math, c_winograd, link
from edgecompress.compile.kernels import vector_depthwise, vector_pool, vector_product, vector_winograd
from edgecompress.compile.kernels.vector_core import Finish, VectorCore
from edgecompress.compile.kernels.vector_depthwise import Depthwise
from edgecompress.compile.kernels.vector_pool import Pool
from edgecompress.compile.kernels.vector_product import Product
from edgecompress.compile.kernels.vector_winograd import Winograd
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.program import CKernel
from edgecompress.core.values import Array

Layer = Product | Depthwise | Pool
_WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-Wno-psabi")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A layer with its operands: the image with channels first, weights and biases as ONNX has them.

    Computed weights are a matrix (inputs, outputs) for each of the batch. `winograd` is m where the layer is computed
    by Winograd's filter F(m, 3).
    """

    layer: Layer
    image: Array
    weights: Array | None = None
    bias: Array | None = None
    other: Array | None = None
    winograd: int | None = None

    @property
    def outputs(self) -> int:
        """Channels of the result."""
        return self.layer.outputs if isinstance(self.layer, Product) else self.layer.window.channels

    @property
    def result_shape(self) -> tuple[int, int, int, int]:
        """The result's shape, channels last."""
        window = self.layer.window
        return (self.layer.batch, window.output_height, window.output_width, self.outputs)


def draw(generator: np.random.Generator) -> Case:
    """Draw a layer of an odd shape and its operands."""
    kind = generator.choice(["convolution", "convolution", "convolution", "product", "computed", "depthwise", "pool"])
    groups = int(generator.choice([1, 1, 2, 3])) if kind == "convolution" else 1
    inputs = groups * int(generator.integers(1, 12))
    outputs = groups * int(generator.integers(1, 26))
    batch = int(generator.choice([1, 1, 1, 2]))
    window = _window(generator, inputs, pointwise=kind in ("product", "computed"))
    low, high = _maybe(generator, 0.0), _maybe(generator, float(generator.uniform(0.5, 2)))
    finish = Finish(adds=bool(generator.integers(2)), low=low, high=high)
    layer: Layer
    if kind == "computed":
        layer = Product(window=window, outputs=8 * outputs, batch=batch, computed=True, has_bias=False)
        matrices = _weights(generator, batch, inputs, 8 * outputs)
        return Case(layer=layer, image=_real(generator, batch, inputs, 1, window.width), weights=matrices)
    if kind == "pool":
        chosen: Literal["max", "average"] = "max" if generator.integers(2) else "average"
        pool = Pool(window=window, kind=chosen, counts_border=bool(generator.integers(2)), batch=batch)
        return Case(layer=pool, image=_real(generator, batch, inputs, window.height, window.width))
    planes, has_bias = bool(generator.integers(2)), bool(generator.integers(2))
    layer = Product(
        window=window, batch=batch, planes=planes, has_bias=has_bias, outputs=outputs, groups=groups, finish=finish
    )
    if kind == "depthwise":
        layer = Depthwise(window=window, batch=batch, planes=planes, has_bias=has_bias, finish=finish)
        outputs = inputs
        weights = _weights(generator, inputs, 1, *window.kernel)
    else:
        weights = _weights(generator, outputs, inputs // groups, *window.kernel)
    shape = (batch, window.output_height, window.output_width, outputs)
    return Case(
        layer=layer,
        image=_real(generator, batch, inputs, window.height, window.width),
        weights=weights,
        bias=_real(generator, outputs) if has_bias else None,
        other=_real(generator, *shape) if finish.adds else None,
    )


def draw_winograd(generator: np.random.Generator, results: int) -> Case:
    """Draw a convolution of 3x3 taps for F(m, 3): any size, border and number of channels, and its operands."""
    inputs, outputs = (int(each) for each in generator.integers(1, 28, 2))
    height, width = (int(each) for each in generator.integers(3, 3 * results + 6, 2))
    top, left, bottom, right = (int(each) for each in generator.integers(0, 3, 4))
    window = Window(height=height, width=width, channels=inputs, kernel=(3, 3), padding=(top, left, bottom, right))
    finish = Finish(
        adds=bool(generator.integers(2)),
        low=_maybe(generator, 0.0),
        high=_maybe(generator, float(generator.uniform(0.5, 2))),
    )
    has_bias = bool(generator.integers(2))
    layer = Product(
        window=window, planes=bool(generator.integers(2)), has_bias=has_bias, outputs=outputs, finish=finish
    )
    return Case(
        layer=layer,
        image=_real(generator, 1, inputs, height, width),
        weights=_weights(generator, outputs, inputs, 3, 3),
        bias=_real(generator, outputs) if has_bias else None,
        other=_real(generator, 1, window.output_height, window.output_width, outputs) if finish.adds else None,
        winograd=results,
    )


def _window(generator: np.random.Generator, channels: int, *, pointwise: bool) -> Window:
    if pointwise:
        return Window(height=1, width=int(generator.integers(1, 40)), channels=channels, kernel=(1, 1))
    kernel, stride, dilation = (tuple(map(int, generator.integers(1, most, 2))) for most in (8, 4, 3))
    reach = [(taps - 1) * apart + 1 for taps, apart in zip(kernel, dilation, strict=True)]
    extents = [max(int(generator.integers(1, 18)), size) for size in reach]
    padding = [int(generator.integers(0, size)) for size in (*reach, *reach)] if generator.integers(2) else [0] * 4
    return Window(
        height=extents[0],
        width=extents[1],
        channels=channels,
        kernel=(kernel[0], kernel[1]),
        stride=(stride[0], stride[1]),
        dilation=(dilation[0], dilation[1]),
        padding=(padding[0], padding[1], padding[2], padding[3]),
    )


def _maybe(generator: np.random.Generator, value: float) -> float | None:
    return value if generator.integers(2) else None


def _real(generator: np.random.Generator, *shape: int) -> Array:
    return generator.standard_normal(shape).astype(np.float32)


def _weights(generator: np.random.Generator, outputs: int, *depth: int) -> Array:
    """Weights whose sums are about as large as the inputs."""
    return _real(generator, outputs, *depth) / np.float32(np.sqrt(np.prod(depth)))


def reference(case: Case) -> Array:
    """Compute a case in float64, tap by tap; the result has channels last."""
    window, layer = case.layer.window, case.layer
    fill = -np.inf if isinstance(layer, Pool) and layer.kind == "max" else 0.0
    top, left, bottom, right = window.padding
    border = ((0, 0), (0, 0), (top, bottom), (left, right))
    image = np.pad(case.image.astype(np.float64), border, constant_values=fill)
    inside = np.pad(np.ones((window.height, window.width)), border[2:])
    seen = [
        (shifted(image, window, y, x), shifted(inside, window, y, x), y, x)
        for y in range(window.kernel[0])
        for x in range(window.kernel[1])
    ]
    if isinstance(layer, Pool):
        values = np.stack([part for part, _, _, _ in seen])
        counted = len(seen) if layer.counts_border else np.sum([part for _, part, _, _ in seen], axis=0)
        result = values.max(0) if layer.kind == "max" else values.sum(0) / counted
        return np.moveaxis(result, 1, -1)
    assert case.weights is not None
    if isinstance(layer, Product) and layer.computed:
        return np.moveaxis(image, 1, -1) @ case.weights.astype(np.float64)[:, None]
    groups = layer.groups if isinstance(layer, Product) else window.channels
    sums = np.zeros((layer.batch, case.outputs, window.output_height, window.output_width))
    weights = case.weights.astype(np.float64).reshape(groups, case.outputs // groups, *case.weights.shape[1:])
    for part, _, y, x in seen:
        by_group = part.reshape(layer.batch, groups, -1, *part.shape[2:])
        sums += np.einsum("ngihw,goi->ngohw", by_group, weights[..., y, x]).reshape(sums.shape)
    result = np.moveaxis(sums, 1, -1)
    result = result if case.bias is None else result + case.bias
    result = result if case.other is None else result + case.other
    return np.clip(result, layer.finish.low, layer.finish.high)


def shifted(image: Array, window: Window, y: int, x: int) -> Array:
    """What each result sees through one tap."""
    rows = slice(y * window.dilation[0], None, window.stride[0])
    columns = slice(x * window.dilation[1], None, window.stride[1])
    return image[..., rows, columns][..., : window.output_height, : window.output_width]


def write_program(cases: Sequence[Case], core: VectorCore) -> str:
    """Write a C program that reads the operands of all cases from stdin and writes their results to stdout."""
    kernels, calls = [], []
    for number, case in enumerate(cases):
        kernel = _kernel(f"layer{number}", case, core)
        kernels.append(kernel.source)
        sizes = [each.size for each in operands(case, core)]
        result = int(np.prod(case.result_shape))
        declared = [f"    const float *const a{place} = take({size}u);" for place, size in enumerate(sizes)]
        spaces = [f"room({size}u)" for size in kernel.workspaces]
        words = ", ".join([*(f"a{place}" for place in range(len(sizes))), "result", *spaces])
        calls.append("\n".join(["  {", *declared, f"    float *const result = room({4 * result}u);"]))
        calls.append(f"    layer{number}({words});\n    give(result, {result}u);\n  }}")
    functions = "\n".join(kernels)
    functions = c_winograd.definitions(functions) + functions
    functions = c_vector_math.definitions(functions) + functions
    head = "#include <math.h>\n#include <stdint.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"
    return f"""\
{head}{c_text.KERNEL_MACRO}{functions}
static void *room(size_t bytes) {{ return malloc(bytes); }}
static float *take(size_t count) {{
  float *const to = malloc(count * 4u);
  if (to == NULL || fread(to, 4u, count, stdin) != count) exit(1);
  return to;
}}
static void give(const float *from, size_t count) {{
  if (fwrite(from, 4u, count, stdout) != count) exit(2);
}}
int main(void) {{
{chr(10).join(calls)}
  return 0;
}}
"""


def operands(case: Case, core: VectorCore) -> list[Array]:
    """What a case's kernel reads, as it lies in memory: image, weights, biases, what is added."""
    layer = case.layer
    planes = not isinstance(layer, Pool) and layer.planes
    found = [case.image if planes else np.ascontiguousarray(np.moveaxis(case.image, 1, -1))]
    if isinstance(layer, Pool):
        return found
    assert case.weights is not None
    if isinstance(layer, Product) and layer.computed:
        return [*found, case.weights]
    if isinstance(layer, Depthwise):
        found += [vector_depthwise.pack(case.weights, layer, core)]
        found += [vector_depthwise.pack_bias(case.bias, layer, core)] if case.bias is not None else []
    elif case.winograd is not None:
        found += [vector_winograd.pack(case.weights, Winograd(product=layer, results=case.winograd), core)]
        found += [vector_winograd.pack_bias(case.bias, core)] if case.bias is not None else []
    else:
        found += [vector_product.pack(case.weights, layer, core)]
        found += [vector_product.pack_bias(case.bias, layer, core)] if case.bias is not None else []
    return [*found, *([case.other] if case.other is not None else [])]


def _kernel(name: str, case: Case, core: VectorCore) -> CKernel:
    layer = case.layer
    if isinstance(layer, Product) and case.winograd is not None:
        return vector_winograd.kernel(name, Winograd(product=layer, results=case.winograd), core)
    if isinstance(layer, Product):
        return vector_product.kernel(name, layer, core)
    if isinstance(layer, Depthwise):
        return vector_depthwise.kernel(name, layer, core)
    return vector_pool.kernel(name, layer, core)


def build(source: str, compiler: Sequence[str], output: Path) -> Path:
    """Compile a program; the flags of every network, and warnings as errors."""
    path = output.with_suffix(".c")
    path.write_text(source)
    command = [*compiler, *link.COMMON_FLAGS, "-O1", *_WARNINGS, "-static", "-o", str(output), str(path), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:4000]
    return output


def run(command: Sequence[str], cases: Sequence[Case], core: VectorCore) -> list[Array]:
    """Run a program on the operands of its cases; return each result, channels last."""
    stdin = b"".join(each.astype("<f4").tobytes() for case in cases for each in operands(case, core))
    done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr[:1000])
    flat = np.frombuffer(done.stdout, "<f4")
    ends = np.cumsum([int(np.prod(case.result_shape)) for case in cases])
    return [part.reshape(case.result_shape) for part, case in zip(np.split(flat, ends[:-1]), cases, strict=True)]
