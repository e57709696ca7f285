"""Stretches of a graph that compute each number from the numbers at its place: what is matched, and its kernel's steps.

GELU, for one, comes as five operators; as one kernel it reads and writes each number once.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tvm import relax

from edgecompress.compile.floating.vector_chains import is_constant, operands_of, operator, shape
from edgecompress.compile.frontend import bindings
from edgecompress.compile.kernels import vector_elementwise
from edgecompress.compile.kernels.vector_elementwise import Elementwise, Operand, Quantize, Step

_BINARY = {
    "relax.add": "add",
    "relax.subtract": "subtract",
    "relax.multiply": "multiply",
    "relax.divide": "divide",
    "relax.maximum": "larger",
    "relax.minimum": "smaller",
}
_UNARY = {
    "relax.negative": "negative",
    "relax.abs": "absolute",
    "relax.exp": "exp",
    "relax.sigmoid": "sigmoid",
    "relax.erf": "erf",
    "relax.tanh": "tanh",
}
_LIMITS: Mapping[str, tuple[float | None, float | None]] = {
    "relax.nn.relu": (0.0, None),
    "relax.nn.relu6": (0.0, 6.0),
}
_ACTIVATIONS = frozenset({"relax.nn.silu", "relax.nn.gelu", "relax.square", "relax.clip"})
_KNOWN = frozenset({*_BINARY, *_UNARY, *_LIMITS, *_ACTIVATIONS})
_QUANTIZING = 5
"""Operators of a quantize: divide, round, add, clip, astype."""
MOST_MEMBERS = 24
MOST_OPERANDS = 6


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """The bindings of a stretch, in graph order; the last one is the result. Only it is read by others."""

    members: tuple[relax.VarBinding, ...]
    quantizes: bool

    @property
    def last(self) -> relax.VarBinding:
        """The binding of the result."""
        return self.members[-1]


@dataclass(frozen=True, kw_only=True)
class Written:
    """A stretch as a kernel, and the kernel's arguments."""

    layer: Elementwise
    arguments: tuple[relax.Expr, ...]


class UnknownError(Exception):
    """A stretch that the kernel cannot do: some operand has another shape."""


def find(main: relax.Function, taken: Iterable[relax.Var]) -> list[Stretch]:
    """Find the stretches outside of what is taken, each as long as it gets."""
    bound = list(bindings(main))
    made = {binding.var: binding for binding in bound}
    order = {binding.var: number for number, binding in enumerate(bound)}
    readers: dict[relax.Var, set[relax.Expr]] = defaultdict(set)
    readers[main.body.body].add(main.body)
    for binding in bound:
        for operand in operands_of(binding.value):
            readers[operand].add(binding.var)
    used = set(taken)
    stretches = []
    for binding in reversed(bound):
        end = _end(binding, made)
        if binding.var in used or end is None or any(each in used for each in end):
            continue
        inside = _grow(end, made, readers, used)
        used |= inside
        members = tuple(made[each] for each in sorted(inside, key=order.__getitem__))
        stretches.append(Stretch(members=members, quantizes=len(end) > 1))
    return stretches


def _end(binding: relax.VarBinding, made: Mapping[relax.Var, relax.VarBinding]) -> list[relax.Var] | None:
    """The bindings that a stretch ends with: one that is known, or those of a quantize; None where none can end."""
    if not isinstance(binding.var.ty, relax.TensorType):
        return None
    if operator(binding.value) in _KNOWN and str(binding.var.ty.dtype.dtype) == "float32":
        return [binding.var]
    if operator(binding.value) != "relax.astype" or str(binding.var.ty.dtype.dtype) != "int8":
        return None
    found = [binding.var]
    for name in ("relax.clip", "relax.add", "relax.round", "relax.divide"):
        inner = made.get(made[found[-1]].value.args[0])
        if inner is None or operator(inner.value) != name:
            return None
        if name in ("relax.add", "relax.divide") and not _is_number(inner.value.args[1]):
            return None
        found.append(inner.var)
    return found


def _grow(
    end: list[relax.Var],
    made: Mapping[relax.Var, relax.VarBinding],
    readers: Mapping[relax.Var, set[relax.Expr]],
    used: set[relax.Var],
) -> set[relax.Var]:
    """Take in what only the stretch reads, step by step backwards."""
    inside = set(end)
    waiting = list(end)
    while waiting:
        for operand in operands_of(made[waiting.pop()].value):
            inner = made.get(operand)
            if inner is None or operand in inside or operand in used or operator(inner.value) not in _KNOWN:
                continue
            alike = _stripped(shape(operand)) == _stripped(shape(end[0]))
            if alike and readers[operand] <= inside and len(inside) < MOST_MEMBERS:
                inside.add(operand)
                waiting.append(operand)
    return inside


def _stripped(extents: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without the ones before it."""
    first = next((place for place, extent in enumerate(extents) if extent != 1), len(extents))
    return extents[first:]


def _is_number(value: relax.Expr) -> bool:
    return is_constant(value) and value.value.numpy().size == 1


def write(stretch: Stretch, read: Callable[[relax.Expr], relax.Expr], extents: tuple[int, ...]) -> Written:
    """Make the steps of a stretch whose result has this shape in memory; `read` gives an operand as it lies there.

    Raises UnknownError for an operand that is neither as large as the result, nor a row of it, nor a number.
    """
    return _Writer(stretch, read, extents).written()


@dataclass(frozen=True, kw_only=True)
class _Value:
    """An operand or a step, by its place among them."""

    place: int
    is_step: bool


class _Writer:
    """The operands and steps of a stretch in the making."""

    def __init__(self, stretch: Stretch, read: Callable[[relax.Expr], relax.Expr], extents: tuple[int, ...]) -> None:
        self._stretch = stretch
        self._read = read
        self._extents = _stripped(extents)
        self._arguments: list[relax.Expr] = []
        self._operands: list[Operand] = []
        self._steps: list[tuple[str, tuple[_Value, ...], float]] = []
        self._values: dict[relax.Var, _Value] = {}

    def written(self) -> Written:
        """Go through the members, then put operands before steps."""
        members = self._stretch.members
        plain = members[:-_QUANTIZING] if self._stretch.quantizes else members
        for member in plain:
            self._values[member.var] = self._member(member.value)
        ending = self._quantize(members[-_QUANTIZING:]) if self._stretch.quantizes else None
        result = self._values[members[-1].var] if ending is None else ending[0]
        if len(self._operands) > MOST_OPERANDS:
            raise UnknownError
        row = self._extents[-1] if "row" in self._operands else None
        rows, run = vector_elementwise.split(math.prod(self._extents), row)
        layer = Elementwise(
            rows=rows,
            run=run,
            operands=tuple(self._operands),
            steps=tuple(
                Step(function=function, values=tuple(map(self._count, values)), number=number)
                for function, values, number in self._steps
            ),
            result=self._count(result),
            quantizes=None if ending is None else self._quantizes(*ending[1:]),
        )
        return Written(layer=layer, arguments=tuple(self._arguments))

    def _count(self, value: _Value) -> int:
        return value.place + (len(self._operands) if value.is_step else 0)

    def _quantize(self, members: tuple[relax.VarBinding, ...]) -> tuple[_Value, _Value, _Value, relax.Call]:
        """What is quantized, the scale, the zero point, and the clip."""
        divided, _, added, clipped, _ = (member.value for member in members)
        value, scale = (self._value(each) for each in divided.args)
        return value, scale, self._value(added.args[1]), clipped

    def _quantizes(self, scale: _Value, zero: _Value, clipped: relax.Call) -> Quantize:
        low, high = (int(bound.value) for bound in clipped.args[1:])
        return Quantize(scale=self._count(scale), zero=self._count(zero), low=low, high=high)

    def _value(self, expression: relax.Expr) -> _Value:
        """A value that a member reads: an earlier member, a number, or an operand."""
        if expression in self._values:
            return self._values[expression]
        if is_constant(expression) and expression.value.numpy().ndim == 0:
            return self._number(float(expression.value.numpy()))
        if _is_number(expression):
            return self._operand("number", expression)
        argument = self._read(expression)
        extents = _stripped(shape(argument))
        if str(argument.ty.dtype.dtype) != "float32":
            raise UnknownError
        if extents == self._extents:
            return self._operand("tensor", argument, expression)
        if extents and extents == self._extents[-1:]:
            return self._operand("row", argument, expression)
        raise UnknownError

    def _operand(self, kind: Operand, argument: relax.Expr, of: relax.Expr | None = None) -> _Value:
        value = _Value(place=len(self._operands), is_step=False)
        self._operands.append(kind)
        self._arguments.append(argument)
        if isinstance(of, relax.Var):
            self._values[of] = value
        return value

    def _number(self, number: float) -> _Value:
        return self._step("number", number=number)

    def _step(self, function: str, *values: _Value, number: float = 0.0) -> _Value:
        """Append a step; the same step is done once."""
        step = (function, values, number)
        if step not in self._steps:
            self._steps.append(step)
        return _Value(place=self._steps.index(step), is_step=True)

    def _member(self, call: relax.Call) -> _Value:
        name = operator(call)
        if name in _BINARY:
            return self._binary(_BINARY[name], *call.args)
        value = self._value(call.args[0])
        if name in _UNARY:
            return self._step(_UNARY[name], value)
        if name == "relax.square":
            return self._step("multiply", value, value)
        if name == "relax.nn.silu":
            return self._step("multiply", value, self._step("sigmoid", value))
        if name == "relax.nn.gelu":
            scaled = self._step("multiply", value, self._number(math.sqrt(0.5)))
            half = self._step("multiply", value, self._number(0.5))
            return self._step("multiply", half, self._step("add", self._step("erf", scaled), self._number(1.0)))
        low, high = _LIMITS.get(name, (None, None))
        if name == "relax.clip":
            low, high = (float(bound.value) + 0.0 for bound in call.args[1:])
        return self._limited(value, low, high)

    def _binary(self, function: str, first: relax.Expr, second: relax.Expr) -> _Value:
        if function == "divide" and is_constant(second) and second.value.numpy().ndim == 0:
            reciprocal = 1.0 / float(second.value.numpy())
            return self._step("multiply", self._value(first), self._number(reciprocal))
        return self._step(function, self._value(first), self._value(second))

    def _limited(self, value: _Value, low: float | None, high: float | None) -> _Value:
        if low is not None:
            value = self._step("limit_max", value, self._number(low))
        return value if high is None else self._step("limit_min", value, self._number(high))
