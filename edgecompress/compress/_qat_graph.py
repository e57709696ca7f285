"""Where the quantized network will round: fake quantizers put into a torch graph there, and read off again.

The places are not guessed. The float graph is quantized once as static_int8 does it, and every tensor that has a
QuantizeLinear there gets a fake quantizer here.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from onnx import ModelProto, NodeProto, helper, numpy_helper
from torch import fx, nn

from edgecompress.compress import _quantizer, _ranges
from edgecompress.compress._fake_quantization import (
    CONTAINER_BITS,
    CONTAINER_HIGHEST,
    CONTAINER_LOWEST,
    LargestSteps,
    LearnedSteps,
    ObservedSteps,
    QuantizedLayer,
    folded,
    learned_activation,
    learned_weights,
)
from edgecompress.compress._functions import inner_values
from edgecompress.compress._integer_graph import simplify
from edgecompress.compress._ranges import Histogram
from edgecompress.compress.torch_graph._modules import Reshape
from edgecompress.compress.torch_graph._reader import ONNX_NAME, ONNX_OUTPUT
from edgecompress.core.values import Model

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Linear)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
MOVES = (Reshape, nn.ConstantPad1d, nn.ConstantPad2d)
QUANTIZERS = (LearnedSteps, ObservedSteps)
Range = tuple[float, float]
OUTPUT_SUFFIX = "_QuantizeLinear_Input"
"""What the quantizer puts behind the name of a network's output, where that is not quantized yet."""


@dataclass(frozen=True, kw_only=True)
class Widths:
    """The bits of weights and activations, and whether the network's ends keep 8; `learned` steps or observed ones."""

    weights: int
    activations: int
    ends_in_8_bits: bool
    learned: bool


@dataclass(frozen=True, kw_only=True)
class Place:
    """A tensor that is quantized, and the one whose scale it has: itself, or the input of a pool."""

    tensor: str
    owner: str


def find_places(real: Model, seen: Mapping[str, Histogram]) -> tuple[Place, ...]:
    """Find the tensors of a float network that its quantized form rounds, but for those with a fixed scale."""
    nodes = real.graph.graph.node
    pooled = {node.output[0]: node.input[0] for node in nodes if node.op_type in _quantizer.SAME_SCALE}
    fixed = {node.output[0] for node in nodes if node.op_type in _quantizer.FIXED_OUTPUTS}
    found = []
    for node in quantized(real, seen, {}).graph.node:
        tensor = node.input[0].removesuffix(OUTPUT_SUFFIX)
        owner = tensor
        while owner in pooled:
            owner = pooled[owner]
        if node.op_type == "QuantizeLinear" and owner not in fixed:
            found.append(Place(tensor=tensor, owner=owner))
    return tuple(found)


def quantized(real: Model, seen: Mapping[str, Histogram], parameters: _quantizer.Parameters) -> ModelProto:
    """Quantize a float network in the form of static_int8. Raises ModelError when onnxruntime cannot."""
    ranges = {name: _ranges.minmax(histogram) for name, histogram in seen.items()}
    with _quantizer.explained(real.name):
        graph = _quantizer.quantize(
            real.graph, ranges, activation_bits=8, per_channel=True, symmetric=False, parameters=parameters
        )
        simplify(graph, inner_values(real.graph.graph))
    return graph


def prepare(
    module: fx.GraphModule, model: Model, places: Sequence[Place], seen: Mapping[str, Histogram], widths: Widths
) -> fx.GraphModule:
    """Give a copy of a torch graph that rounds as the quantized network `model` will."""
    prepared = copy.deepcopy(module)
    _quantize_layers(prepared, widths)
    _quantize_activations(prepared, model, places, seen, widths)
    for node, layer in _called(prepared):
        if isinstance(layer, QuantizedLayer):
            layer.source = _source(prepared, node)
    prepared.graph.lint()
    prepared.recompile()
    return prepared


def plain(module: fx.GraphModule) -> fx.GraphModule:
    """Give a copy without fake quantizers, in which weights hold their quantized values."""
    bare = copy.deepcopy(module)
    for node, layer in _called(bare):
        if isinstance(layer, QUANTIZERS):
            node.replace_all_uses_with(node.all_input_nodes[0])
            bare.graph.erase_node(node)
        elif isinstance(layer, QuantizedLayer):
            bare.add_module(str(node.target), layer.plain())
    bare.delete_all_unused_submodules()
    bare.recompile()
    return bare


def parameters_of(module: fx.GraphModule, real: ModelProto, places: Sequence[Place]) -> _quantizer.Parameters:
    """Read off scale and zero point of every quantized tensor of the float graph `real`, written from `module`."""
    by_owner = {
        node.all_input_nodes[0].meta[ONNX_OUTPUT]: (layer.step.detach().numpy(), int(layer.zero_point))
        for node, layer in _called(module)
        if isinstance(layer, QUANTIZERS) and len(node.args) == 1
    }
    weights = {node.name: node.input[1] for node in real.graph.node if len(node.input) > 1}
    layers = {
        weights[node.meta[ONNX_NAME]]: (layer.steps().detach().numpy(), 0)
        for node, layer in _called(module)
        if isinstance(layer, QuantizedLayer)
    }
    return {place.tensor: by_owner[place.owner] for place in places} | layers


def keep_bounds(graph: ModelProto, real: ModelProto, module: fx.GraphModule, places: Sequence[Place]) -> None:
    """Cut what int8 would not, in place: at the integers of fewer bits, and at a Clip whose range the steps outgrew.

    The quantizer takes a Clip for part of the range behind it; that range is learned.
    """
    quantizers = {
        node.all_input_nodes[0].meta[ONNX_OUTPUT]: layer
        for node, layer in _called(module)
        if isinstance(layer, QUANTIZERS) and len(node.args) == 1
    }
    clips = _clips(real)
    own = {place.tensor for place in places if place.tensor == place.owner}
    for node in list(graph.graph.node):
        tensor = node.input[0].removesuffix(OUTPUT_SUFFIX)
        if node.op_type != "QuantizeLinear" or tensor not in own:
            continue
        held, wanted = _bounds(quantizers[tensor], clips.get(tensor, (-np.inf, np.inf)))
        if wanted[0] > held[0] or wanted[1] < held[1]:
            _clip_before(graph, node, wanted)


def freeze_norms(module: nn.Module) -> None:
    """From now on, let layers use the running statistics of their batch normalizations."""
    for layer in module.modules():
        if isinstance(layer, QuantizedLayer):
            layer.frozen.fill_(True)


def _quantize_layers(module: fx.GraphModule, widths: Widths) -> None:
    layers = [(node, layer) for node, layer in _called(module) if isinstance(layer, LAYERS)]
    for position, (node, layer) in enumerate(layers):
        is_end = position in (0, len(layers) - 1)
        bits = CONTAINER_BITS if is_end and widths.ends_in_8_bits else widths.weights
        norm = _taken_norm(module, node)
        learned = learned_weights(folded(layer, norm)[0], bits) if widths.learned else None
        quantizer = learned or LargestSteps(2 ** (bits - 1) - 1)
        module.add_module(str(node.target), QuantizedLayer(layer, quantizer, norm))


def _taken_norm(module: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """Take the batch normalization behind a layer out of the graph."""
    reader = next(iter(node.users))
    if len(node.users) != 1 or reader.op != "call_module":
        return None
    norm = module.get_submodule(str(reader.target))
    if not isinstance(norm, NORMS):
        return None
    reader.replace_all_uses_with(node)
    node.meta[ONNX_OUTPUT] = reader.meta[ONNX_OUTPUT]
    module.graph.erase_node(reader)
    return norm


def _quantize_activations(
    module: fx.GraphModule, model: Model, places: Sequence[Place], seen: Mapping[str, Histogram], widths: Widths
) -> None:
    makers = _makers(module, model)
    wide = _ends(module, model, places) if widths.ends_in_8_bits else set()
    names: dict[str, str] = {}
    for place in places:
        if place.owner not in names:
            names[place.owner] = f"quantizer_{len(names)}"
            bits = CONTAINER_BITS if place.owner in wide else widths.activations
            module.add_module(names[place.owner], _activation(seen[place.owner], bits, widths.learned))
        _round_behind(makers[place.tensor], names[place.owner], observe=place.tensor == place.owner)


def _round_behind(maker: fx.Node, quantizer: str, *, observe: bool) -> None:
    readers = list(maker.users)
    with maker.graph.inserting_after(maker):
        rounded = maker.graph.call_module(quantizer, (maker,) if observe else (maker, False))
    for reader in readers:
        reader.replace_input_with(maker, rounded)


def _activation(seen: Histogram, bits: int, learned: bool) -> nn.Module:
    highest = CONTAINER_LOWEST + 2**bits - 1
    if not learned:
        return ObservedSteps(*_ranges.minmax(seen), CONTAINER_LOWEST, highest)
    low, high = _ranges.mse(seen, symmetric=False, levels=2**bits)
    return learned_activation(low, high, CONTAINER_LOWEST, highest)


def _makers(module: fx.GraphModule, model: Model) -> dict[str, fx.Node]:
    """Give the node that makes each tensor of the ONNX graph. The inputs stand in the model's order."""
    inputs = [node for node in module.graph.nodes if node.op == "placeholder"]
    for node, spec in zip(inputs, model.inputs, strict=True):
        node.meta[ONNX_OUTPUT] = spec.name
    return {node.meta[ONNX_OUTPUT]: node for node in module.graph.nodes if ONNX_OUTPUT in node.meta}


def _ends(module: fx.GraphModule, model: Model, places: Sequence[Place]) -> set[str]:
    """Name the tensors that the first and the last layer read and make: inputs, what the last layer reads, outputs."""
    owners = {place.tensor: place.owner for place in places}
    ends = {spec.name for spec in (*model.inputs, *model.outputs)}
    layers = [node for node, layer in _called(module) if isinstance(layer, QuantizedLayer)]
    read = layers[-1].all_input_nodes[0] if layers else None
    while read is not None and read.meta.get(ONNX_OUTPUT) not in owners:
        read = next(iter(read.all_input_nodes), None)
    return ends if read is None else ends | {owners[read.meta[ONNX_OUTPUT]]}


def _source(module: fx.GraphModule, layer: fx.Node) -> LearnedSteps | ObservedSteps | None:
    """Find the fake quantizer whose integers a layer reads, maybe moved but not computed with in between."""
    read = layer.all_input_nodes[0]
    while read.target is torch.permute or _is_move(module, read):
        read = read.all_input_nodes[0]
    found = module.get_submodule(str(read.target)) if read.op == "call_module" else None
    return found if isinstance(found, LearnedSteps | ObservedSteps) else None


def _is_move(module: fx.GraphModule, node: fx.Node) -> bool:
    return node.op == "call_module" and isinstance(module.get_submodule(str(node.target)), MOVES)


def _called(module: fx.GraphModule) -> Iterator[tuple[fx.Node, Any]]:
    for node in list(module.graph.nodes):
        if node.op == "call_module":
            yield node, module.get_submodule(str(node.target))


def _clips(real: ModelProto) -> dict[str, Range]:
    """Give the bounds of every tensor that a Clip makes."""
    constants = {
        tensor.name: float(numpy_helper.to_array(tensor).item()) for tensor in real.graph.initializer if not tensor.dims
    }
    return {
        node.output[0]: (constants.get(node.input[1], -np.inf), constants.get([*node.input, ""][2], np.inf))
        for node in real.graph.node
        if node.op_type == "Clip"
    }


def _bounds(quantizer: Any, clip: Range) -> tuple[Range, Range]:
    """Give the range that the container holds, and the one that is wanted of it."""
    step, zero_point = float(quantizer.step.detach()), int(quantizer.zero_point)
    held = ((CONTAINER_LOWEST - zero_point) * step, (CONTAINER_HIGHEST - zero_point) * step)
    lowest, highest = ((end - zero_point) * step for end in (quantizer.lowest, quantizer.highest))
    return held, (max(lowest, clip[0]), min(highest, clip[1]))


def _clip_before(graph: ModelProto, quantize: NodeProto, bounds: Range) -> None:
    tensor = quantize.input[0]
    names = [f"{tensor}_lowest", f"{tensor}_highest"]
    held = [
        numpy_helper.from_array(np.array(bound, np.float32), name) for name, bound in zip(names, bounds, strict=True)
    ]
    graph.graph.initializer.extend(held)
    clip = helper.make_node("Clip", [tensor, *names], [f"{tensor}_clipped"], name=f"{tensor}_Clip")
    quantize.input[0] = clip.output[0]
    graph.graph.node.insert(list(graph.graph.node).index(quantize), clip)
