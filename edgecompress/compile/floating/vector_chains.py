"""Chains in the graph: a convolution or matrix product, and what follows it number by number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import tvm
from tvm import relax

from edgecompress.compile.frontend import bindings
from edgecompress.core.values import Array


@dataclass(kw_only=True)
class Chain:
    """A product and its followers: sums * scale + bias + other, then limits; `members` in graph order."""

    head: relax.VarBinding
    members: list[relax.VarBinding] = field(default_factory=list)
    scale: Array | None = None
    bias: Array | None = None
    other: relax.Var | None = None
    low: float | None = None
    high: float | None = None

    @property
    def last(self) -> relax.VarBinding:
        """The binding of the chain's result."""
        return self.members[-1]


def find(main: relax.Function) -> list[Chain]:
    """Find the chains that start at a convolution in two dimensions or a product with constant weights."""
    readers: dict[relax.Var, list[relax.VarBinding]] = defaultdict(list)
    bound = list(bindings(main))
    for binding in bound:
        for operand in operands_of(binding.value):
            readers[operand].append(binding)
    kept = set(operands_of(main.body.body)) | {
        field for binding in bound if isinstance(binding.value, relax.Tuple) for field in operands_of(binding.value)
    }
    taken: set[relax.Var] = set()
    chains = []
    for binding in bound:
        if not _starts(binding):
            continue
        chain = Chain(head=binding, members=[binding])
        while chain.last.var not in kept and len(readers[chain.last.var]) == 1:
            follower = readers[chain.last.var][0]
            if follower.var in taken or not _absorb(chain, follower):
                break
            chain.members.append(follower)
        taken.update(member.var for member in chain.members)
        chains.append(chain)
    return chains


def operator(value: relax.Expr) -> str:
    """The name of the operator that an expression calls, or nothing."""
    return getattr(value.op, "name", "") if isinstance(value, relax.Call) else ""


def shape(value: relax.Expr) -> tuple[int, ...]:
    """The shape of a tensor."""
    return tuple(int(extent) for extent in value.ty.shape.values)


def is_constant(value: relax.Expr) -> bool:
    """True for a constant."""
    return isinstance(value, tvm.ir.GenericConst)


def operands_of(value: relax.Expr) -> Iterable[relax.Var]:
    """The variables that an expression reads."""
    fields = value.fields if isinstance(value, relax.Tuple) else getattr(value, "args", [value])
    for each in fields:
        if isinstance(each, relax.Var):
            yield each
        elif isinstance(each, relax.Tuple):
            yield from operands_of(each)


def _starts(binding: relax.VarBinding) -> bool:
    value = binding.value
    name = operator(value)
    if name == "relax.nn.conv2d":
        return is_constant(value.args[1]) and str(value.attrs.kernel_layout) == "OIHW"
    return (
        name == "relax.matmul" and is_constant(value.args[1]) and value.args[1].ty.ndim == 2 and len(shape(value)) > 1
    )


def _absorb(chain: Chain, follower: relax.VarBinding) -> bool:
    """Take one follower into the chain; False when its kernel cannot do it."""
    call, value = follower.value, chain.last.var
    name = operator(call)
    if name in ("relax.add", "relax.multiply"):
        operand = call.args[1] if value.same_as(call.args[0]) else call.args[0]
        if shape(call) != shape(value) or value.same_as(operand) or chain.other is not None:
            return False
        return _absorb_constant(chain, name, operand) if is_constant(operand) else _absorb_tensor(chain, name, operand)
    if name == "relax.nn.relu":
        chain.low = 0.0
    elif name == "relax.nn.relu6":
        chain.low, chain.high = 0.0, 6.0
    elif name == "relax.clip":
        low, high = (float(bound.value) for bound in call.args[1:])
        if high == 0:
            return False
        chain.low, chain.high = low + 0.0, high
    else:
        return False
    return True


def _absorb_constant(chain: Chain, name: str, operand: relax.Expr) -> bool:
    """Scale or move each channel by a number of its own."""
    if chain.low is not None or chain.high is not None:
        return False
    per_channel = _per_channel(operand.value.numpy(), shape(chain.last.var), chain)
    if per_channel is None or str(operand.ty.dtype.dtype) != "float32":
        return False
    if name == "relax.add":
        chain.bias = per_channel if chain.bias is None else chain.bias + per_channel
    else:
        chain.scale = per_channel if chain.scale is None else chain.scale * per_channel
        chain.bias = None if chain.bias is None else chain.bias * per_channel
    return True


def _per_channel(values: Array, of: tuple[int, ...], chain: Chain) -> Array | None:
    """A constant as one number a channel, when it is the same for all pixels."""
    axis = 1 if operator(chain.head.value) == "relax.nn.conv2d" else len(of) - 1
    full = values.reshape((1,) * (len(of) - values.ndim) + values.shape)
    if any(extent != 1 for number, extent in enumerate(full.shape) if number != axis):
        return None
    return np.broadcast_to(full.astype(np.float64).ravel(), (of[axis],))


def _absorb_tensor(chain: Chain, name: str, operand: relax.Expr) -> bool:
    """Add another tensor of the same shape."""
    limited = chain.low is not None or chain.high is not None
    if name != "relax.add" or limited or not isinstance(operand, relax.Var) or shape(operand) != shape(chain.last.var):
        return False
    chain.other = operand
    return True
