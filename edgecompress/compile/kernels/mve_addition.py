"""int8 addition with Helium: four elements at a time (c_mve). The arithmetic is that of addition.py."""

from __future__ import annotations

from tvm import tirx

from edgecompress.compile.kernels.addition import Addition
from edgecompress.compile.kernels.loops import Function, call

EXACT_HALF = (2**31 - 1, 0)
"""Multiplier and shift less 1 that halve an operand exactly: below 2**30 the high product's rounding gives it back."""


def name(shape: Addition) -> str:
    """The kernel's name."""
    return f"mve_{shape.name}"


def build(shape: Addition) -> tirx.PrimFunc:
    """Write the kernel: (first, second, output, scalars)."""
    function = Function()
    with function.body():
        first = function.argument("first", shape.elements, "int8")
        second = function.argument("second", shape.elements, "int8")
        output = function.argument("output", shape.elements, "int8")
        scalars = {each: function.scalar(each) for each in shape.scalars}
        zeros = [scalars.pop("first_zero"), scalars.pop("second_zero")]
        scaling = EXACT_HALF if shape.one_scale else ()
        call("mve_add", first.at(0), second.at(0), output.at(0), shape.elements, *zeros, *scaling, *scalars.values())
    return function.finish()
