"""Float networks: Relax to a program of scheduled kernels."""

from __future__ import annotations

import tvm
from tvm import relax

from edgecompress.compile import simplify
from edgecompress.compile.floating import flat, layers, provenance
from edgecompress.compile.frontend import Imported
from edgecompress.compile.program import Program
from edgecompress.core.values import Model


def to_program(imported: Imported, model: Model) -> Program:
    """Lower a float network: a kernel for each group of operators that can share their loops."""
    transform = relax.transform
    simple = simplify.simplify(imported)
    legal = transform.LegalizeOps(layers.LEGALIZE, skip_ops=list(flat.VIEWS))(simple.module)
    grouped = tvm.transform.Sequential([transform.AnnotateTIROpPattern(), transform.FuseOps()])(legal)
    fused = tvm.transform.Sequential([transform.FuseTIR(), transform.DeadCodeElimination()])(grouped)
    return flat.read(fused, provenance.trace(legal["main"], grouped, simple.origin), model)
