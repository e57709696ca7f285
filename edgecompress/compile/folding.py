"""Fold constants. Views and transpositions, all that most networks have, need no compiler as TVM's own pass does.

That pass would legalize every operator of the network, and compile a function for each constant.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tvm
import tvm_ffi
from tvm import relax


def fold(module: tvm.IRModule) -> tvm.IRModule:
    """Compute what depends on constants alone. The variables that stay keep their names."""
    functions = dict(module.functions.items())
    main = _fold_views(module["main"])
    functions[module.get_global_var("main")] = main
    module = tvm.IRModule(functions)
    return relax.transform.FoldConstant()(module) if _has_more(main) else module


def _fold_views(function: relax.Function) -> relax.Function:
    constants: dict[relax.Var, relax.Expr] = {}
    rule = (relax.Var, lambda variable: constants.get(variable, variable))
    blocks = []
    for block in function.body.blocks:
        kept = []
        for binding in block.bindings:
            value = tvm_ffi.structural_map(binding.value, rule) if constants else binding.value
            view = _view(value) if isinstance(binding.var, relax.DataflowVar) else None
            if view is not None:
                constants[binding.var] = view
            else:
                kept.append(binding if value.same_as(binding.value) else relax.VarBinding(binding.var, value))
        blocks.append(type(block)(kept))
    if not constants:
        return function
    return relax.Function(
        function.params, relax.SeqExpr(blocks, function.body.body), function.ret_ty, function.is_pure, function.attrs
    )


def _view(value: relax.Expr) -> relax.Expr | None:
    """A constant under another shape, or with its axes in another order; None for any other value."""
    name = getattr(value.op, "name", "") if isinstance(value, relax.Call) else ""
    if name not in ("relax.reshape", "relax.permute_dims") or not _is_constant(value.args[0]):
        return None
    numbers = value.args[0].value.numpy()
    if name == "relax.reshape":
        return relax.const(numbers.reshape(_extents(value)), str(numbers.dtype))
    axes = None if value.attrs.axes is None else [int(axis) for axis in value.attrs.axes]
    return relax.const(np.ascontiguousarray(numbers.transpose(axes)), str(numbers.dtype))


def _extents(value: relax.Expr) -> Sequence[int]:
    return [int(extent) for extent in value.ty.shape.values]


def _has_more(function: relax.Function) -> bool:
    """True when a call is left that depends on no variable."""
    calls = (binding.value for block in function.body.blocks for binding in block.bindings)
    return any(isinstance(call, relax.Call) and all(map(_is_known, call.args)) for call in calls)


def _is_known(argument: relax.Expr) -> bool:
    if isinstance(argument, relax.Tuple):
        return all(map(_is_known, argument.fields))
    return not isinstance(argument, relax.Var | relax.Call)


def _is_constant(value: relax.Expr) -> bool:
    return isinstance(value, tvm.ir.GenericConst)
