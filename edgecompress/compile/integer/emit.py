"""Layers to kernel calls: picks each layer's kernel, packs its constants, works out its scalars."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType

from tvm import tirx

from edgecompress.compile import frontend
from edgecompress.compile.cuts import Cut
from edgecompress.compile.integer import emit_products, in_place, layers
from edgecompress.compile.integer.choices import CHOICES
from edgecompress.compile.integer.chosen import Chosen
from edgecompress.compile.integer.saving import Saving
from edgecompress.compile.integer.splice import Splicer
from edgecompress.compile.kernels import addition, families, tuning, x86_addition
from edgecompress.compile.kernels import in_place as kernels_in_place
from edgecompress.compile.program import Call, CKernel, Program, Tensor
from edgecompress.core.errors import ModelError
from edgecompress.core.values import Array, Optimize

NO_PARTS: Mapping[str, Program] = MappingProxyType({})


def emit(
    network: layers.Network,
    features: Collection[str] = (),
    optimize: Optimize = "balanced",
    parts: Mapping[str, Program] = NO_PARTS,
    saves: Saving | None = None,
) -> Program:
    """Make the program of a network for targets with these features (kernels.families).

    `parts` are the programs of the parts that compute with reals, by the name of their output. `saves` says what layers
    of weighted sums save where their weights allow it; None: they take the kernels of any weights.

    Raises ModelError for a layer whose numbers int32 cannot hold.
    """
    edges = {spec.name for spec in (*network.inputs, *network.outputs)}
    tensors: dict[str, Tensor] = {}
    constants: dict[str, Array] = {}
    kernels: dict[str, tirx.PrimFunc | CKernel] = {}
    cuts: dict[str, Cut] = {}
    calls: list[Call] = []
    shared_places = in_place.choose(network) if optimize == "ram" else {}
    splicer = Splicer(tensors, constants, kernels)
    for layer in network.layers:
        if isinstance(layer, layers.FloatPart):
            if layer.output.name not in edges:
                tensors[layer.output.name] = _tensor(layer.output)
            calls += splicer.calls(parts[layer.output.name], network.onnx_values.get(layer.output.name))
            continue
        chosen = _choose(network, layer, features, replaced=shared_places.get(layer.output.name), saves=saves)
        name = frontend.identifier(layer.output.name)
        named = {f"{name}_{role}": values for role, values in chosen.constants.items()}
        constants |= chosen.operands
        constants |= named
        for kernel, build in chosen.kernels.items():
            if kernel not in kernels:
                with tuning.current().writing(kernel):
                    kernels[kernel] = build()
        if chosen.cut is not None:
            cuts[chosen.cut.name] = chosen.cut
        if layer.output.name not in edges:
            tensors[layer.output.name] = _tensor(layer.output)
        call = Call(
            name=name,
            op=chosen.op,
            kernel=chosen.called,
            arguments=(*(value.name for value in chosen.inputs), *named),
            output=layer.output.name,
            scalars=tuple(int(scalar) for scalar in chosen.scalars),
            onnx_nodes=layer.nodes,
            macs=layer.macs,
            onnx_output=None if chosen.condition else network.onnx_values.get(layer.output.name),
            in_place=chosen.in_place,
            condition=chosen.condition,
        )
        calls.append(call)
    return Program(
        name=network.name,
        inputs=network.inputs,
        outputs=network.outputs,
        tensors=tensors,
        constants=constants,
        calls=tuple(calls),
        kernels=kernels,
        cuts=cuts,
        optimize=optimize,
    )


def _tensor(value: layers.Value) -> Tensor:
    return Tensor(name=value.name, shape=value.shape, dtype=value.dtype)


def _choose(
    network: layers.Network,
    layer: layers.Layer,
    features: Collection[str],
    *,
    replaced: str | None,
    saves: Saving | None,
) -> Chosen:
    try:
        if isinstance(layer, layers.Chain):
            return emit_products.chain(layer, features, replaced)
        if isinstance(layer, layers.Convolution) and replaced is not None:
            return emit_products.convolution_in_place(layer, features)
        if isinstance(layer, layers.Convolution):
            return emit_products.convolution(layer, features, saves)
        if isinstance(layer, layers.FullyConnected):
            return emit_products.fully_connected(layer, features, saves)
        if isinstance(layer, layers.Addition):
            return _addition(layer, features, replaced)
        return _with_own_kernel(CHOICES[type(layer)](layer), features)
    except ValueError as problem:
        label = layer.nodes[0] if layer.nodes else layer.output.name
        raise ModelError(
            f"layer {label!r} of {network.name} cannot run in 32-bit integers: {problem}",
            hint="quantize the network anew with other calibration data, or with other ranges",
        ) from problem


def _with_own_kernel(chosen: Chosen, features: Collection[str]) -> Chosen:
    """The same layer by the target's own kernel, where it has one."""
    own = families.choose_own(chosen.shape, features)
    return chosen if own is None else replace(chosen, name=own[0], build=own[1])


def _addition(layer: layers.Addition, features: Collection[str], replaced: str | None) -> Chosen:
    """Add; in chunks, with a last scalar that bands.py wants, if the output takes the place of an operand."""
    addend = layer.addend
    operands = layer.inputs if addend is None else (*layer.inputs, addend.value)
    first, second = sorted(operands, key=lambda value: -value.scale)
    elements = layer.output.elements
    at_once = elements if replaced is None else kernels_in_place.chunk(elements)
    shape = addition.Addition(elements=at_once, one_scale=first.scale == second.scale)
    part, total = addition.multipliers(first.scale, second.scale, layer.output.scale)
    zeros = (first.zero_point, second.zero_point, layer.output.zero_point)
    asked, bounds = x86_addition.Sum(zeros=zeros, second=part, total=total), (layer.clamp.low, layer.clamp.high)
    own = families.choose_linear_addition(shape, asked, bounds, features) if replaced is None else None
    constants = {} if addend is None else {addend.value.name: addend.numbers}
    if own is not None:
        return Chosen(
            op="add", name=own.name, build=own.build, scalars=own.scalars, inputs=(first, second), operands=constants
        )
    name, build = families.choose_addition(shape, features)
    scalars = shape.scalar_values(zeros, part, total, *bounds)
    cut = None
    if replaced is not None:
        scalars = [*scalars, 0]
        cut = kernels_in_place.chunks(name, elements, at_once, [first.name, second.name].index(replaced))
    return Chosen(
        op="add",
        name=name,
        build=lambda: build(shape),
        scalars=scalars,
        inputs=(first, second),
        operands=constants,
        cut=cut,
        in_place=replaced,
    )
