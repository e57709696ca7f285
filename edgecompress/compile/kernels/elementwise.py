"""Kernels that treat every element alone: lookups, and the ways in and out of int8 at a network's edges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from tvm import tirx

from edgecompress.compile.kernels.loops import Expr, Function, int32, let, loop

ROUNDING = 12582912.0
"""1.5 * 2**23: added to a float32 below 2**22, its nearest integer, ties to even, is in the low bits of the sum."""

ROUNDING_BITS = 0x4B400000


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """The shape class of any int8 function of one int8 number, by a table of 256."""

    elements: int

    SCALARS: ClassVar[tuple[str, ...]] = ()

    @property
    def name(self) -> str:
        """The kernel's name."""
        return f"lookup_{self.elements}"


@dataclass(frozen=True, kw_only=True)
class Quantize:
    """The shape class of float32 to int8; output axis i is input axis `axes[i]` of `shape`."""

    shape: tuple[int, ...]
    axes: tuple[int, ...]

    SCALARS: ClassVar[tuple[str, ...]] = ("scale_bits", "zero")

    @property
    def name(self) -> str:
        """The kernel's name."""
        return f"quantize_{_order_name(self.shape, self.axes)}"


@dataclass(frozen=True, kw_only=True)
class Dequantize:
    """The shape class of int8 to float32."""

    elements: int

    SCALARS: ClassVar[tuple[str, ...]] = ("scale_bits", "zero")

    @property
    def name(self) -> str:
        """The kernel's name."""
        return f"dequantize_{self.elements}"


@dataclass(frozen=True, kw_only=True)
class FlipSign:
    """The shape class of uint8 to int8 (`to_int8`) or back."""

    elements: int
    to_int8: bool

    SCALARS: ClassVar[tuple[str, ...]] = ()

    @property
    def name(self) -> str:
        """The kernel's name."""
        return f"{'uint8_to_int8' if self.to_int8 else 'int8_to_uint8'}_{self.elements}"


@dataclass(frozen=True, kw_only=True)
class Transpose:
    """The shape class of a transpose; output axis i is input axis `axes[i]` of `shape`."""

    shape: tuple[int, ...]
    axes: tuple[int, ...]

    SCALARS: ClassVar[tuple[str, ...]] = ()

    @property
    def name(self) -> str:
        """The kernel's name."""
        return f"transpose_{_order_name(self.shape, self.axes)}"


@dataclass(frozen=True, kw_only=True)
class Concatenate:
    """The shape class of `rows` rows, each made of one run of every input."""

    rows: int
    runs: tuple[int, ...]

    SCALARS: ClassVar[tuple[str, ...]] = ()

    @property
    def name(self) -> str:
        """The kernel's name."""
        return f"concatenate_{self.rows}x{'_'.join(str(run) for run in self.runs)}"


def build_lookup(shape: Lookup) -> tirx.PrimFunc:
    """Write the kernel: (input, table of the results for -128 … 127, output)."""
    function = Function()
    with function.body():
        source = function.argument("input", shape.elements, "int8")
        table = function.argument("table", 256, "int8")
        output = function.argument("output", shape.elements, "int8")
        with loop("i", shape.elements) as i:
            output[i] = table[int32(source[i]) + 128]
    return function.finish()


def build_quantize(shape: Quantize) -> tirx.PrimFunc:
    """Write the kernel: (float input, output, bits of the scale, zero point). Ties go to even; the rest saturates."""

    def quantize(value: Expr, scale_bits: Expr, zero: Expr) -> Expr:
        real = let("real", value / tirx.reinterpret("float32", scale_bits))
        low, high = (let("bound", (int32(bound) - zero).astype("float32")) for bound in (-128, 127))
        bounded = let("bounded", tirx.max(tirx.min(real, high), low))
        rounded = let("rounded", bounded + tirx.const(ROUNDING, "float32"))
        return (tirx.reinterpret("int32", rounded) - ROUNDING_BITS + zero).astype("int8")

    return _build_reordering(shape, "float32", quantize)


def build_transpose(shape: Transpose) -> tirx.PrimFunc:
    """Write the kernel: (input, output)."""
    return _build_reordering(shape, "int8", lambda value: value)


def build_dequantize(shape: Dequantize) -> tirx.PrimFunc:
    """Write the kernel: (input, float output, bits of the scale, zero point)."""
    function = Function()
    with function.body():
        source = function.argument("input", shape.elements, "int8")
        output = function.argument("output", shape.elements, "float32")
        scale_bits, zero = (function.scalar(name) for name in shape.SCALARS)
        scale = let("scale", tirx.reinterpret("float32", scale_bits))
        with loop("i", shape.elements) as i:
            output[i] = (int32(source[i]) - zero).astype("float32") * scale
    return function.finish()


def build_flip_sign(shape: FlipSign) -> tirx.PrimFunc:
    """Write the kernel: (input, output)."""
    types = ("uint8", "int8") if shape.to_int8 else ("int8", "uint8")
    function = Function()
    with function.body():
        source = function.argument("input", shape.elements, types[0])
        output = function.argument("output", shape.elements, types[1])
        with loop("i", shape.elements) as i:
            output[i] = (int32(source[i]) + (-128 if shape.to_int8 else 128)).astype(types[1])
    return function.finish()


def build_concatenate(shape: Concatenate) -> tirx.PrimFunc:
    """Write the kernel: (inputs, output)."""
    function = Function()
    with function.body():
        sources = [function.argument(f"input_{i}", shape.rows * run, "int8") for i, run in enumerate(shape.runs)]
        output = function.argument("output", shape.rows * sum(shape.runs), "int8")
        with loop("row", shape.rows) as row:
            for i, (source, run) in enumerate(zip(sources, shape.runs, strict=True)):
                with loop("column", run) as column:
                    output[row * sum(shape.runs) + sum(shape.runs[:i]) + column] = source[row * run + column]
    return function.finish()


def merged(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The same reordering on the fewest axes: without those of one element, neighbours that stay together as one."""
    groups: list[list[int]] = []
    for axis in (axis for axis in axes if shape[axis] != 1):
        between = range(groups[-1][-1] + 1, axis) if groups else range(0)
        follows = bool(groups) and groups[-1][-1] < axis and all(shape[each] == 1 for each in between)
        groups[-1].append(axis) if follows else groups.append([axis])
    ordered = sorted(groups)
    extents = [1] * len(ordered)
    for position, group in enumerate(ordered):
        for axis in group:
            extents[position] *= shape[axis]
    return tuple(extents), tuple(ordered.index(group) for group in groups)


def _order_name(shape: tuple[int, ...], axes: tuple[int, ...]) -> str:
    extents, order = merged(shape, axes)
    sizes = "x".join(str(extent) for extent in extents) or "1"
    return f"{sizes}_to_{''.join(str(axis) for axis in order)}" if len(order) > 1 else sizes


def _build_reordering(shape: Quantize | Transpose, dtype: str, convert: Callable[..., Expr]) -> tirx.PrimFunc:
    extents, order = merged(shape.shape, shape.axes)
    strides = [1] * len(extents)
    for axis in reversed(range(len(extents) - 1)):
        strides[axis] = strides[axis + 1] * extents[axis + 1]
    elements = strides[0] * extents[0] if extents else 1
    function = Function()
    with function.body():
        source = function.argument("input", elements, dtype)
        output = function.argument("output", elements, "int8")
        scalars = [function.scalar(name) for name in shape.SCALARS]

        def visit(remaining: tuple[int, ...], read: Expr, write: Expr) -> None:
            if not remaining:
                output[write] = convert(source[read], *scalars)
                return
            axis, *rest = remaining
            with loop(f"axis_{axis}", extents[axis]) as i:
                visit(tuple(rest), read + i * strides[axis], write * extents[axis] + i)

        visit(order, 0, 0)
    return function.finish()
