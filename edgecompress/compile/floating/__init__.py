"""Float networks: Relax to a program of scheduled kernels."""

from __future__ import annotations

from collections.abc import Mapping

import tvm
from tvm import relax

from edgecompress.compile import simplify
from edgecompress.compile.floating import early_exits, flat, provenance, vector_graph
from edgecompress.compile.floating import layers as loops
from edgecompress.compile.floating.vector_layers import VectorLayer
from edgecompress.compile.frontend import Imported
from edgecompress.compile.half_losses import Loss
from edgecompress.compile.kernels import vector_core, vector_winograd_choice
from edgecompress.compile.program import Program
from edgecompress.core.target import Target
from edgecompress.core.values import Model


def to_program(
    imported: Imported,
    model: Model,
    target: Target,
    *,
    winograd_price: float | None = None,
    losses: Mapping[str, Loss] | None = None,
) -> Program:
    """Lower a float network: vector kernels where the target has vectors of floats and there is one.

    Everything else becomes a kernel for each group of operators that can share their loops. Convolutions take
    Winograd's filters where they are worth `winograd_price` (vector_winograd_choice.py), or never without one. With
    `losses` (half_losses.py) products are computed in half precision as far as the outputs allow.
    """
    transform = relax.transform
    simple = simplify.simplify(imported)
    layers: dict[str, VectorLayer] = {}
    core = vector_core.of(target)
    if core is not None:
        choice = vector_winograd_choice.of(target, core, winograd_price)
        rewritten = vector_graph.rewrite(simple, core, choice, losses)
        simple, layers = rewritten.network, rewritten.layers.layers
    simple = early_exits.mark(simple)
    legal = transform.LegalizeOps(loops.LEGALIZE, skip_ops=list(flat.VIEWS))(simple.module)
    grouped = tvm.transform.Sequential([transform.AnnotateTIROpPattern(), transform.FuseOps()])(legal)
    fused = tvm.transform.Sequential([transform.FuseTIR(), transform.DeadCodeElimination()])(grouped)
    origins = provenance.trace(legal["main"], grouped, simple.origin)
    return early_exits.split(flat.read(fused, origins, model, layers))
