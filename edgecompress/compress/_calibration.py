"""Run the float network on the calibration samples and keep a histogram of every activation."""

from __future__ import annotations

import numpy as np
import onnxruntime
from onnx import ModelProto, TensorProto

from edgecompress.compress._ranges import BINS, Histogram
from edgecompress.core.errors import ModelError
from edgecompress.core.values import Array, Progress, Samples

FATAL_ONLY = 4


def observe(graph: ModelProto, samples: Samples, progress: Progress) -> dict[str, Histogram]:
    """Return the histogram of every float activation, inputs included, by tensor name.

    Two passes over the samples: the extremes, then the counts between them. One thread and no graph optimization, so
    that the same samples give the same histograms. Raises ModelError when the network computes NaN or infinity.
    """
    session = _session(graph)
    names = [output.name for output in session.get_outputs() if output.type == "tensor(float)"]
    inputs = [name for name, array in samples.inputs.items() if array.dtype == np.float32]
    extremes = dict.fromkeys([*inputs, *names], (np.inf, -np.inf))
    for i in range(samples.count):
        for name, value in _values(session, names, samples, i).items():
            if not np.isfinite(value).all():
                raise ModelError(
                    f"the network computes NaN or infinity in {name!r} on calibration sample {i}",
                    hint="check that the samples are scaled as in training",
                )
            low, high = extremes[name]
            extremes[name] = (min(low, float(value.min())), max(high, float(value.max())))
        progress("calibrate: extremes", i + 1, samples.count)
    counts = {name: np.zeros(BINS) for name in extremes}
    for i in range(samples.count):
        for name, value in _values(session, names, samples, i).items():
            counts[name] += np.histogram(value, bins=BINS, range=extremes[name])[0]
        progress("calibrate: histograms", i + 1, samples.count)
    return {name: Histogram(low=low, high=high, counts=counts[name]) for name, (low, high) in extremes.items()}


def _session(graph: ModelProto) -> onnxruntime.InferenceSession:
    """Open a session that returns every activation."""
    observed = ModelProto()
    observed.CopyFrom(graph)
    del observed.graph.output[:]
    made = {name for node in graph.graph.node for name in node.output}
    infos = {info.name: info for info in [*graph.graph.value_info, *graph.graph.output]}
    observed.graph.output.extend(
        info for name, info in infos.items() if name in made and info.type.tensor_type.elem_type == TensorProto.FLOAT
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = FATAL_ONLY
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(
        observed.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
    )


def _values(session: onnxruntime.InferenceSession, names: list[str], samples: Samples, i: int) -> dict[str, Array]:
    feed = {name: array[i : i + 1] for name, array in samples.inputs.items()}
    seen = {name: array for name, array in feed.items() if array.dtype == np.float32}
    computed = session.run(names, feed) if names else []
    return seen | dict(zip(names, computed, strict=True))
