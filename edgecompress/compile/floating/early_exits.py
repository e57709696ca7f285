"""Early exits of a float network: kept out of the groups of operators, then put in the order of a device (exits.py)."""

from __future__ import annotations

import dataclasses

import tvm
from tvm import relax

from edgecompress.compile import exit_graph, exits
from edgecompress.compile.frontend import Imported
from edgecompress.compile.program import Call, Program
from edgecompress.core.bundle import EARLY_EXIT, LATE_EXIT

CALLED = "edgecompress_early_exit"
"""What the graph calls where it has an exit."""


def mark(imported: Imported) -> Imported:
    """Let the graph call something opaque for every exit: nothing is fused with it, or across it."""
    found = exit_graph.find(imported.module["main"])
    if not found:
        return imported
    main = imported.module["main"]
    blocks = [
        type(block)([_marked(binding) if binding.var.name in found else binding for binding in block.bindings])
        for block in main.body.blocks
    ]
    body = relax.SeqExpr(blocks, main.body.body)
    functions = dict(imported.module.functions.items())
    functions[imported.module.get_global_var("main")] = relax.Function(
        main.params, body, main.ret_ty, main.is_pure, main.attrs
    )
    return Imported(module=tvm.IRModule(functions), origin=imported.origin)


def _marked(binding: relax.Binding) -> relax.Binding:
    call = relax.op.call_dps_packed(CALLED, list(binding.value.args), out_ty=binding.var.ty)
    return relax.VarBinding(binding.var, relax.BlockBuilder().normalize(call))


def split(program: Program) -> Program:
    """Put what an exit can save between its two halves: a copy of `taken` on the condition, and one of `other`."""
    if not any(call.op == EARLY_EXIT for call in program.calls):
        return program
    kept = [spec.name for spec in program.outputs]
    placed = exits.order([_step(call) for call in program.calls], kept)
    return dataclasses.replace(program, calls=tuple(_part(program.calls[number], part) for number, part in placed))


def _step(call: Call) -> exits.Step:
    return exits.Step(reads=call.arguments, makes=call.output, exit=_operands(call) if call.op == EARLY_EXIT else None)


def _operands(call: Call) -> exits.Operands:
    condition, taken, other = call.arguments
    return exits.Operands(condition=condition, taken=taken, other=other)


def _part(call: Call, part: exits.Part) -> Call:
    if part == "whole":
        return call
    operands = _operands(call)
    if part == "exit":
        return dataclasses.replace(call, arguments=(operands.taken,), condition=operands.condition)
    return dataclasses.replace(call, name=f"{call.name}_{part}", op=LATE_EXIT, arguments=(operands.other,))
