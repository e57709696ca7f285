"""Layers of weighted sums to kernel calls: whole, in parts, in place, or several of them row by row."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from edgecompress.compile import frontend, quantized
from edgecompress.compile.chain import Chain, Stage
from edgecompress.compile.integer import layers
from edgecompress.compile.integer.choices import CHOICES
from edgecompress.compile.integer.chosen import Chosen
from edgecompress.compile.integer.saving import Saving
from edgecompress.compile.kernels import epilogue, families, product_choice
from edgecompress.compile.kernels.in_place import choose as bands_in_place
from edgecompress.compile.kernels.product import NO_BORDERS, Kernel, Product
from edgecompress.compile.kernels.product_choice import Candidate
from edgecompress.compile.kernels.row_chain import Band
from edgecompress.compile.kernels.window import Window


def convolution(layer: layers.Convolution, features: Collection[str], saves: Saving | None = None) -> Chosen:
    """Compute a convolution; `saves` says what is saved where the weights allow it."""
    product = _product(layer, layer.window, layer.groups)
    op = "depthwise_conv2d" if product.is_depthwise else "conv2d"
    return _chosen(op, layer, product, features, saves)


def convolution_in_place(layer: layers.Convolution, features: Collection[str]) -> Chosen:
    """Compute a convolution band by band into its input's place; the last scalar lies beyond the image's edges."""
    product = _product(layer, layer.window, layer.groups)
    kernel, bands = bands_in_place(product, _family(features))
    return Chosen(
        op="depthwise_conv2d" if product.is_depthwise else "conv2d",
        name=kernel.name,
        build=kernel.build,
        constants=kernel.constants,
        scalars=[*kernel.scalars, product.input_zero],
        inputs=layer.inputs,
        cut=bands,
        in_place=layer.inputs[0].name,
    )


def chain(layer: layers.Chain, features: Collection[str], replaced: str | None) -> Chosen:
    """Compute several convolutions and pools row by row."""
    plan = layer.plan
    chosen: list[Chosen] = []
    stages: list[Stage] = []
    for part, band in zip(layer.stages, plan.bands, strict=True):
        small = replace(part, window=band.window)
        if isinstance(small, layers.Convolution):
            chosen.append(convolution(small, features))
        else:
            chosen.append(CHOICES[type(small)](small))
        stages.append(_stage(part, band, chosen[-1]))
    return Chosen(
        op="chain",
        name=chosen[0].name,
        build=chosen[0].build,
        others={each.name: each.build for each in chosen},
        constants={
            f"{role}{number}": values for number, each in enumerate(chosen) for role, values in each.constants.items()
        },
        inputs=layer.inputs,
        cut=Chain(
            name=f"rows_of_{frontend.identifier(layer.output.name)}",
            stages=tuple(stages),
            turns=plan.turns,
            warm_up=plan.warm_up,
            output_bytes=plan.output_bytes,
        ),
        in_place=replaced,
    )


def _stage(layer: layers.Windowed, band: Band, chosen: Chosen) -> Stage:
    return Stage(
        kernel=chosen.name,
        scalars=tuple(int(scalar) for scalar in chosen.scalars),
        rows=band.rows,
        step=band.step,
        first=band.first,
        row_bytes=band.row_bytes,
        image_rows=layer.window.height,
        beyond=layer.inputs[0].zero_point if isinstance(layer, layers.Convolution) else quantized.INT8_MIN,
    )


def fully_connected(layer: layers.FullyConnected, features: Collection[str], saves: Saving | None = None) -> Chosen:
    """Multiply by a matrix; `saves` says what is saved where the weights allow it."""
    window = Window(height=1, width=layer.rows, channels=layer.weights.shape[1], kernel=(1, 1))
    return _chosen("fully_connected", layer, _product(layer, window, groups=1), features, saves)


def _family(features: Collection[str]) -> Callable[[Product], Kernel]:
    return lambda product: families.choose(product, features)


def _chosen(
    op: str, layer: layers.Product, product: Product, features: Collection[str], saves: Saving | None
) -> Chosen:
    """The kernel that the target's best family has for a product, or one that saves more."""
    family = _family(features)
    if saves is None:
        found = Candidate(kernel=family(product))
    else:
        found = product_choice.choose(product, family, features, saves.of(layer))
    kernel = found.kernel
    return Chosen(
        op=op,
        name=kernel.name,
        build=kernel.build,
        constants=kernel.constants,
        scalars=kernel.scalars,
        inputs=layer.inputs,
        cut=found.parts,
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
        borders=layer.borders if isinstance(layer, layers.Convolution) else NO_BORDERS,
    )
