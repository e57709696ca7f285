"""Elementary functions in kernels, by the C functions of c_math.py."""

from __future__ import annotations

import tvm
import tvm_ffi
from tvm import tirx

C_NAMES = {
    "tirx.exp": "exp_float",
    "tirx.log": "log_float",
    "tirx.tanh": "tanh_float",
    "tirx.erf": "erf_float",
    "tirx.sigmoid": "sigmoid_float",
    "tirx.sqrt": "sqrt_float",
    "tirx.trunc": "trunc_float",
    "tirx.floor": "floor_float",
    "prim.ceil": "ceil_float",
    "tirx.round": "round_float",
    "tirx.nearbyint": "round_float",
    "tirx.fabs": "abs_float",
}
"""TVM's name of a function -> the C function that computes it."""


def call_c_functions(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """Replace the elementary functions of floats in a kernel by calls of C functions."""
    return function.with_body(tvm_ffi.structural_map(function.body, (tvm.ir.Call, _call), order="post"))


def _call(call: tvm.ir.Call) -> tirx.Expr:
    name = getattr(call.op, "name", "")
    if not isinstance(call.ty, tvm.ir.PrimType) or str(call.ty.dtype) != "float32":
        return call
    if name == "tirx.rsqrt":
        root = tirx.call_pure_extern("float32", C_NAMES["tirx.sqrt"], *call.args)
        return tirx.const(1.0, "float32") / root
    return tirx.call_pure_extern("float32", C_NAMES[name], *call.args) if name in C_NAMES else call
