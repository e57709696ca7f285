"""Model -> Program: check the operators, import the graph, and take the integer or the float path."""

from __future__ import annotations

from dataclasses import replace

from edgecompress.compile import frontend, operators
from edgecompress.compile.program import Program
from edgecompress.core.target import Target
from edgecompress.core.values import Model, Optimize


def to_program(model: Model, target: Target, optimize: Optimize = "balanced") -> Program:
    """Bring a network to kernels and calls for a target; `optimize` says what to save.

    Raises ModelError that lists every operator that cannot be compiled.
    """
    operators.check(model)
    imported = frontend.import_onnx(model)
    if model.is_quantized:
        from edgecompress.compile import integer

        return integer.to_program(imported, model, target, optimize)
    from edgecompress.compile import floating

    return replace(floating.to_program(imported, model, target), optimize=optimize)
