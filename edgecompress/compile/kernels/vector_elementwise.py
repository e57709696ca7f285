"""Functions of the numbers at one place of some tensors, over vectors: no value between the steps is stored.

A float becomes int8 as QuantizeLinear says: divided by the scale, bounded, rounded with ties to even.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgecompress.compile import c_vector_math
from edgecompress.compile.c_text import float_literal
from edgecompress.compile.kernels.vector_core import VectorCore, indented, loop
from edgecompress.compile.program import CKernel

Operand = Literal["tensor", "row", "number"]
"""An argument: as many numbers as the result, as many as a row of it, or one."""

NUMBERS_A_TURN = 1024
"""What a thread takes at a time, where no operand is a row."""
MOST_TOGETHER = 4
BYTES = 16
"""int8 that are stored together."""
ROUNDING = "0x1.8p+23f"
"""Added to a float below 2^22, its nearest integer, ties to even, is in the low bits of the sum."""

BINARY = frozenset(["add", "subtract", "multiply", "divide", "larger", "smaller", "limit_max", "limit_min"])
"""Functions of c_vector and c_vector_math."""
UNARY = frozenset(["negative", "absolute", "root"]) | frozenset(c_vector_math.COEFFICIENTS)
COSTS = {"exp": 20, "sigmoid": 24, "erf": 22, "tanh": 20}
"""Instructions a vector of what is more than one or two."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A function of earlier values, counted from 0: the operands first, then the steps; or a number by itself."""

    function: str
    values: tuple[int, ...] = ()
    number: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Quantize:
    """The result is int8: `scale` and `zero` count values as a step does; the bounds are those of the result."""

    scale: int
    zero: int
    low: int
    high: int


@dataclass(frozen=True, kw_only=True)
class Elementwise:
    """The steps for `rows` of `run` numbers; `result` counts values as a step does."""

    rows: int
    run: int
    operands: tuple[Operand, ...]
    steps: tuple[Step, ...]
    result: int
    quantizes: Quantize | None = None

    @property
    def work(self) -> int:
        """Instructions a number, times numbers, on cores with four numbers a vector."""
        return self.rows * self.run * sum(COSTS.get(step.function, 1) for step in self.steps) // 4


def split(elements: int, row: int | None) -> tuple[int, int]:
    """Choose rows and runs: the operands' rows, or runs of equal length that are worth a thread's while."""
    if row is not None:
        return elements // row, row
    return (elements // NUMBERS_A_TURN, NUMBERS_A_TURN) if elements % NUMBERS_A_TURN == 0 else (1, elements)


def kernel(name: str, layer: Elementwise, core: VectorCore) -> CKernel:
    """Write the kernel (operands, y)."""
    parameters = [f"const float *restrict x{n}" for n in range(len(layer.operands))]
    parameters.append(f"{'int8_t' if layer.quantizes else 'float'} *restrict y")
    body = _Writer(layer, core).row()
    lines = loop("row", layer.rows, body)
    text = "\n".join([f"KERNEL void {name}({', '.join(parameters)}) {{", *indented(lines), "}", ""])
    return CKernel(name=name, source=text, workspaces=(), spreads=True, work=layer.work)


class _Writer:
    """Writes the loops over one row."""

    def __init__(self, layer: Elementwise, core: VectorCore) -> None:
        self._layer = layer
        self._core = core

    def row(self) -> list[str]:
        """Whole vectors, several together, then what is left of them."""
        layer, width = self._layer, self._core.width
        together = max(BYTES // width, 1) if layer.quantizes else self._most_together()
        whole, left = divmod(layer.run, together * width)
        lines = self._known()
        if whole:
            head = f"for (uint32_t i = 0; i < {whole * together * width}u; i += {together * width}u) {{"
            lines += [head, *indented(self._together(together)), "}"]
        if left:
            head = f"for (uint32_t i = {layer.run - left}u; i < {layer.run}u; i += {width}u) {{"
            count = f"const uint32_t count = {layer.run}u - i < {width}u ? {layer.run}u - i : {width}u;"
            lines += [head, *indented([count, *self._some()]), "}"]
        return lines

    def _most_together(self) -> int:
        """Functions need registers for their coefficients."""
        has_functions = any(step.function in c_vector_math.COEFFICIENTS for step in self._layer.steps)
        return MOST_TOGETHER // 2 if has_functions else MOST_TOGETHER

    def _known(self) -> list[str]:
        """What is the same for all numbers: coefficients, numbers, the scale and the bounds."""
        core, layer = self._core, self._layer
        lines = []
        for function in dict.fromkeys(step.function for step in layer.steps):
            if function in c_vector_math.COEFFICIENTS:
                lines += c_vector_math.kept(function, core.width)
        for n, operand in enumerate(layer.operands):
            if operand == "number":
                lines.append(f"const {core.vec} v{n} = {core.call('splat', f'x{n}[0]')};")
        for n, step in enumerate(layer.steps, len(layer.operands)):
            if step.function == "number":
                literal = float_literal(int(np.float32(step.number).view(np.int32)))
                lines.append(f"const {core.vec} v{n} = {core.call('splat', f'kept_float({literal})')};")
        if layer.quantizes is not None:
            zero = f"v{layer.quantizes.zero}"
            for name, bound in (("low", layer.quantizes.low), ("high", layer.quantizes.high)):
                value = core.call("subtract", core.call("splat", f"{bound}.0f"), zero)
                lines.append(f"const {core.vec} {name} = {value};")
            lines.append(f"const {core.vec} rounding = {core.call('splat', f'kept_float({ROUNDING})')};")
            lines.append(f"const int8_t zero = (int8_t)(int32_t){zero}[0];")
        return lines

    def _together(self, count: int) -> list[str]:
        """Some whole vectors, step by step."""
        core, layer = self._core, self._layer
        lines = []
        for n, operand in enumerate(layer.operands):
            if operand == "number":
                continue
            for v in range(count):
                place = self._place(f"x{n}", operand, f"i + {v * core.width}" if v else "i")
                lines.append(f"const {core.vec} v{n}_{v} = {core.call('load', place)};")
        for n, step in enumerate(layer.steps, len(layer.operands)):
            lines += [
                f"const {core.vec} v{n}_{v} = {self._value(step, f'_{v}')};"
                for v in range(count)
                if step.function != "number"
            ]
        results = [self._name(layer.result, f"_{v}") for v in range(count)]
        if layer.quantizes is None:
            places = [self._place("y", "tensor", f"i + {v * core.width}" if v else "i") for v in range(count)]
            return lines + [
                f"{core.call('store', place, result)};" for place, result in zip(places, results, strict=True)
            ]
        lines += [f"const {core.vec} q_{v} = {self._rounded(result)};" for v, result in enumerate(results)]
        values = ", ".join(f"q_{v}" for v in range(count))
        place = self._place("y", "tensor", "i")
        return [*lines, f"store_low_bytes_{core.vec}({place}, {values}, zero);"]

    def _some(self) -> list[str]:
        """The first `count` numbers of a vector."""
        core, layer = self._core, self._layer
        lines = []
        for n, operand in enumerate(layer.operands):
            if operand != "number":
                value = core.call("load_some", self._place(f"x{n}", operand, "i"), "count")
                lines.append(f"const {core.vec} v{n}_0 = {value};")
        for n, step in enumerate(layer.steps, len(layer.operands)):
            if step.function != "number":
                lines.append(f"const {core.vec} v{n}_0 = {self._value(step, '_0')};")
        result = self._name(layer.result, "_0")
        place = self._place("y", "tensor", "i")
        if layer.quantizes is None:
            return [*lines, f"{core.call('store_some', place, result, 'count')};"]
        lines.append(f"const {core.vec} q = {self._rounded(result)};")
        each = f"y[{self._index('i + lane')}] = (int8_t)(int32_t_bits(q[lane]) + zero);"
        return [*lines, "for (uint32_t lane = 0; lane < count; ++lane) {", f"  {each}", "}"]

    def _place(self, pointer: str, operand: Operand, index: str) -> str:
        return f"{pointer} + {index if operand == 'row' else self._index(index)}"

    def _index(self, index: str) -> str:
        return index if self._layer.rows == 1 else f"row * {self._layer.run}u + {index}"

    def _name(self, value: int, suffix: str) -> str:
        """A value in C; those of one number have no suffix."""
        operands, steps = self._layer.operands, self._layer.steps
        if value < len(operands):
            return f"v{value}" if operands[value] == "number" else f"v{value}{suffix}"
        return f"v{value}" if steps[value - len(operands)].function == "number" else f"v{value}{suffix}"

    def _value(self, step: Step, suffix: str) -> str:
        core = self._core
        values = [self._name(value, suffix) for value in step.values]
        if step.function in c_vector_math.COEFFICIENTS:
            return c_vector_math.call(step.function, core.width, values[0], fused=core.fused)
        if step.function == "negative":
            return f"-{values[0]}"
        if step.function == "absolute":
            return core.call("larger", f"-{values[0]}", values[0])
        return core.call(step.function, *values)

    def _rounded(self, value: str) -> str:
        """Divide by the scale, bound, and round: the low byte of the result is that of the number less zero point."""
        assert self._layer.quantizes is not None
        core = self._core
        scaled = core.call("divide", value, f"v{self._layer.quantizes.scale}")
        bounded = core.call("limit_min", core.call("limit_max", scaled, "low"), "high")
        return core.call("add", bounded, "rounding")
