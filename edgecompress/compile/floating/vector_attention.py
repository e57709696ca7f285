"""Attention in a graph: two products of computed matrices with a softmax between them, wherever their operands lie.

Slices, transposes and views before it cost nothing: the kernel reads through them, as far as the numbers of a row lie
side by side.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from tvm import relax

from edgecompress.compile.floating.vector_chains import is_constant, operands_of, operator, shape
from edgecompress.compile.frontend import bindings
from edgecompress.compile.kernels import vector_attention
from edgecompress.compile.kernels.vector_attention import Attention, Operand
from edgecompress.compile.kernels.vector_core import VectorCore

_RESULT_ORDER = [0, 2, 1, 3]
"""A transpose of heads behind the positions, as it follows."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """An attention: its bindings, the last one gives the result; the layer, and the tensors that it reads."""

    members: tuple[relax.VarBinding, ...]
    layer: Attention
    arguments: tuple[relax.Var, ...]

    @property
    def last(self) -> relax.VarBinding:
        """The binding of the result."""
        return self.members[-1]


@dataclass(frozen=True, kw_only=True)
class _View:
    """Part of a tensor; `numbers` has its shape and its strides in elements, but not its numbers."""

    base: relax.Var
    start: int
    numbers: Any


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
        members, scale = [softmax, end], 1.0
        before = softmax.value.args[0]
        for name in ("relax.divide", "relax.multiply"):
            scaled = self._only_read_here(before, name)
            factor = None if scaled is None else _number(scaled.value.args[1])
            if scaled is not None and factor:
                scale = 1 / factor if name == "relax.divide" else factor
                members.insert(0, scaled)
                before = scaled.value.args[0]
                break
        scores = self._only_read_here(before, "relax.matmul")
        if scores is None:
            return None
        return self._described([scores, *members], scale)

    def _only_read_here(self, value: relax.Expr, name: str) -> relax.VarBinding | None:
        """The binding of a value by this operator, when nothing else reads it."""
        binding = self.made.get(value) if isinstance(value, relax.Var) else None
        if binding is None or operator(binding.value) != name or len(self.readers[value]) != 1:
            return None
        return binding

    def _described(self, members: list[relax.VarBinding], scale: float) -> Found | None:
        """Look through to where queries, keys and values lie; keys come transposed."""
        scores, end = members[0].value, members[-1]
        if not all(isinstance(each, relax.Var) for each in (*scores.args, end.value.args[1])):
            return None
        query, key, value = self._view(scores.args[0]), self._view(scores.args[1]), self._view(end.value.args[1])
        *batches, rows, keys = shape(members[0].var)
        outputs = shape(end.var)[-1]
        operands = (
            _operand(query, (*batches, rows), query.numbers.shape[-1]),
            _operand(_transposed(key), (*batches, keys), query.numbers.shape[-1]),
            _operand(value, (*batches, keys), outputs),
        )
        if any(operand is None for operand in operands):
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
            scale=scale,
            query=operands[0],  # type: ignore[arg-type]
            key=operands[1],  # type: ignore[arg-type]
            value=operands[2],  # type: ignore[arg-type]
            result=Operand(start=0, batches=written.strides[: len(batches)], row=written.strides[-2]),
        )
        more = [] if result is end else [result]
        return Found(members=(*members, *more), layer=layer, arguments=(query.base, key.base, value.base))

    def _result(self, end: relax.VarBinding) -> tuple[relax.VarBinding, list[int]]:
        """The binding of the result and the order of its axes: a transpose that alone reads it is part of it."""
        readers = self.readers[end.var]
        order = list(range(len(shape(end.var))))
        if len(readers) != 1 or readers[0] is None or operator(readers[0].value) != "relax.permute_dims":
            return end, order
        axes = [int(axis) % len(order) for axis in readers[0].value.attrs.axes or ()]
        return (readers[0], axes) if axes == _RESULT_ORDER else (end, order)

    def _view(self, value: relax.Var) -> _View:
        """Look through slices, transposes and reshapes that move no number."""
        binding = self.made.get(value)
        name = "" if binding is None else operator(binding.value)
        if binding is not None and name in ("relax.permute_dims", "relax.reshape", "relax.strided_slice"):
            inner = self._view(binding.value.args[0]) if isinstance(binding.value.args[0], relax.Var) else None
            moved = None if inner is None else _moved(inner, binding, name)
            if moved is not None:
                return moved
        return _View(base=value, start=0, numbers=_contiguous(shape(value)))


def _moved(inner: _View, binding: relax.VarBinding, name: str) -> _View | None:
    call, numbers = binding.value, inner.numbers
    if name == "relax.permute_dims":
        axes = call.attrs.axes
        order = None if axes is None else [int(axis) for axis in axes]
        return _View(base=inner.base, start=inner.start, numbers=numbers.transpose(order))
    if name == "relax.reshape":
        try:
            reshaped = numbers.reshape(shape(binding.var), copy=False)
        except ValueError:  # the numbers would have to move
            return None
        return _View(base=inner.base, start=inner.start, numbers=reshaped)
    axes, begins, ends = ([int(each.value) for each in argument.fields] for argument in call.args[1:4])
    steps = [int(each.value) for each in call.args[4].fields] if len(call.args) > 4 else [1] * len(axes)
    if any(step != 1 for step in steps):
        return None
    slices = [slice(None)] * numbers.ndim
    for axis, begin, end in zip(axes, begins, ends, strict=True):
        slices[axis] = slice(begin, end)
    part = numbers[tuple(slices)]
    if part.shape != shape(binding.var):
        return None
    start = inner.start + part.__array_interface__["data"][0] - numbers.__array_interface__["data"][0]
    return _View(base=inner.base, start=start, numbers=part)


def _contiguous(extents: tuple[int, ...]) -> Any:
    """An array of bytes of this shape in order, whose numbers nobody reads: there is one."""
    strides = [1] * len(extents)
    for axis in reversed(range(len(extents) - 1)):
        strides[axis] = strides[axis + 1] * extents[axis + 1]
    return as_strided(np.zeros(1, np.int8), extents, strides)


def _transposed(view: _View) -> _View:
    return _View(base=view.base, start=view.start, numbers=view.numbers.swapaxes(-1, -2))


def _operand(view: _View, extents: tuple[int, ...], length: int) -> Operand | None:
    """Where the rows of a matrix lie; None when their numbers do not lie side by side."""
    numbers = view.numbers
    if numbers.shape != (*extents, length) or numbers.strides[-1] != 1:
        return None
    return Operand(start=view.start, batches=numbers.strides[:-2], row=numbers.strides[-2])


def _number(value: relax.Expr) -> float | None:
    """A positive constant of one element."""
    if not is_constant(value) or value.value.numpy().size != 1:
        return None
    number = float(value.value.numpy().item())
    return number if number > 0 else None
