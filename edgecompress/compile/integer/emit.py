"""Layers to kernel calls: picks each layer's kernel, packs its constants, works out its scalars."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from tvm import tirx

from edgecompress.compile import frontend, quantized
from edgecompress.compile.bands import Bands
from edgecompress.compile.integer import in_place, layers
from edgecompress.compile.integer.choices import CHOICES, Chosen
from edgecompress.compile.integer.splice import Splicer
from edgecompress.compile.kernels import addition, epilogue, families
from edgecompress.compile.kernels.in_place import choose as bands_in_place
from edgecompress.compile.kernels.product import Product
from edgecompress.compile.kernels.small_product import choose as smallest_parts
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.parts import Parts
from edgecompress.compile.program import Call, CKernel, Program, Tensor
from edgecompress.core.errors import ModelError
from edgecompress.core.values import Array, Optimize

NO_PARTS: Mapping[str, Program] = MappingProxyType({})


def emit(
    network: layers.Network,
    features: Collection[str] = (),
    optimize: Optimize = "balanced",
    parts: Mapping[str, Program] = NO_PARTS,
) -> Program:
    """Make the program of a network for targets with these features (kernels.families).

    `parts` are the programs of the parts that compute with reals, by the name of their output.

    Raises ModelError for a layer whose numbers int32 cannot hold.
    """
    edges = {spec.name for spec in (*network.inputs, *network.outputs)}
    tensors: dict[str, Tensor] = {}
    constants: dict[str, Array] = {}
    kernels: dict[str, tirx.PrimFunc | CKernel] = {}
    cuts: dict[str, Bands | Parts] = {}
    calls: list[Call] = []
    shared_places = in_place.choose(network) if optimize == "ram" else frozenset()
    small = optimize == "size"
    splicer = Splicer(tensors, constants, kernels)
    for layer in network.layers:
        if isinstance(layer, layers.FloatPart):
            if layer.output.name not in edges:
                tensors[layer.output.name] = _tensor(layer.output)
            calls += splicer.calls(parts[layer.output.name], network.onnx_values.get(layer.output.name))
            continue
        chosen = _choose(network, layer, features, in_place=layer.output.name in shared_places, small=small)
        name = frontend.identifier(layer.output.name)
        named = {f"{name}_{role}": values for role, values in chosen.constants.items()}
        constants |= chosen.operands
        constants |= named
        if chosen.name not in kernels:
            kernels[chosen.name] = chosen.build()
        if chosen.cut is not None:
            cuts[chosen.cut.name] = chosen.cut
        if layer.output.name not in edges:
            tensors[layer.output.name] = _tensor(layer.output)
        call = Call(
            name=name,
            op=chosen.op,
            kernel=chosen.name if chosen.cut is None else chosen.cut.name,
            arguments=(*(value.name for value in chosen.inputs), *named),
            output=layer.output.name,
            scalars=tuple(int(scalar) for scalar in chosen.scalars),
            onnx_nodes=layer.nodes,
            macs=layer.macs,
            onnx_output=network.onnx_values.get(layer.output.name),
            in_place=layer.inputs[0].name if isinstance(chosen.cut, Bands) else None,
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
    network: layers.Network, layer: layers.Layer, features: Collection[str], *, in_place: bool, small: bool
) -> Chosen:
    try:
        if isinstance(layer, layers.Convolution):
            return _convolution_in_place(layer, features) if in_place else _convolution(layer, features)
        if isinstance(layer, layers.FullyConnected):
            return _fully_connected(layer, features, small=small)
        if isinstance(layer, layers.Addition):
            return _addition(layer, features)
        return CHOICES[type(layer)](layer)
    except ValueError as problem:
        label = layer.nodes[0] if layer.nodes else layer.output.name
        raise ModelError(
            f"layer {label!r} of {network.name} cannot run in 32-bit integers: {problem}",
            hint="quantize the network anew with other calibration data, or with other ranges",
        ) from problem


def _convolution(layer: layers.Convolution, features: Collection[str]) -> Chosen:
    product = _product(layer, layer.window, layer.groups)
    return _chosen("depthwise_conv2d" if product.is_depthwise else "conv2d", layer, product, features)


def _convolution_in_place(layer: layers.Convolution, features: Collection[str]) -> Chosen:
    """The same, for bands of the image; what its kernels take is followed by the number beyond the image's edges."""
    product = _product(layer, layer.window, layer.groups)
    kernel, bands = bands_in_place(product, lambda part: families.choose(part, features))
    return Chosen(
        op="depthwise_conv2d" if product.is_depthwise else "conv2d",
        name=kernel.name,
        build=kernel.build,
        constants=kernel.constants,
        scalars=[*kernel.scalars, product.input_zero],
        inputs=layer.inputs,
        cut=bands,
    )


def _fully_connected(layer: layers.FullyConnected, features: Collection[str], *, small: bool) -> Chosen:
    window = Window(height=1, width=layer.rows, channels=layer.weights.shape[1], kernel=(1, 1))
    product = _product(layer, window, groups=1)
    found = smallest_parts(product, lambda part: families.choose(part, features)) if small else None
    if found is None:
        return _chosen("fully_connected", layer, product, features)
    kernel, parts = found
    return Chosen(
        op="fully_connected",
        name=kernel.name,
        build=kernel.build,
        constants=kernel.constants,
        scalars=kernel.scalars,
        inputs=layer.inputs,
        cut=parts,
    )


def _chosen(op: str, layer: layers.Product, product: Product, features: Collection[str]) -> Chosen:
    """The kernel that the target's best family has for a product."""
    kernel = families.choose(product, features)
    return Chosen(
        op=op,
        name=kernel.name,
        build=kernel.build,
        constants=kernel.constants,
        scalars=kernel.scalars,
        inputs=layer.inputs,
    )


def _product(layer: layers.Product, window: Window, groups: int) -> Product:
    """Work out what every kernel for a layer of weighted sums needs."""
    bias, magnitudes = quantized.folded_bias(layer.bias, layer.weights, layer.inputs[0].zero_point)
    worst = int(magnitudes.max())
    if worst > quantized.INT32_MAX:
        raise ValueError(f"its sums can reach {worst:,}, and an int32 holds {quantized.INT32_MAX:,}")
    factors = quantized.accumulator_factors(layer.inputs[0].scale, layer.weight_scales, layer.output.scale)
    multipliers = [quantized.multiplier(factor) for factor in factors]
    shifted = max(int(each) << max(by.shift, 0) for each, by in zip(magnitudes, multipliers, strict=True))
    if shifted > quantized.INT32_MAX:
        raise ValueError(f"its sums reach {shifted:,} while they are scaled up; an int32 holds {quantized.INT32_MAX:,}")
    return Product(
        window=window,
        groups=groups,
        weights=layer.weights.reshape(len(layer.weights), *window.kernel, -1),
        bias=bias,
        magnitudes=magnitudes,
        multipliers=tuple(multipliers),
        epilogue=epilogue.choose(multipliers, magnitudes, layer.clamp.low, layer.clamp.high),
        input_zero=layer.inputs[0].zero_point,
        output_zero=layer.output.zero_point,
        low=layer.clamp.low,
        high=layer.clamp.high,
    )


def _addition(layer: layers.Addition, features: Collection[str]) -> Chosen:
    addend = layer.addend
    operands = layer.inputs if addend is None else (*layer.inputs, addend.value)
    first, second = sorted(operands, key=lambda value: -value.scale)
    shape = addition.Addition(elements=layer.output.elements, one_scale=first.scale == second.scale)
    part, total = addition.multipliers(first.scale, second.scale, layer.output.scale)
    zeros = (first.zero_point, second.zero_point, layer.output.zero_point)
    name, build = families.choose_addition(shape, features)
    return Chosen(
        op="add",
        name=name,
        build=lambda: build(shape),
        scalars=shape.scalar_values(zeros, part, total, layer.clamp.low, layer.clamp.high),
        inputs=(first, second),
        operands={} if addend is None else {addend.value.name: addend.numbers},
    )
