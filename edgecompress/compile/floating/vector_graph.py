"""Bring a float network to vector kernels: images with channels last, and calls of kernels of our own.

What has no vector kernel stays as it is and takes TVM's way afterwards. A value lies with channels first or last; it is
transposed where a reader wants it otherwise, once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import tvm
from tvm import relax

from edgecompress.compile.floating import (
    half_chains,
    vector_attention,
    vector_chains,
    vector_elementwise,
    vector_products,
)
from edgecompress.compile.floating.vector_chains import Chain, is_constant, operator, shape
from edgecompress.compile.floating.vector_elementwise import Stretch
from edgecompress.compile.floating.vector_layers import Layer, VectorLayers
from edgecompress.compile.frontend import Imported, bindings
from edgecompress.compile.half_losses import Loss
from edgecompress.compile.kernels.half_widening import Widening
from edgecompress.compile.kernels.vector_core import VectorCore
from edgecompress.compile.kernels.vector_depthwise import Depthwise
from edgecompress.compile.kernels.vector_pool import Pool
from edgecompress.compile.kernels.vector_product import Product, types
from edgecompress.compile.kernels.vector_rows import LayerNorm, Softmax
from edgecompress.compile.kernels.vector_winograd import Winograd
from edgecompress.compile.kernels.vector_winograd_choice import Choice
from edgecompress.compile.kernels.window import Window

_LAST = [0, 2, 3, 1]
_FIRST = [0, 3, 1, 2]

_ELEMENTWISE = """
abs add ceil clip divide erf exp floor log maximum minimum multiply negative nn.gelu nn.leakyrelu nn.relu nn.relu6
nn.silu nn.softplus power round rsqrt sigmoid sqrt square subtract tanh
"""
_BY_NUMBER = frozenset(f"relax.{name}" for name in _ELEMENTWISE.split())
"""Operators that compute each number from the numbers at its place, whatever the order of the axes."""


@dataclass(frozen=True, kw_only=True)
class Rewritten:
    """A network that calls vector kernels: `relax.call_dps_packed` of the names in `layers`."""

    network: Imported
    layers: VectorLayers


def rewrite(
    imported: Imported, core: VectorCore, winograd: Choice | None = None, losses: Mapping[str, Loss] | None = None
) -> Rewritten:
    """Replace what vector kernels can do by calls of them; `winograd` chooses Winograd's filters, where given.

    `losses`, by the labels of nodes, let layers multiply halves.
    """
    layers = VectorLayers(core=core, winograd=winograd)
    rewriter = _Rewriter(imported, layers, losses or {})
    return Rewritten(network=rewriter.rewrite(), layers=layers)


class _Rewriter:
    """A network in the making.

    `_first` and `_last` hold each value with channels first and last, as far as made, and `_halves` those that were
    written as halves, images with channels last.
    """

    def __init__(self, imported: Imported, layers: VectorLayers, losses: Mapping[str, Loss]) -> None:
        self._module = imported.module
        self._main = imported.module["main"]
        self._builder = relax.BlockBuilder()
        self._origin: dict[str, tuple[str, ...]] = dict(imported.origin)
        self._first: dict[relax.Var, relax.Expr] = {}
        self._last: dict[relax.Var, relax.Expr] = {}
        self._halves: dict[relax.Var, relax.Expr] = {}
        self.layers = layers
        chains = vector_chains.find(self._main)
        self._chains = {chain.last.var: chain for chain in chains}
        self._heads = {chain.last.var: chain.head.value for chain in chains}
        self._half_chains = half_chains.find(self._main, chains, layers.winograd, losses, self._origin)
        self._inside = {member.var for chain in chains for member in chain.members[:-1]}
        self._attentions = {each.last.var: each for each in vector_attention.find(self._main, layers.core)}
        self._inside |= {member.var for each in self._attentions.values() for member in each.members[:-1]}
        stretches = vector_elementwise.find(self._main, [*self._chains, *self._attentions, *self._inside])
        self._stretches = {stretch.last.var: stretch for stretch in stretches}
        self._inside |= {member.var for stretch in stretches for member in stretch.members[:-1]}
        self._rules: Mapping[str, Callable[[relax.VarBinding], bool]] = {
            "relax.nn.max_pool2d": self._pool,
            "relax.nn.avg_pool2d": self._pool,
            "relax.nn.adaptive_avg_pool2d": self._global_average,
            "relax.mean": self._global_average,
            "relax.matmul": self._computed_product,
            "relax.nn.softmax": self._softmax,
            "relax.nn.layer_norm": self._layer_norm,
            **dict.fromkeys(_BY_NUMBER, self._by_number),
        }

    def rewrite(self) -> Imported:
        """Go through the network in order."""
        parameters = [relax.Var(parameter.name, parameter.ty) for parameter in self._main.params]
        self._first = dict(zip(self._main.params, parameters, strict=True))
        with self._builder.function("main", parameters):
            with self._builder.dataflow():
                for binding in bindings(self._main):
                    if binding.var not in self._inside:
                        self._rewrite(binding)
                result = self._builder.emit_output(self._as_first(self._main.body.body))
            self._builder.emit_func_output(result)
        functions = dict(self._module.functions.items())
        functions[self._module.get_global_var("main")] = self._builder.finalize()["main"]
        module = relax.transform.DeadCodeElimination()(tvm.IRModule(functions))
        return Imported(module=relax.transform.CanonicalizeBindings()(module), origin=self._origin)

    def _rewrite(self, binding: relax.VarBinding) -> None:
        chain = self._chains.get(binding.var)
        if chain is not None and self._chain(chain):
            return
        if chain is not None:
            for member in chain.members:
                self._keep(member)
            return
        stretch, attention = self._stretches.get(binding.var), self._attentions.get(binding.var)
        if attention is not None:
            read = [self._as_first(each) for each in attention.arguments]
            self._first[binding.var] = self._call(attention.layer, read, shape(binding.var), [*attention.members])
        elif stretch is None:
            self._rewrite_alone(binding)
        elif not self._elementwise(stretch):
            for member in stretch.members:
                self._rewrite_alone(member)

    def _rewrite_alone(self, binding: relax.VarBinding) -> None:
        rule = self._rules.get(operator(binding.value))
        if rule is None or not rule(binding):
            self._keep(binding)

    def _keep(self, binding: relax.VarBinding) -> None:
        """Leave a binding as it is."""
        value = binding.value
        if isinstance(value, relax.Call):
            value = relax.Call(value.op, [self._as_first(each) for each in value.args], value.attrs, value.ty_args)
        else:
            value = self._as_first(value)
        self._first[binding.var] = self._emit(value, binding.var.name)

    def _chain(self, chain: Chain) -> bool:
        """A product of constants and what follows it; halves where half precision is worth it."""
        product = vector_products.of(chain)
        if product is None:
            return False
        data, convolves = chain.head.value.args[0], vector_products.is_convolution(chain)
        halves = self._half_chains.halves(chain, reads=data in self._halves)
        layer = self._choose_layer(replace(product, halves=halves, planes=self._comes_in_planes(chain, product)))
        halves = None if isinstance(layer, Winograd) else halves
        weights = vector_products.weights(chain)
        weights = weights if halves is None else self._half_chains.rounded(chain, weights)
        where = self._as_last if convolves else self._as_first
        if halves and halves.reads:
            image = self._halves[data]
        else:
            image = self._as_first(data) if self._reads_first(chain, product) else where(data)
        other = [where(chain.other)] if chain.other is not None else []
        arguments = [image, *self.layers.constants(layer, weights, chain.bias), *other]
        result, window = chain.last.var, product.window
        extents = shape(result)
        if convolves:
            extents = (product.batch, window.output_height, window.output_width, product.outputs)
        places = self._halves if halves and halves.writes else self._last if convolves else self._first
        places[result] = self._call(layer, arguments, extents, chain.members, types(halves)[1])
        return True

    def _choose_layer(self, product: Product) -> Product | Winograd | Depthwise:
        """Choose the algorithm of a product."""
        if vector_products.is_depthwise(product):
            return Depthwise(
                window=product.window,
                batch=product.batch,
                planes=product.planes,
                has_bias=product.has_bias,
                finish=product.finish,
                halves=product.halves,
            )
        return self.layers.choose_convolution(product)

    def _comes_in_planes(self, chain: Chain, product: Product) -> bool:
        """True for a padded image that is only there with channels first: the copy with its border moves them."""
        data = chain.head.value.args[0]
        known = data in self._last or data in self._halves
        return self._is_planar(chain) and not known and product.window.is_padded

    def _reads_first(self, chain: Chain, product: Product) -> bool:
        """True for an image that is read as the network gives it."""
        if not vector_products.is_convolution(chain):
            return True
        return self._comes_in_planes(chain, product) or not self._is_planar(chain)

    def _is_planar(self, chain: Chain) -> bool:
        call = chain.head.value
        return vector_products.is_convolution(chain) and str(call.attrs.data_layout) == "NCHW"

    def _computed_product(self, binding: relax.VarBinding) -> bool:
        """A product of two tensors that the network computes, matrix by matrix; its outputs are whole vectors."""
        data, weights = binding.value.args
        if not isinstance(data, relax.Var) or not isinstance(weights, relax.Var):
            return False
        *batches, rows, inputs = shape(data)
        outputs = shape(weights)[-1]
        if not batches or shape(weights)[:-2] != tuple(batches) or outputs % self.layers.core.width:
            return False
        layer = Product(
            window=Window(height=1, width=rows, channels=inputs, kernel=(1, 1)),
            outputs=outputs,
            batch=int(np.prod(batches)),
            computed=True,
            has_bias=False,
        )
        arguments = [self._as_first(data), self._as_first(weights)]
        self._first[binding.var] = self._call(layer, arguments, shape(binding.var), [binding])
        return True

    def _pool(self, binding: relax.VarBinding) -> bool:
        call = binding.value
        data = call.args[0]
        size = tuple(int(extent) for extent in call.attrs.pool_size)
        if str(call.attrs.layout) != "NCHW":
            return False
        window = vector_products.window(shape(data), "NCHW", size, call)
        result = (window.output_height, window.output_width)
        if result != shape(binding.var)[2:]:
            return False
        kind: Literal["max", "average"] = "max" if operator(call) == "relax.nn.max_pool2d" else "average"
        counts_border = kind == "average" and bool(call.attrs.count_include_pad)
        self._pool_layer(binding, Pool(window=window, kind=kind, counts_border=counts_border, batch=shape(data)[0]))
        return True

    def _global_average(self, binding: relax.VarBinding) -> bool:
        call = binding.value
        data = call.args[0]
        if len(shape(data)) != 4 or not self._is_global(binding):
            return False
        batch, channels, height, width = shape(data)
        window = Window(height=height, width=width, channels=channels, kernel=(height, width))
        self._pool_layer(binding, Pool(window=window, kind="average", batch=batch))
        return True

    def _is_global(self, binding: relax.VarBinding) -> bool:
        """True for an average over all pixels."""
        call = binding.value
        if operator(call) == "relax.nn.adaptive_avg_pool2d":
            return str(call.attrs.layout) == "NCHW" and shape(binding.var)[2:] == (1, 1)
        axes = sorted(int(axis) % 4 for axis in call.attrs.axis or [])
        return axes == [2, 3]

    def _pool_layer(self, binding: relax.VarBinding, layer: Pool) -> None:
        window = layer.window
        extents = (layer.batch, window.output_height, window.output_width, window.channels)
        result = self._call(layer, [self._as_last(binding.value.args[0])], extents, [binding])
        if len(shape(binding.var)) == 4:
            self._last[binding.var] = result
        else:
            self._first[binding.var] = self._emit(relax.op.reshape(result, shape(binding.var)), binding.var.name)

    def _softmax(self, binding: relax.VarBinding) -> bool:
        """A softmax of rows of whole vectors."""
        *rows, length = shape(binding.var)
        if int(binding.value.attrs.axis) not in (-1, len(rows)) or length % self.layers.core.width:
            return False
        layer = Softmax(rows=int(np.prod(rows)), length=length)
        arguments = [self._as_first(binding.value.args[0])]
        self._first[binding.var] = self._call(layer, arguments, shape(binding.var), [binding])
        return True

    def _layer_norm(self, binding: relax.VarBinding) -> bool:
        """A normalisation of rows of whole vectors, scaled and moved."""
        call = binding.value
        *rows, length = shape(binding.var)
        axes = [int(axis) % (len(rows) + 1) for axis in call.attrs.axes]
        plain = axes == [len(rows)] and bool(call.attrs.center) and bool(call.attrs.scale)
        if not plain or length % self.layers.core.width or not all(map(is_constant, call.args[1:])):
            return False
        layer = LayerNorm(rows=int(np.prod(rows)), length=length, epsilon=float(call.attrs.epsilon))
        arguments = [self._as_first(each) for each in call.args]
        self._first[binding.var] = self._call(layer, arguments, shape(binding.var), [binding])
        return True

    def _elementwise(self, stretch: Stretch) -> bool:
        """Compute a stretch with channels last when something that it reads is only there so."""
        result = stretch.last.var
        read = {each for member in stretch.members for each in vector_chains.operands_of(member.value)}
        is_last = len(shape(result)) == 4 and any(each in self._last and each not in self._first for each in read)
        extents = tuple(shape(result)[axis] for axis in _LAST) if is_last else shape(result)
        try:
            written = vector_elementwise.write(stretch, self._operand if is_last else self._as_first, extents)
        except vector_elementwise.UnknownError:
            return False
        places = self._last if is_last else self._first
        dtype = str(result.ty.dtype.dtype)
        places[result] = self._call(written.layer, [*written.arguments], extents, [*stretch.members], dtype)
        return True

    def _by_number(self, binding: relax.VarBinding) -> bool:
        """Compute with channels last what is only there with channels last."""
        call = binding.value
        images = [each for each in call.args if isinstance(each, relax.Var)]
        if not any(each in self._last and each not in self._first for each in images) or len(shape(binding.var)) != 4:
            return False
        if any(len(shape(each)) != 4 for each in images):
            return False
        arguments = [self._operand(each) for each in call.args]
        value = relax.Call(call.op, arguments, call.attrs, call.ty_args)
        self._last[binding.var] = self._emit(value, binding.var.name)
        return True

    def _operand(self, value: relax.Expr) -> relax.Expr:
        """An operand with channels last; constants are transposed here."""
        if isinstance(value, relax.Var):
            return self._as_last(value)
        if not is_constant(value) or value.ty.ndim < 3:  # fewer axes would be those of an image's columns
            return value if not is_constant(value) else _last_constant(value)
        return _last_constant(value)

    def _as_first(self, value: relax.Expr) -> relax.Expr:
        """A value as the network gives it: images with channels first."""
        if isinstance(value, relax.Tuple):
            return relax.Tuple([self._as_first(each) for each in value.fields])
        if not isinstance(value, relax.Var):
            return value
        self._widen(value)
        if value not in self._first:
            self._first[value] = self._transposed(self._last[value], _FIRST, value)
        return self._first[value]

    def _as_last(self, value: relax.Var) -> relax.Expr:
        """An image with channels last."""
        self._widen(value)
        if value not in self._last:
            self._last[value] = self._transposed(self._first[value], _LAST, value)
        return self._last[value]

    def _widen(self, value: relax.Var) -> None:
        """Make floats of a value that is only there as halves."""
        if value in self._first or value in self._last:
            return
        halves = self._halves[value]
        name = self.layers.add(Widening(count=int(np.prod(shape(halves)))))
        widened = relax.call_dps_packed(name, [halves], relax.TensorType(shape(halves), "float32"))
        is_image = operator(self._heads[value]) == "relax.nn.conv2d"
        (self._last if is_image else self._first)[value] = self._emit(widened, f"{value.name}_widened", like=value.name)

    def _transposed(self, value: relax.Expr, axes: list[int], of: relax.Var) -> relax.Expr:
        """Move the channels; where there is one pixel or one channel that moves no byte."""
        extents = shape(value)
        moved = [axis for axis in axes if extents[axis] > 1]
        if moved == sorted(moved):
            return self._emit(relax.op.reshape(value, [extents[axis] for axis in axes]), f"{of.name}_view")
        return self._emit(relax.op.permute_dims(value, axes), f"{of.name}_turned", like=of.name)

    def _emit(self, value: relax.Expr, name: str, like: str = "") -> relax.Var:
        result = self._builder.emit(value, name_hint=name)
        self._origin[result.name] = self._origin.get(like or name, ())
        return result

    def _call(
        self,
        layer: Layer,
        arguments: list[relax.Expr],
        extents: tuple[int, ...],
        members: list[relax.VarBinding],
        dtype: str = "float32",
    ) -> relax.Var:
        """Call a vector kernel in the place of some bindings."""
        name = members[-1].var.name
        labels = dict.fromkeys(label for each in members for label in self._origin.get(each.var.name, ()))
        call = relax.call_dps_packed(self.layers.add(layer), arguments, relax.TensorType(extents, dtype))
        result = self._builder.emit(call, name_hint=name)
        self._origin[result.name] = tuple(labels)
        return result


def _last_constant(value: tvm.ir.GenericConst) -> relax.Expr:
    """A constant that meets images with channels last."""
    values = value.value.numpy()
    full = values.reshape((1,) * (4 - values.ndim) + values.shape)
    return relax.const(np.ascontiguousarray(full.transpose(_LAST)))
