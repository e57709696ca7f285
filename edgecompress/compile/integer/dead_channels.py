"""Leave out channels that every input gives the same number for, and channels that nobody reads.

A channel whose weights are all zero is the constant that its bias requantises to; a layer that sums over channels takes
such a constant into its own bias. Both are exact: where a window reaches over the edge, a constant other than the zero
point is not the same at every pixel, and the channel stays. Half of MLPerf Tiny's person detector is constant.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecompress.compile import quantized
from edgecompress.compile.integer import layers
from edgecompress.compile.integer.layers import Convolution, FullyConnected, Layer, Network, Value
from edgecompress.core.bundle import OnnxValue

logger = logging.getLogger(__name__)

Constants = NDArray[np.int64]
"""A tensor's channels: the int8 number that a channel holds at every pixel for every input, or VARIES."""
VARIES = 1000
Mask = NDArray[np.bool_]

Summed = Convolution | FullyConnected
Pooled = layers.AveragePool | layers.MaxPool


def drop_dead_channels(network: Network, align: int = 4) -> Network:
    """Keep only the channels that some output depends on, as many of each tensor as is a multiple of `align`.

    Tensors that a layer of another kind than sums and pools reads or makes keep all their channels.
    """
    constants = _constants(network)
    kept = _kept(network, constants, align)
    trimmed = {name for name, mask in kept.items() if not mask.all()}
    if not trimmed:
        return network
    for name in sorted(trimmed):
        logger.info("%s keeps %d of %d channels", name, kept[name].sum(), kept[name].size)
    return dataclasses.replace(
        network,
        layers=tuple(_trim(layer, constants, kept) for layer in network.layers),
        onnx_values={name: _without(value, kept[name]) for name, value in network.onnx_values.items()},
    )


def _without(value: OnnxValue, kept: Mask) -> OnnxValue:
    return value if kept.all() else value.model_copy(update={"kept": "".join("1" if keep else "0" for keep in kept)})


def _constants(network: Network) -> dict[str, Constants]:
    """Find the constant channels of every tensor, in the order of execution."""
    constants = {spec.name: np.full(spec.shape[-1], VARIES) for spec in network.inputs}
    for layer in network.layers:
        source = _of(layer.inputs[0], constants)
        constants[layer.output.name] = _constants_of(layer, source)
    return constants


def _constants_of(layer: Layer, source: Constants) -> Constants:
    if isinstance(layer, Convolution) and layer.is_depthwise and len(source) == len(layer.weights):
        known = _foldable(layer, source)
        taps = layer.weights.reshape(len(layer.weights), -1).astype(np.int64).sum(axis=1)
        moves = np.any(layer.weights != 0, axis=(1, 2, 3)) & ~known
        sums = layer.bias + taps * np.where(known, source - layer.inputs[0].zero_point, 0)
        return _settled(layer, moves, sums)
    if isinstance(layer, Summed) and _reads_channels(layer, source):
        taps = _taps(layer, len(source))
        known = _foldable(layer, source)
        moves = np.any(taps[:, :, ~known] != 0, axis=(1, 2))
        return _settled(layer, moves, _folded(layer, taps, source, known))
    if isinstance(layer, Pooled) and layer.window.channels == len(source):
        return np.where(source == VARIES, VARIES, np.clip(source, layer.clamp.low, layer.clamp.high))
    return np.full(layer.output.shape[-1], VARIES)


def _kept(network: Network, constants: Mapping[str, Constants], align: int) -> dict[str, Mask]:
    """Find the channels to keep of every tensor, from the outputs back.

    Layers that make each channel of one of the input keep what the input keeps, which another reader may need: then the
    way back is gone once more, with what is kept by now.
    """
    kept = {name: np.zeros(len(channels), bool) for name, channels in constants.items()}
    for spec in (*network.inputs, *network.outputs):
        kept[spec.name][:] = True
    while True:
        _keep_needed(network, constants, kept, align)
        channelwise = [layer for layer in network.layers if _is_channelwise(layer, _of(layer.inputs[0], constants))]
        if all(np.array_equal(kept[each.inputs[0].name], kept[each.output.name]) for each in channelwise):
            return kept
        for each in channelwise:
            kept[each.output.name] |= kept[each.inputs[0].name]


def _keep_needed(network: Network, constants: Mapping[str, Constants], kept: Mapping[str, Mask], align: int) -> None:
    """Keep what is needed for what is kept already, from the outputs back."""
    for layer in reversed(network.layers):
        if not _can_lose_outputs(layer, _of(layer.inputs[0], constants)):
            kept[layer.output.name][:] = True
        _round_up(kept[layer.output.name], align)
        for value in layer.inputs:
            kept[value.name] |= _needed(layer, value, kept[layer.output.name], _of(value, constants))


def _can_lose_outputs(layer: Layer, source: Constants) -> bool:
    """True for a layer whose output channels are made one by one from what the others are made from too."""
    if isinstance(layer, Summed) and not (isinstance(layer, Convolution) and layer.is_depthwise):
        return _reads_channels(layer, source)
    return _is_channelwise(layer, source)


def _is_channelwise(layer: Layer, source: Constants) -> bool:
    """True for a layer whose every output channel is made of the same channel of the input."""
    if isinstance(layer, Convolution) and layer.is_depthwise:
        return len(source) == len(layer.weights)
    return isinstance(layer, Pooled) and layer.window.channels == len(source)


def _round_up(mask: Mask, align: int) -> None:
    """Keep some more channels, the first ones, so that their number is a multiple of `align` and not zero."""
    missing = -int(mask.sum()) % align if mask.any() else align
    mask[np.flatnonzero(~mask)[:missing]] = True


def _needed(layer: Layer, value: Value, kept: Mask, source: Constants) -> Mask:
    """Find the channels of an input that a layer cannot do without."""
    if isinstance(layer, Convolution) and layer.is_depthwise and len(source) == len(kept):
        return kept
    if isinstance(layer, Summed) and _reads_channels(layer, source):
        used = np.any(_taps(layer, len(source))[kept] != 0, axis=(0, 1))
        return np.asarray(used & ~_foldable(layer, source))
    if isinstance(layer, Pooled) and layer.window.channels == len(source):
        return kept
    del value
    return np.ones(len(source), bool)


def _trim(layer: Layer, constants: Mapping[str, Constants], kept: Mapping[str, Mask]) -> Layer:
    """Make the layer again without the channels that go."""
    inputs = tuple(_shrink(value, kept[value.name]) for value in layer.inputs)
    output = _shrink(layer.output, kept[layer.output.name])
    if inputs == layer.inputs and output == layer.output:
        return layer
    there = kept[layer.inputs[0].name]
    here = kept[layer.output.name]
    if isinstance(layer, Pooled):
        window = dataclasses.replace(layer.window, channels=int(there.sum()))
        return dataclasses.replace(layer, inputs=inputs, output=output, window=window)
    if not isinstance(layer, Summed):
        raise TypeError(f"{type(layer).__name__} keeps all channels")
    trimmed = _Sums.of(layer, _of(layer.inputs[0], constants), there, here)
    changes = {"inputs": inputs, "output": output, **dataclasses.asdict(trimmed)}
    if isinstance(layer, Convolution):
        changes["window"] = dataclasses.replace(layer.window, channels=int(there.sum()))
        changes["groups"] = int(there.sum()) if layer.is_depthwise else layer.groups
    return dataclasses.replace(layer, **changes)


@dataclass(frozen=True, kw_only=True)
class _Sums:
    """What is left of a layer's numbers."""

    weights: NDArray[np.int8]
    weight_scales: NDArray[np.float32]
    bias: NDArray[np.int64]

    @classmethod
    def of(cls, layer: Summed, source: Constants, there: Mask, here: Mask) -> _Sums:
        """Take the kept channels; what the others add goes into the bias."""
        scales = np.broadcast_to(layer.weight_scales, (len(layer.weights),))[here]
        if isinstance(layer, Convolution) and layer.is_depthwise:
            return cls(weights=layer.weights[here], weight_scales=scales, bias=layer.bias[here])
        taps = _taps(layer, len(source))
        bias = _folded(layer, taps, source, ~there & (source != VARIES))
        weights = taps[here][:, :, there]
        shape = (*layer.weights.shape[1:-1], -1)
        return cls(
            weights=weights.astype(np.int8).reshape(int(here.sum()), *shape), weight_scales=scales, bias=bias[here]
        )


def _shrink(value: Value, mask: Mask) -> Value:
    if mask.all():
        return value
    return dataclasses.replace(value, shape=(*value.shape[:-1], value.shape[-1] // mask.size * int(mask.sum())))


def _of(value: Value, constants: Mapping[str, Constants]) -> Constants:
    return constants[value.name]


def _reads_channels(layer: Summed, source: Constants) -> bool:
    """True when the layer sums over all channels of its input, as the tensor's maker lays them out."""
    if isinstance(layer, Convolution):
        return layer.groups == 1 and layer.window.channels == len(source)
    return bool(layer.weights.shape[1] % len(source) == 0)


def _taps(layer: Summed, channels: int) -> NDArray[np.int64]:
    """The weights as (output, tap, input channel)."""
    taps: NDArray[np.int64] = layer.weights.reshape(len(layer.weights), -1, channels).astype(np.int64)
    return taps


def _foldable(layer: Summed, source: Constants) -> Mask:
    """Find the constant input channels that add the same at every pixel."""
    padded = isinstance(layer, Convolution) and layer.window.is_padded
    return np.asarray((source == layer.inputs[0].zero_point) | ((source != VARIES) & (not padded)))


def _folded(layer: Summed, taps: NDArray[np.int64], source: Constants, known: Mask) -> NDArray[np.int64]:
    """The bias with what the known channels add."""
    numbers = np.where(known, source - layer.inputs[0].zero_point, 0)
    return np.asarray(layer.bias + taps.sum(axis=1) @ numbers)


def _settled(layer: Summed, moves: Mask, sums: NDArray[np.int64]) -> Constants:
    """Bring the sums of channels that do not move to the output, as the kernels do."""
    scales = np.broadcast_to(layer.weight_scales, sums.shape)
    factors = quantized.accumulator_factors(layer.inputs[0].scale, scales, layer.output.scale)
    constants = np.full(len(sums), VARIES)
    for channel in np.flatnonzero(~moves):
        try:
            by = quantized.multiplier(factors[channel])
        except ValueError:  # no kernel can scale by it: emit.py names the layer
            continue
        scaled = int(quantized.scale(sums[channel], by)) + layer.output.zero_point
        constants[channel] = min(max(scaled, layer.clamp.low), layer.clamp.high)
    return constants
