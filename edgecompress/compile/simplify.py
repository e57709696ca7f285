"""Graph rewrites before a float network is lowered: less to compute and to copy, one output an operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from edgecompress.compile import folding
from edgecompress.compile.frontend import Imported
from edgecompress.core.values import Array

_NHWC_TO_NCHW = [0, 3, 1, 2]
_VIEWS = {"relax.flatten", "relax.squeeze", "relax.expand_dims"}


def simplify(imported: Imported) -> Imported:
    """Fold constants and normalisations, and read channels-last images in place.

    The variables that stay keep their names; what is computed on the way is of the same ONNX nodes.
    """
    module = folding.fold(imported.module)
    simplifier = _Simplifier(imported.origin)
    functions = dict(module.functions.items())
    functions[module.get_global_var("main")] = simplifier.visit_expr(module["main"])
    module = relax.transform.DeadCodeElimination()(tvm.IRModule(functions))
    module = folding.fold(module)
    return Imported(module=relax.transform.CanonicalizeBindings()(module), origin=simplifier.origin)


@mutator
class _Simplifier(PyExprMutator):  # type: ignore[misc]
    """Rewrites calls one by one, in graph order. `origin` says which ONNX nodes its variables come from."""

    def __init__(self, origin: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__()
        self.origin = dict(origin)
        self._current = ""
        self._rules: dict[str, Callable[[relax.Call], relax.Expr]] = {
            "relax.nn.conv2d": self._conv2d,
            "relax.permute_dims": self._permute_dims,
            **dict.fromkeys(_VIEWS, self._view),
        }

    def visit_var_binding_(self, binding: relax.VarBinding) -> None:
        self._current = binding.var.name
        super().visit_var_binding_(binding)

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        call = super().visit_call_(call)
        rule = self._rules.get(getattr(call.op, "name", ""))
        return rule(call) if rule is not None else call

    def visit_tuple_getitem_(self, item: relax.TupleGetItem) -> relax.Expr:
        item = super().visit_tuple_getitem_(item)
        source = self._producer(item.tuple_value, "relax.nn.batch_norm")
        if source is not None and item.index == 0 and all(map(_is_constant, source.args[1:])):
            return self._batch_norm(source)
        return item

    def _producer(self, value: relax.Expr, *names: str) -> relax.Call | None:
        """Return the call that computes a value, when it calls one of these operators."""
        call = self.lookup_binding(value) if isinstance(value, relax.Var) else value
        return call if isinstance(call, relax.Call) and getattr(call.op, "name", "") in names else None

    def _emit(self, value: relax.Expr) -> relax.Var:
        """Compute a part of the current variable's new value."""
        part = self.builder_.emit(value, name_hint=f"{self._current}_part")
        self.origin[part.name] = self.origin.get(self._current, ())
        return part

    def _view(self, call: relax.Call) -> relax.Expr:
        """Flatten, squeeze, expand_dims: the same bytes under another shape."""
        return relax.op.reshape(call.args[0], call.ty.shape)

    def _permute_dims(self, call: relax.Call) -> relax.Expr:
        """A transposition that only moves axes of extent 1 moves no byte."""
        extents = [int(extent) for extent in call.args[0].ty.shape.values]
        axes = [int(axis) for axis in call.attrs.axes] if call.attrs.axes is not None else [*range(len(extents))][::-1]
        moved = [axis for axis in axes if extents[axis] > 1]
        return relax.op.reshape(call.args[0], call.ty.shape) if moved == sorted(moved) else call

    def _conv2d(self, call: relax.Call) -> relax.Expr:
        """Read a channels-last image where it lies, and zeros around an image without a copy of it."""
        data, weights = call.args
        padding = [int(side) for side in call.attrs.padding]
        layout = str(call.attrs.data_layout)
        padded = self._producer(data, "relax.nn.pad")
        if padded is not None and layout == "NCHW" and (border := _zero_border(padded)) is not None:
            data, padding = padded.args[0], [a + b for a, b in zip(padding, border, strict=True)]
        transposed = self._producer(data, "relax.permute_dims")
        if transposed is not None and layout == "NCHW" and list(transposed.attrs.axes or []) == _NHWC_TO_NCHW:
            data, layout = transposed.args[0], "NHWC"
        if data.same_as(call.args[0]):
            return call
        return relax.op.nn.conv2d(
            data,
            weights,
            strides=call.attrs.strides,
            padding=padding,
            dilation=call.attrs.dilation,
            groups=int(call.attrs.groups),
            data_layout=layout,
            out_layout="NCHW",
        )

    def _batch_norm(self, call: relax.Call) -> relax.Expr:
        """Normalise by a factor and a shift for each channel."""
        data, *statistics = call.args
        gamma, beta, mean, variance = (constant.value.numpy().astype("float64") for constant in statistics)
        factor = gamma / np.sqrt(variance + float(call.attrs.epsilon))
        shape = (1, -1, *[1] * (data.ty.ndim - 2))
        scaled = self._emit(relax.op.multiply(data, _constant(factor.reshape(shape))))
        return relax.op.add(scaled, _constant((beta - mean * factor).reshape(shape)))


def _zero_border(pad: relax.Call) -> list[int] | None:
    """Return (top, left, bottom, right) of a padding with zeros of an NCHW image's rows and columns only."""
    widths = [int(width) for width in pad.attrs.pad_width]
    if (
        str(pad.attrs.pad_mode) != "constant"
        or float(pad.attrs.pad_value) != 0.0
        or len(widths) != 8
        or any(widths[:4])
    ):
        return None
    top, bottom, left, right = widths[4:]
    return [top, left, bottom, right]


def _is_constant(value: relax.Expr) -> bool:
    return isinstance(value, tvm.ir.GenericConst)


def _constant(values: Array) -> relax.Expr:
    return relax.const(values.astype("float32"))
