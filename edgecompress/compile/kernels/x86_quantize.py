"""The ways in and out of int8 on x86-64: a register of numbers at a time, a few planes woven together at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgecompress.compile import c_text, c_x86_quantize
from edgecompress.compile.kernels.elementwise import Dequantize, Quantize, merged
from edgecompress.compile.kernels.vector_core import indented, loop
from edgecompress.compile.kernels.x86_core import Core
from edgecompress.compile.program import CKernel

NUMBERS_A_TURN = 6144
"""What a thread takes at a time, about; 24 kB of floats. Pixels of any number of planes then end with a cache line."""


@dataclass(frozen=True, kw_only=True)
class QuantizeFamily:
    """The kernels of a core from float, in the order of the input or with its planes woven together."""

    core: Core

    def fits(self, shape: Quantize) -> bool:
        """True for a register of bytes and more, in no other order than these."""
        planes, pixels = _planes(shape)
        return planes > 0 and pixels >= c_x86_quantize.pixels(self.core.lanes, planes)

    def name(self, shape: Quantize) -> str:
        """The kernel's name."""
        return f"x86_{self.core.lanes}_{shape.name}"

    def build(self, shape: Quantize) -> CKernel:
        """Write the kernel: (float input, output, bits of the scale, zero point)."""
        lanes = self.core.lanes
        planes, pixels = _planes(shape)
        step = c_x86_quantize.pixels(lanes, planes)
        count = step // lanes * planes
        body = [f"words{lanes} vectors[{count}];"]
        for v in range(count):
            place = f"input + {v % planes * pixels + v // planes * lanes}u + i"
            body.append(f"vectors[{v}] = quantized{lanes}({place}, &by);")
        body.append(self._store(planes))
        start = "const quantizer by = quantizer_of(scale_bits, zero);"
        lines = _in_steps(pixels, step, NUMBERS_A_TURN // planes, [start], body)
        return _kernel(self.name(shape), ("float", "int8_t"), lines, planes * pixels)

    def _store(self, planes: int) -> str:
        lanes = self.core.lanes
        if planes > 1:
            return f"weave_{planes}_planes{lanes}(output + {planes}u * i, vectors);"
        narrowed = f"narrow_4_words{lanes}(vectors[0], vectors[1], vectors[2], vectors[3])"
        return f"write_words{lanes}(output + i, (words{lanes})in_order{lanes}({narrowed}));"


@dataclass(frozen=True, kw_only=True)
class DequantizeFamily:
    """The kernels of a core to float."""

    core: Core

    def fits(self, shape: Dequantize) -> bool:
        """True for a register of floats and more."""
        return shape.elements >= self.core.lanes

    def name(self, shape: Dequantize) -> str:
        """The kernel's name."""
        return f"x86_{self.core.lanes}_{shape.name}"

    def build(self, shape: Dequantize) -> CKernel:
        """Write the kernel: (input, float output, bits of the scale, zero point)."""
        lanes = self.core.lanes
        body = [f"dequantize{lanes}(output + i, input + i, scale_bits, zero);"]
        lines = _in_steps(shape.elements, lanes, NUMBERS_A_TURN, [], body)
        return _kernel(self.name(shape), ("int8_t", "float"), lines, shape.elements)


def _planes(shape: Quantize) -> tuple[int, int]:
    """How many planes are woven together, and the numbers of each: one is left in its order, 0 is any other order."""
    extents, order = merged(shape.shape, shape.axes)
    if len(extents) < 2:
        return 1, math.prod(extents)
    if order == (1, 0) and extents[0] <= c_x86_quantize.MOST_PLANES:
        return extents[0], extents[1]
    return 0, 0


def _in_steps(numbers: int, step: int, turn: int, start: list[str], body: list[str]) -> list[str]:
    """Go through all numbers with `i`, in turns for threads; the last step begins earlier and computes some again."""
    whole = numbers // step * step
    turns = math.ceil(whole / turn)
    first, end = "0u", f"{whole}u"
    if turns > 1:
        first, end = f"turn * {turn}u", f"turn < {turns - 1}u ? first + {turn}u : {whole}u"
    lines = [*start, f"const uint32_t first = {first}, end = {end};"]
    lines += [f"for (uint32_t i = first; i < end; i += {step}u) {{", *indented(body), "}"]
    lines = loop("turn", turns, lines)
    if numbers > whole:
        lines += ["{", *indented([*start, f"const uint32_t i = {numbers - step}u;", *body]), "}"]
    return lines


def _kernel(name: str, types: tuple[str, str], lines: list[str], numbers: int) -> CKernel:
    parameters = [f"const {types[0]} *restrict input", f"{types[1]} *restrict output"]
    head = c_text.wrapped(f"KERNEL void {name}(", [*parameters, "int32_t scale_bits", "int32_t zero"])
    text = "\n".join([f"{head}) {{", *indented(lines), "}", ""])
    return CKernel(name=name, source=text, workspaces=(), spreads=True, work=numbers // 2)
