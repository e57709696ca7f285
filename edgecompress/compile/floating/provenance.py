"""Which operators and ONNX nodes went into a fused kernel."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import tvm
from tvm import relax

from edgecompress.compile.frontend import bindings


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The main operator of a call, and the labels of all ONNX nodes that it computes, in graph order."""

    op: str
    onnx_nodes: tuple[str, ...]


def trace(before: relax.Function, fused: tvm.IRModule, nodes: Mapping[str, tuple[str, ...]]) -> tuple[Origin, ...]:
    """Find the origin of every binding of `main` after FuseOps, in order.

    `before` is `main` with one call an operator, `nodes` the ONNX nodes by its variables. FuseOps keeps the calls but
    renames the variable of a group's last one: that is found again by its kernel and operands.
    """
    known = {_signature(binding): binding.var.name for binding in bindings(before)}

    def origin(binding: relax.Binding) -> Origin:
        group = fused[binding.value.op] if isinstance(getattr(binding.value, "op", None), tvm.ir.GlobalVar) else None
        members = [*bindings(group)] if group is not None else [binding]
        names = [known.get(_signature(member), member.var.name) for member in members]
        labels = dict.fromkeys(label for name in names for label in nodes.get(name, ()))
        return Origin(op=_main_op(members, fused), onnx_nodes=tuple(labels))

    return tuple(origin(binding) for binding in bindings(fused["main"]))


def _signature(binding: relax.Binding) -> tuple[str, ...]:
    """Name the kernel and the operands of a call; constants, parameters of a group once fused, are left open."""
    call = binding.value
    if not _calls_kernel(call):
        return ("", binding.var.name)
    operands = [getattr(operand, "name", "_") for operand in call.args[1].fields]
    return (call.args[0].name_hint, *(re.sub(r"^param_\d+$", "_", name) for name in operands))


def _main_op(members: list[relax.Binding], module: tvm.IRModule) -> str:
    """Return the operator that does most: a reduction before a transposition before what works element by element."""
    kernels = [member.value.args[0] for member in members if _calls_kernel(member.value)]
    if not kernels:
        return "view"
    main = max(kernels, key=lambda kernel: int(module[kernel].attrs["op_pattern"]))
    return re.sub(r"^tir_|\d+$", "", main.name_hint)


def _calls_kernel(value: relax.Expr) -> bool:
    return isinstance(value, relax.Call) and isinstance(value.args[0], tvm.ir.GlobalVar)
