"""Random layers that multiply halves, and a plain reference that gives their exact bytes: numpy, step by step."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import vector_layers

from edgecompress.compile import c_half, c_text, c_vector
from edgecompress.compile.kernels import vector_depthwise, vector_product
from edgecompress.compile.kernels.vector_core import Halves, VectorCore
from edgecompress.compile.kernels.vector_depthwise import Depthwise
from edgecompress.compile.kernels.vector_product import Product
from edgecompress.core.values import Array

HEAD = "#include <stdint.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"
ROOM = """
static void *room(size_t bytes) { return malloc(bytes); }
static void *take(size_t bytes) {
  void *const to = malloc(bytes);
  if (to == NULL || fread(to, 1u, bytes, stdin) != bytes) exit(1);
  return to;
}
static void give(const void *from, size_t bytes) {
  if (fwrite(from, 1u, bytes, stdout) != bytes) exit(2);
}
"""
MOST_TAPS = 25


@dataclass(frozen=True, kw_only=True)
class Case:
    """A layer and its operands: the image with channels first, weights that are halves, biases, what is added."""

    layer: Product | Depthwise
    image: Array
    weights: Array
    bias: Array | None
    other: Array | None

    @property
    def halves(self) -> Halves:
        """Which tensors are halves."""
        assert self.layer.halves is not None
        return self.layer.halves

    @property
    def outputs(self) -> int:
        """Channels of the result."""
        return self.layer.outputs if isinstance(self.layer, Product) else self.layer.window.channels

    @property
    def result_shape(self) -> tuple[int, ...]:
        """Channels last."""
        return (self.layer.batch, self.layer.window.output_height, self.layer.window.output_width, self.outputs)


def draw(generator: np.random.Generator) -> Case:
    """Draw a layer of an odd shape; a few have numbers so small that halves have fewer bits."""
    while True:
        drawn = vector_layers.draw(generator)
        layer = drawn.layer
        taps = layer.window.kernel[0] * layer.window.kernel[1]
        if isinstance(layer, Depthwise) and taps <= MOST_TAPS:
            break
        if isinstance(layer, Product) and not layer.computed:
            break
    reads = not layer.planes and bool(generator.integers(2))
    halves = Halves(reads=reads, writes=bool(generator.integers(2)), span=int(generator.choice([16, 8])))
    image = drawn.image * np.float32(10.0 ** generator.uniform(-4, 1))
    assert drawn.weights is not None
    return Case(
        layer=replace(layer, halves=halves),
        image=image.astype(np.float16) if reads else image,
        weights=drawn.weights.astype(np.float16),
        bias=drawn.bias,
        other=drawn.other,
    )


def reference(case: Case) -> Array:
    """Compute a case: halves that are multiplied and added with one rounding, sums of a span added to floats."""
    window, layer = case.layer.window, case.layer
    top, left, bottom, right = window.padding
    image = np.pad(case.image.astype(np.float16).astype(np.float64), ((0, 0), (0, 0), (top, bottom), (left, right)))
    groups = layer.groups if isinstance(layer, Product) else window.channels
    weights = case.weights.astype(np.float64).reshape(groups, case.outputs // groups, *case.weights.shape[1:])
    shape = (layer.batch, groups, case.outputs // groups, window.output_height, window.output_width)
    totals = np.zeros(shape, np.float32)
    if case.bias is not None:
        totals += case.bias.reshape(1, groups, -1, 1, 1)
    for segment in _segments(case):
        span = case.halves.span if isinstance(layer, Product) else len(segment)
        for start in range(0, len(segment), span):
            sums = np.zeros(shape, np.float16)
            for y, x, channel in segment[start : start + span]:
                seen = vector_layers.shifted(image, window, y, x)
                inputs = seen.reshape(layer.batch, groups, -1, *shape[3:])[:, :, channel, None]
                products = inputs * weights[None, :, :, channel, y, x, None, None]
                sums = (sums.astype(np.float64) + products).astype(np.float16)
            totals = totals + sums.astype(np.float32)
    result = np.moveaxis(totals.reshape(layer.batch, case.outputs, *shape[3:]), 1, -1)
    result = result if case.other is None else result + case.other
    result = np.clip(result, layer.finish.low, layer.finish.high).astype(np.float32) + np.float32(0)
    return result.astype(np.float16) if case.halves.writes else result


def _segments(case: Case) -> list[list[tuple[int, int, int]]]:
    """The products of a result in order (row, column, channel of the group), in parts that are summed apart."""
    window = case.layer.window
    rows, columns = (range(extent) for extent in window.kernel)
    channels = range(case.weights.shape[1])
    if isinstance(case.layer, Depthwise):
        return [[(y, x, 0) for y, x in product(rows, columns)]]
    if case.layer.groups == 1 and window.dilation[1] == 1:
        return [[(y, x, channel) for x, channel in product(columns, channels)] for y in rows]
    return [[(y, x, channel) for channel in channels] for y, x in product(rows, columns)]


def operands(case: Case, core: VectorCore) -> list[Array]:
    """What the kernel reads, as it lies in memory."""
    layer = case.layer
    image = case.image if layer.planes else np.ascontiguousarray(np.moveaxis(case.image, 1, -1))
    pack, pack_bias = vector_product.pack, vector_product.pack_bias
    if isinstance(layer, Depthwise):
        pack, pack_bias = vector_depthwise.pack, vector_depthwise.pack_bias  # type: ignore[assignment]
    found = [image, pack(case.weights.astype(np.float64), layer, core)]  # type: ignore[arg-type]
    found += [pack_bias(case.bias, layer, core)] if case.bias is not None else []  # type: ignore[arg-type]
    return [*found, *([case.other] if case.other is not None else [])]


def write_program(cases: Sequence[Case], core: VectorCore) -> str:
    """Write a C program that reads the operands of all cases from stdin and writes their results to stdout."""
    kernels, calls = [], []
    for number, case in enumerate(cases):
        module = vector_depthwise if isinstance(case.layer, Depthwise) else vector_product
        kernel = module.kernel(f"layer{number}", case.layer, core)
        kernels.append(kernel.source)
        sizes = [each.nbytes for each in operands(case, core)]
        result = int(np.prod(case.result_shape)) * (2 if case.halves.writes else 4)
        calls += ["  {", *(f"    void *const a{place} = take({size}u);" for place, size in enumerate(sizes))]
        calls += [f"    void *const result = room({result}u);"]
        words = [*(f"a{place}" for place in range(len(sizes))), "result", *(f"room({n}u)" for n in kernel.workspaces)]
        calls += [f"    layer{number}({', '.join(words)});", f"    give(result, {result}u);", "  }"]
    functions = "\n".join(kernels)
    functions = c_half.definitions(functions) + functions
    main = "\n".join(["int main(void) {", *calls, "  return 0;", "}", ""])
    return f"{HEAD}{c_text.KERNEL_MACRO}{c_vector.definitions(functions)}{functions}{ROOM}{main}"


def run(command: Sequence[str | Path], cases: Sequence[Case], core: VectorCore) -> list[Array]:
    """Run a program on the operands of its cases; return each result, channels last."""
    stdin = b"".join(each.tobytes() for case in cases for each in operands(case, core))
    done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr[:1000])
    results, place = [], 0
    for case in cases:
        kind = np.dtype(np.float16 if case.halves.writes else np.float32)
        count = int(np.prod(case.result_shape))
        results.append(np.frombuffer(done.stdout, kind, count, place).reshape(case.result_shape))
        place += count * kind.itemsize
    assert place == len(done.stdout)
    return results
