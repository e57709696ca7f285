"""Attention in a graph: two products of computed matrices with a softmax between them, wherever their operands lie.

Slices, transposes and views before it cost nothing: the kernel reads through them, as far as the numbers of a row lie
side by side.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from tvm import relax

from edgecompress.compile.floating.vector_chains import is_constant, operands_of, operator, shape
from edgecompress.compile.frontend import bindings
from edgecompress.compile.kernels import vector_attention
from edgecompress.compile.kernels.vector_attention import Attention, Operand
from edgecompress.compile.kernels.vector_core import VectorCore

_MOVES = frozenset({"relax.permute_dims", "relax.reshape", "relax.strided_slice"})
_FACTORS = ("relax.divide", "relax.multiply")
_RESULT_ORDER = [0, 2, 1, 3]
"""A transpose of heads behind the positions, as it follows."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """An attention: its bindings, the last one gives the result; the layer, and the tensors that it reads."""

    members: tuple[relax.VarBinding, ...]
    layer: Attention
    arguments: tuple[relax.Expr, ...]

    @property
    def last(self) -> relax.VarBinding:
        """The binding of the result."""
        return self.members[-1]


@dataclass(frozen=True, kw_only=True)
class _View:
    """Part of a tensor, times a number; `numbers` has its shape and its strides in elements, but not its numbers."""

    base: relax.Expr
    start: int
    numbers: Any
    scale: float = 1.0


def find(main: relax.Function, core: VectorCore) -> list[Found]:
    """Find what one kernel can compute on a core."""
    bound = list(bindings(main))
    graph = _Graph(made={binding.var: binding for binding in bound}, readers=defaultdict(list))
    graph.readers[main.body.body].append(None)
    for binding in bound:
        for operand in operands_of(binding.value):
            graph.readers[operand].append(binding)
    found = (graph.attention(binding) for binding in bound if operator(binding.value) == "relax.matmul")
    return [each for each in found if each is not None and vector_attention.fits(each.layer, core)]


@dataclass(frozen=True, kw_only=True)
class _Graph:
    """The bindings by variable, and who reads a variable; None is the network's end."""

    made: Mapping[relax.Var, relax.VarBinding]
    readers: Mapping[relax.Var, list[relax.VarBinding | None]]

    def attention(self, end: relax.VarBinding) -> Found | None:
        """The attention that ends with a product of a softmax."""
        softmax = self._only_read_here(end.value.args[0], "relax.nn.softmax")
        if softmax is None or int(softmax.value.attrs.axis) not in (-1, len(shape(softmax.var)) - 1):
            return None
        members, scale, mask = [softmax, end], 1.0, None
        before = softmax.value.args[0]
        masked = self._only_read_here(before, "relax.add")
        if masked is not None:
            members.insert(0, masked)
            before, mask = masked.value.args
        scaled = next((each for name in _FACTORS if (each := self._only_read_here(before, name)) is not None), None)
        factor = None if scaled is None else _factor(scaled.value)
        if scaled is not None and factor is not None:
            scale = factor
            members.insert(0, scaled)
            before = scaled.value.args[0]
        scores = self._only_read_here(before, "relax.matmul")
        return None if scores is None else self._described([scores, *members], scale, mask)

    def _only_read_here(self, value: relax.Expr, name: str) -> relax.VarBinding | None:
        """The binding of a value by this operator, when nothing else reads it."""
        binding = self.made.get(value) if isinstance(value, relax.Var) else None
        if binding is None or operator(binding.value) != name or len(self.readers[value]) != 1:
            return None
        return binding

    def _described(self, members: list[relax.VarBinding], scale: float, mask: relax.Expr | None) -> Found | None:
        """Look through to where queries, keys and values lie; keys come transposed."""
        scores, end = members[0].value, members[-1]
        if not all(isinstance(each, relax.Var) for each in (*scores.args, end.value.args[1])):
            return None
        query, key = (self._view(each, scales=True) for each in scores.args)
        value = self._view(end.value.args[1])
        *batches, rows, keys = shape(members[0].var)
        outputs = shape(end.var)[-1]
        operands = (
            _operand(query, (*batches, rows), query.numbers.shape[-1]),
            _operand(_transposed(key), (*batches, keys), query.numbers.shape[-1]),
            _operand(value, (*batches, keys), outputs),
        )
        added = None if mask is None else _mask(mask, (*batches, rows, keys))
        if any(operand is None for operand in operands) or (mask is not None and added is None):
            return None
        result, order = self._result(end)
        extents = tuple(shape(end.var)[axis] for axis in order)
        written = _contiguous(extents).transpose(np.argsort(order))
        layer = Attention(
            batches=tuple(batches),
            rows=rows,
            keys=keys,
            depth=query.numbers.shape[-1],
            outputs=outputs,
            scale=scale * query.scale * key.scale,
            query=operands[0],  # type: ignore[arg-type]
            key=operands[1],  # type: ignore[arg-type]
            value=operands[2],  # type: ignore[arg-type]
            result=Operand(start=0, batches=written.strides[: len(batches)], row=written.strides[-2]),
            mask=added,
        )
        more, read = [] if result is end else [result], () if mask is None else (mask,)
        return Found(members=(*members, *more), layer=layer, arguments=(query.base, key.base, value.base, *read))

    def _result(self, end: relax.VarBinding) -> tuple[relax.VarBinding, list[int]]:
        """The binding of the result and the order of its axes: a transpose that alone reads it is part of it."""
        readers = self.readers[end.var]
        order = list(range(len(shape(end.var))))
        if len(readers) != 1 or readers[0] is None or operator(readers[0].value) != "relax.permute_dims":
            return end, order
        axes = [int(axis) % len(order) for axis in readers[0].value.attrs.axes or ()]
        return (readers[0], axes) if axes == _RESULT_ORDER else (end, order)

    def _view(self, value: relax.Var, *, scales: bool = False) -> _View:
        """Look through slices, transposes and reshapes that move no number, and, if it `scales`, through factors."""
        binding = self.made.get(value)
        call = None if binding is None else binding.value
        if isinstance(call, relax.Call) and isinstance(call.args[0], relax.Var):
            moves, multiplies = operator(call) in _MOVES, scales and operator(call) in _FACTORS
            factor = _factor(call) if multiplies else None
            inner = self._view(call.args[0], scales=scales) if moves or factor is not None else None
            if inner is not None and factor is not None:
                return replace(inner, scale=inner.scale * factor)
            moved = None if inner is None else _moved(inner, call, shape(value))
            if moved is not None:
                return moved
        return _View(base=value, start=0, numbers=_contiguous(shape(value)))


def _moved(inner: _View, call: relax.Call, extents: tuple[int, ...]) -> _View | None:
    """The same numbers in another order or shape, or part of them; None where they would have to be copied."""
    numbers = inner.numbers
    if operator(call) == "relax.permute_dims":
        axes = call.attrs.axes
        return replace(inner, numbers=numbers.transpose(None if axes is None else [int(axis) for axis in axes]))
    if operator(call) == "relax.reshape":
        try:
            return replace(inner, numbers=numbers.reshape(extents, copy=False))
        except ValueError:
            return None
    axes, begins, ends = ([int(each.value) for each in argument.fields] for argument in call.args[1:4])
    steps = [int(each.value) for each in call.args[4].fields] if len(call.args) > 4 else [1]
    slices = [slice(None)] * numbers.ndim
    for axis, begin, end in zip(axes, begins, ends, strict=True):
        slices[axis] = slice(begin, end)
    part = numbers[tuple(slices)]
    if any(step != 1 for step in steps) or part.shape != extents:
        return None
    start = inner.start + part.__array_interface__["data"][0] - numbers.__array_interface__["data"][0]
    return replace(inner, start=start, numbers=part)


def _contiguous(extents: tuple[int, ...]) -> Any:
    """An array of bytes of this shape in order, whose numbers nobody reads: there is one."""
    strides = [1] * len(extents)
    for axis in reversed(range(len(extents) - 1)):
        strides[axis] = strides[axis + 1] * extents[axis + 1]
    return as_strided(np.zeros(1, np.int8), extents, strides)


def _transposed(view: _View) -> _View:
    return replace(view, numbers=view.numbers.swapaxes(-1, -2))


def _operand(view: _View, extents: tuple[int, ...], length: int) -> Operand | None:
    """Where the rows of a matrix lie; None when their numbers do not lie side by side."""
    numbers = view.numbers
    if numbers.shape != (*extents, length) or numbers.strides[-1] != 1:
        return None
    return Operand(start=view.start, batches=numbers.strides[:-2], row=numbers.strides[-2])


def _mask(value: relax.Expr, extents: tuple[int, ...]) -> Operand | None:
    """Where what is added to the scores lies; it may be the same for all batches or rows, not for all keys."""
    if str(value.ty.dtype.dtype) != "float32" or shape(value)[-1:] != extents[-1:]:
        return None
    try:
        numbers = np.broadcast_to(_contiguous(shape(value)), extents)
    except ValueError:
        return None
    return Operand(start=0, batches=numbers.strides[:-2], row=numbers.strides[-2])


def _factor(call: relax.Call) -> float | None:
    """What a multiplication or division by a positive constant of one element multiplies with."""
    value = call.args[1]
    if not is_constant(value) or value.value.numpy().size != 1 or shape(call) != shape(call.args[0]):
        return None
    number = float(value.value.numpy().item())
    if number <= 0:
        return None
    return 1 / number if operator(call) == "relax.divide" else number
