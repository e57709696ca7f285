"""A QDQ network to a program of integer kernels.

matching.py turns the graph into layers (layers.py), emit.py turns layers into kernel calls. What improves the network
as a whole (passes.py, dead_channels.py, chains.py) works on the layers, between the two.
"""

from __future__ import annotations

from edgecompress.compile import fit
from edgecompress.compile.frontend import Imported
from edgecompress.compile.integer import bordered, chains, early_exits, float_parts, passes
from edgecompress.compile.integer.dead_channels import drop_dead_channels
from edgecompress.compile.integer.emit import emit
from edgecompress.compile.integer.layers import Chain
from edgecompress.compile.integer.matching import match
from edgecompress.compile.integer.saving import FLASH, MODES
from edgecompress.compile.lowering import lower_and_plan
from edgecompress.compile.program import Program
from edgecompress.core.target import Target
from edgecompress.core.values import Model, Optimize


def to_program(imported: Imported, model: Model, target: Target, optimize: Optimize = "balanced") -> Program:
    """Turn a QDQ network into kernels with the arithmetic of the TFLite int8 specification.

    The target's features and machine choose the kernels; every kernel gives the same bytes.

    Raises ModelError that names every ONNX node which has no integer kernel, or whose numbers do not fit int32.
    """
    network = passes.fuse_clamps(early_exits.split(passes.drop_unused(passes.fold_pads(match(imported, model)))))
    network = drop_dead_channels(network)
    parts = float_parts.lower(network, target)
    features = _features(target)
    saves = MODES.get(optimize) if target.system == "bare" or optimize == "size" else None
    within = saves and saves.within(network, target.ram_limit_bytes)
    joined = network if saves or optimize == "ram" else bordered.join(network, features)
    program = emit(joined, features, optimize, parts, within)
    if saves != FLASH and fit.too_big_by_weights(program, target):
        program = emit(network, features, optimize, parts, FLASH.within(network, target.ram_limit_bytes))
    fused = chains.fuse(network) if optimize == "ram" else network
    if not any(isinstance(layer, Chain) for layer in fused.layers):
        return program
    by_rows = emit(fused, features, optimize, parts)
    # The choice of chains knows no kernel's workspaces; the plan of the arena does.
    return min(by_rows, program, key=lambda each: lower_and_plan(each).arena.bytes)


def _features(target: Target) -> tuple[str, ...]:
    """What kernel families go by."""
    return (*target.features, *([target.machine] if target.machine else []))
