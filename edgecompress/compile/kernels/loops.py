"""A small vocabulary to write kernels in: named loops, buffers and scalars of one TIR function.

A kernel is ordinary Python that runs once for each shape: a Python `for` unrolls, a Python `if` decides when
the kernel is written, and `loop` makes a loop in the generated C.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as builder

Expr = Any
"""A TIR expression or a Python int."""


class Buffer:
    """A flat buffer: `buffer[index]` reads, `buffer[index] = value` writes."""

    def __init__(self, handle: Any, dtype: str) -> None:
        self._handle = handle
        self._dtype = dtype

    def __getitem__(self, index: Expr) -> Expr:
        return self._handle[index]

    def __setitem__(self, index: Expr, value: Expr) -> None:
        builder.buffer_store(self._handle, value, [index])

    def at(self, index: Expr) -> Expr:
        """The address of an element, for `call`."""
        return self._handle.access_ptr("rw", offset=index)


class Function:
    """One kernel under construction. Arguments are declared in the order of the call: inputs, output, scalars."""

    def __init__(self) -> None:
        self._builder = IRBuilder()

    @contextlib.contextmanager
    def body(self) -> Iterator[Function]:
        """Everything declared and stored inside becomes the kernel."""
        with self._builder, builder.prim_func(is_private=True, s_tir=True):
            builder.func_name("kernel")
            yield self

    def finish(self) -> tirx.PrimFunc:
        """Return the kernel."""
        return self._builder.get()

    def argument(self, name: str, elements: int, dtype: str) -> Buffer:
        """Declare a tensor argument, flat."""
        return Buffer(builder.arg(name, builder.buffer((elements,), dtype)), dtype)

    def scalar(self, name: str) -> Expr:
        """Declare an int32 argument."""
        return builder.arg(name, builder.int32())


def temporary(name: str, elements: int, dtype: str) -> Buffer:
    """Declare a buffer of the kernel's own: registers or the stack when small, the arena otherwise."""
    handle = builder.alloc_buffer((elements,), dtype)
    IRBuilder.name(name, handle)
    return Buffer(handle, dtype)


@contextlib.contextmanager
def loop(name: str, extent: Expr) -> Iterator[Expr]:
    """Loop from 0 below `extent`; a loop of one turn is none."""
    if isinstance(extent, int) and extent == 1:
        yield 0
        return
    with builder.serial(0, extent) as index:
        IRBuilder.name(name, index)
        yield index


@contextlib.contextmanager
def when(condition: Expr) -> Iterator[None]:
    """Run the inside only if the condition holds."""
    with builder.If(condition), builder.Then():
        yield


def choose(condition: Expr, then: Any, otherwise: Any) -> None:
    """Run one of two functions that store something."""
    with builder.If(condition):
        with builder.Then():
            then()
        with builder.Else():
            otherwise()


def call(name: str, *arguments: Expr) -> None:
    """Call a C function (c_dsp) for what it writes."""
    builder.evaluate(tirx.call_extern("int32", name, *arguments))


def let(name: str, value: Expr) -> Expr:
    """Compute a value once and give it a name."""
    if isinstance(value, int):
        return value
    variable = builder.bind(value)
    IRBuilder.name(name, variable)
    return variable


def split(extent: int, step: int) -> Sequence[tuple[int, int, int]]:
    """Cut an extent into tiles: (first, how many tiles, size of each), whole tiles first, then what is left."""
    whole, rest = divmod(extent, step)
    tiles = [(0, whole, step)] if whole else []
    return [*tiles, (whole * step, 1, rest)] if rest else tiles


def tile_size(extent: int, largest: int) -> int:
    """The size of the fewest, most equal tiles not above `largest`."""
    return math.ceil(extent / math.ceil(extent / largest))


def int32(value: Expr) -> Expr:
    """Convert to int32."""
    return tirx.const(value, "int32") if isinstance(value, int) else value.astype("int32")


def int64(value: Expr) -> Expr:
    """Convert to int64."""
    return tirx.const(value, "int64") if isinstance(value, int) else value.astype("int64")


def clamp(value: Expr, low: Expr, high: Expr) -> Expr:
    """Limit a value to [low, high]."""
    return tirx.max(tirx.min(value, int32(high)), int32(low))
