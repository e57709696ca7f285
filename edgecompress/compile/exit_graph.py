"""Which `where` of a Relax graph is an early exit that saves something (exits.py)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from tvm import relax

from edgecompress.compile import exits
from edgecompress.compile.frontend import bindings

WORTH_IT = frozenset({"relax.matmul", "relax.nn.conv1d", "relax.nn.conv2d", "relax.nn.conv3d", "relax.call_dps_packed"})
"""An exit that saves none of these stays what it is: both operands are computed. The last one is a vector kernel."""


def find(main: relax.Function) -> frozenset[str]:
    """Name the variables that are early exits: one condition for all numbers, and layers that only `other` needs."""
    bound = list(bindings(main))
    steps = [_step(binding) for binding in bound]
    kept = _names(relax.analysis.free_vars(main.body.body))
    return frozenset(
        step.makes
        for number, step in enumerate(steps)
        if step.exit is not None
        and any(_operator(bound[one].value) in WORTH_IT for one in exits.exclusive(steps, number, kept))
    )


def _step(binding: relax.Binding) -> exits.Step:
    reads = _names(relax.analysis.free_vars(binding.value))
    return exits.Step(reads=reads, makes=str(binding.var.name), exit=_operands(binding.value))


def _operands(value: Any) -> exits.Operands | None:
    if _operator(value) != "relax.where" or not all(isinstance(each, relax.Var) for each in value.args):
        return None
    condition, taken, other = value.args
    if math.prod(_shape(condition)) != 1 or not _shape(taken) == _shape(other) == _shape(value):
        return None
    return exits.Operands(condition=str(condition.name), taken=str(taken.name), other=str(other.name))


def _operator(value: Any) -> str:
    is_operator = isinstance(value, relax.Call) and hasattr(value.op, "name")
    return str(value.op.name) if is_operator else ""


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(int(extent) for extent in value.ty.shape.values)


def _names(variables: Iterable[relax.Var]) -> tuple[str, ...]:
    return tuple(str(variable.name) for variable in variables)
