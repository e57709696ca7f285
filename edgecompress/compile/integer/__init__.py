"""A QDQ network to a program of integer kernels.

matching.py turns the graph into layers (layers.py), emit.py turns layers into kernel calls. What improves the network
as a whole (passes.py, dead_channels.py, chains.py) works on the layers, between the two.
"""

from __future__ import annotations

from edgecompress.compile.frontend import Imported
from edgecompress.compile.integer import chains, float_parts, passes
from edgecompress.compile.integer.dead_channels import drop_dead_channels
from edgecompress.compile.integer.emit import emit
from edgecompress.compile.integer.matching import match
from edgecompress.compile.program import Program
from edgecompress.core.target import Target
from edgecompress.core.values import Model, Optimize


def to_program(imported: Imported, model: Model, target: Target, optimize: Optimize = "balanced") -> Program:
    """Turn a QDQ network into kernels with the arithmetic of the TFLite int8 specification.

    The target's features choose the kernels; every kernel gives the same bytes.

    Raises ModelError that names every ONNX node which has no integer kernel, or whose numbers do not fit int32.
    """
    network = passes.fuse_clamps(passes.drop_unused(passes.fold_pads(match(imported, model))))
    network = drop_dead_channels(network)
    if optimize == "ram":
        network = chains.fuse(network)
    return emit(network, target.features, optimize, float_parts.lower(network, target))
