"""Model -> Program: check the operators, import the graph, and take the integer or the float path."""

from __future__ import annotations

from edgecompress.compile import frontend, operators
from edgecompress.compile.program import Program
from edgecompress.core.target import Target
from edgecompress.core.values import Model


def to_program(model: Model, target: Target) -> Program:
    """Bring a network to kernels and calls for a target.

    Raises ModelError that lists every operator that cannot be compiled.
    """
    operators.check(model)
    imported = frontend.import_onnx(model)
    if model.is_quantized:
        from edgecompress.compile import integer

        return integer.to_program(imported, model, target)
    from edgecompress.compile import floating

    return floating.to_program(imported, model)
