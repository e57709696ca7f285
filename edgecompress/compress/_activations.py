"""Values inside of a graph under ONNX Runtime: one thread, graph optimisation off, one sample after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto

from edgecompress.core.values import Array, Samples

FATAL_ONLY = 4


def read(graph: ModelProto, names: Sequence[str], samples: Samples, most: int) -> dict[str, Array]:
    """Return the values `names` for the first `most` samples, stacked along a new first axis."""
    observed = ModelProto()
    observed.CopyFrom(graph)
    present = {output.name for output in observed.graph.output}
    observed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in present)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = FATAL_ONLY
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        observed.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
    )
    rows = [
        session.run(list(names), {name: array[index : index + 1] for name, array in samples.inputs.items()})
        for index in range(min(samples.count, most))
    ]
    return {name: np.stack(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
