"""int8 addition with Helium: four elements at a time (c_mve). The arithmetic is that of addition.py."""

from __future__ import annotations

from tvm import tirx

from edgecompress.compile.kernels.addition import Addition
from edgecompress.compile.kernels.loops import Function, call


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
        scalars = [function.scalar(scalar) for scalar in shape.scalars]
        microkernel = "mve_add_one_scale" if shape.one_scale else "mve_add"
        call(microkernel, first.at(0), second.at(0), output.at(0), shape.elements, *scalars)
    return function.finish()
