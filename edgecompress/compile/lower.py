"""Turn scheduled PrimFuncs into plain C functions that need nothing of TVM: no headers, no runtime, no packed calls.

TVM's own lowering passes and C code generator do the work, without MakePackedAPI. Around them: every buffer parameter
becomes a raw pointer; every allocation above LOCAL_BYTES becomes one more pointer parameter, so that the arena planner
places it; the text is then freed of what a C reader does not expect (c_text.py).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping

import numpy as np
import tvm
import tvm_ffi
from tvm import s_tir, tirx

from edgecompress.compile import c_text
from edgecompress.compile.program import CKernel
from edgecompress.compile.schedule import READ

LOCAL_BYTES = 64
"""Larger temporary buffers go into the arena, smaller ones stay on the stack."""

C_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def lower(kernels: Mapping[str, tirx.PrimFunc | CKernel]) -> dict[str, CKernel]:
    """Lower every kernel to C, in the order given. The last pointer of a kernel is written, all others are read."""
    return {
        name: kernel if isinstance(kernel, CKernel) else lower_kernel(name, kernel) for name, kernel in kernels.items()
    }


def lower_kernel(name: str, function: tirx.PrimFunc) -> CKernel:
    """Lower one PrimFunc (s_tir, scheduled) to a static C function called `name`."""
    if not C_IDENTIFIER.fullmatch(name):
        raise ValueError(f"{name!r} is no C identifier, so it cannot name a kernel")
    target = tvm.target.Target({"kind": "c"})
    target = target.with_host(target)
    flat = _run_passes(tvm.IRModule({name: function.with_attr("global_symbol", name)}), target)[name]
    plain, workspaces = _to_pointers(name, flat)
    with target:
        module = tirx.transform.LowerIntrin()(tvm.IRModule({name: plain}))
        module = tirx.transform.RemoveNoOp()(tvm.IRModule({name: _drop_unused(module[name])}))
    module = tvm.IRModule({name: _to_inline_calls(module[name])})
    text = tvm.get_global_func("target.build.c")(module, target).inspect_source()
    pointers = sum(_is_buffer(parameter) for parameter in function.params)
    return CKernel(
        name=name,
        source=c_text.clean_function(text, name, inputs=pointers - 1),
        workspaces=workspaces,
    )


def _run_passes(module: tvm.IRModule, target: tvm.target.Target) -> tvm.IRModule:
    """Lower from s_tir blocks to flat loops over flat buffers."""
    s, t = s_tir.transform, tirx.transform
    flatten = t.FlattenBuffer()
    passes = [
        t.BindTarget(target),
        s.CanonicalizeLoop(),
        s.LowerInitBlock(),
        s.PlanAndUpdateBufferAllocationLocation(),
        s.ConvertBlocksToOpaque(),
        s.CompactBufferAllocation(),
        s.LowerMatchBuffer(),
        s.StmtSimplify(),
        s.LowerOpaqueBlock(),
        flatten,
        t.NarrowDataType(32),
        s.LoopPartition(),
        t.VectorizeLoop(False),
        t.StorageRewrite(),
        s.HoistIfThenElse(),
        t.UnrollLoop(),
        s.RenormalizeSplitPattern(),
        t.StmtSimplify(),
        t.RemoveNoOp(),
        s.RewriteUnsafeSelect(),
        t.CommonSubexprElim(),
        t.VerifyMemory(),
    ]
    with target:
        # One by one: as a tvm.ir.transform.Sequential the same passes take five times as long.
        for one_pass in passes:
            module = one_pass(module)
            if one_pass is flatten:
                module = _call_reads(module)
    return module


def _call_reads(module: tvm.IRModule) -> tvm.IRModule:
    """Replace each loop that schedule.py marked by one call of read_n, which loads n floats with one instruction."""

    def call(loop: tirx.For) -> tirx.Stmt:
        if READ not in loop.annotations:
            return loop
        first = tirx.const(0, str(loop.loop_var.ty.dtype))
        rule = (tirx.Var, lambda variable: first if variable.same_as(loop.loop_var) else variable)
        copy = tvm_ffi.structural_map(loop.body, rule)
        target = tirx.BufferLoad(copy.buffer, copy.indices)
        places = [tirx.address_of(target), tirx.address_of(copy.value)]
        return tirx.Evaluate(tirx.call_extern("void", f"read_{int(loop.extent)}", *places))

    return tvm.IRModule(
        {
            name: function.with_body(tvm_ffi.structural_map(function.body, (tirx.For, call), order="post"))
            for name, function in module.functions.items()
        }
    )


def _is_buffer(parameter: tirx.Var) -> bool:
    return isinstance(parameter.ty, tirx.buffer.BufferType) or tirx.buffer.is_buffer_var(parameter)


def _to_pointers(name: str, function: tirx.PrimFunc) -> tuple[tirx.PrimFunc, tuple[int, ...]]:
    """Make raw pointers of buffer parameters and of large allocations; return the sizes of the latter in bytes."""
    parameters: list[tirx.Var] = []
    views: list[tirx.Stmt] = []
    for parameter in function.params:
        if not _is_buffer(parameter):
            parameters.append(parameter)
            continue
        pointer = tirx.Var(c_text.identifier(parameter.name), tirx.buffer.buffer_data_pointer_type(parameter))
        parameters.append(pointer)
        views.append(tirx.DeclBuffer(parameter, data=pointer))
    workspaces: list[int] = []

    def hoist(allocation: tirx.AllocBuffer) -> tirx.Stmt:
        buffer = allocation.buffer
        size = math.prod(int(extent) for extent in buffer.shape) * np.dtype(str(buffer.dtype)).itemsize
        if size <= LOCAL_BYTES:
            return allocation
        pointer = tirx.Var(buffer.name, tirx.buffer.buffer_data_pointer_type(buffer))
        parameters.append(pointer)
        workspaces.append(size)
        return tirx.DeclBuffer(buffer, data=pointer)

    body = tvm_ffi.structural_map(function.body, (tirx.AllocBuffer, hoist), order="post")
    plain = tirx.PrimFunc(parameters, tirx.SeqStmt([*views, body]), function.ret_type, function.attrs)
    return plain.with_attr("global_symbol", name).with_attr("tirx.noalias", True), tuple(workspaces)


def _drop_unused(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """Drop variables that nothing reads; common subexpression elimination leaves some."""
    counts: Counter[tirx.Var] = Counter()
    while True:
        counts.clear()
        tvm_ffi.structural_walk(function.body, (tirx.Var, lambda variable: counts.update([variable])))
        # An occurrence is the definition itself.
        unused = {variable for variable, count in counts.items() if count == 1}
        before = function
        function = function.with_body(
            tvm_ffi.structural_map(
                function.body,
                (tirx.Bind, lambda bind: tirx.Evaluate(0) if bind.var in unused else bind),  # noqa: B023
                order="post",
            )
        )
        if tvm_ffi.structural_equal(before, function):
            return function


def _to_inline_calls(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """Replace what TVM's C printer gets wrong or prints badly by calls of the inline functions of c_text.

    - Minimum, maximum, bit casts: the printer keeps their operands in variables, and takes an operand that is written
      the same (`sum[0]`) from there even when the array has changed since: wrong results in unrolled loops.
    - Float constants: it prints six decimals. The call carries their bits, and c_text makes an exact literal of it.
    """

    def call(dtype: str, name: str, *arguments: tirx.Expr) -> tirx.Expr:
        return tirx.call_pure_extern(dtype, name, *arguments)

    def ordering(order: str, node: tirx.Max | tirx.Min) -> tirx.Expr:
        dtype = str(node.ty.dtype)
        return call(dtype, c_text.ordering(order, dtype), node.a, node.b)

    def reinterpret(node: tvm.ir.Call) -> tirx.Expr:
        if getattr(node.op, "name", "") != "tirx.reinterpret":
            return node
        dtype = str(node.ty.dtype)
        return call(dtype, c_text.bit_cast(dtype), node.args[0])

    def constant(node: tirx.FloatImm) -> tirx.Expr:
        dtype = str(node.ty.dtype)
        if dtype != "float32":
            raise ValueError(f"a kernel computes with {dtype}; the generated C knows float32 only")
        bits = int(np.array(node.value, "<f4").view("<i4"))
        return call("float32", c_text.FLOAT_MARK, tirx.const(bits, "int32"))

    rules = [
        (tirx.Max, lambda node: ordering("max", node)),
        (tirx.Min, lambda node: ordering("min", node)),
        (tvm.ir.Call, reinterpret),
        (tirx.FloatImm, constant),
    ]
    return function.with_body(tvm_ffi.structural_map(function.body, rules, order="post"))
