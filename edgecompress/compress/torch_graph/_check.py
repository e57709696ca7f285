"""Hold a torch module and an ONNX graph against each other on noise."""

from __future__ import annotations

import numpy as np
import onnxruntime
import torch
from onnx import ModelProto
from torch import nn

from edgecompress.core.errors import ModelError
from edgecompress.core.values import Array, Model

TOLERANCE = 1e-4
"""Of the largest output, where that is above 1."""
SAMPLES = 2
FATAL_ONLY = 4


def check_same(module: nn.Module, model: Model, what: str) -> None:
    """Compare the outputs of several samples at once in torch with those one by one in ONNX Runtime.

    Raises ModelError when the module fails on them, or when an output is further than TOLERANCE away.
    """
    feeds = _noise(model)
    expected = run(model.graph, feeds)
    try:
        found = _outputs(module, feeds)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        text = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{what} fails on two samples at once: {text}", hint="only one sample at a time fits it"
        ) from error
    for spec, wanted, got in zip(model.outputs, expected, found, strict=True):
        _compare(wanted, got, f"{what}: {spec.name!r}")


def run(graph: ModelProto, feeds: dict[str, Array]) -> list[Array]:
    """Compute the outputs of every sample in ONNX Runtime, without its optimizations. Raises ModelError."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = FATAL_ONLY
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    count = len(next(iter(feeds.values())))
    try:
        session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
        each = [session.run(None, {name: array[i : i + 1] for name, array in feeds.items()}) for i in range(count)]
    except Exception as error:
        # onnxruntime throws a dozen unrelated types, bare Exception among them.
        text = " ".join(str(error).split())[:200]
        raise ModelError(f"ONNX Runtime cannot run the network: {text}", hint="load the model again") from error
    return [np.concatenate(outputs) for outputs in zip(*each, strict=True)]


def _noise(model: Model) -> dict[str, Array]:
    draw = np.random.default_rng(0)
    return {spec.name: draw.standard_normal((SAMPLES, *spec.shape[1:])).astype(np.float32) for spec in model.inputs}


def _outputs(module: nn.Module, feeds: dict[str, Array]) -> list[Array]:
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            outputs = module(*(torch.from_numpy(array) for array in feeds.values()))
    finally:
        module.train(was_training)
    return [output.numpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,))]


def _compare(wanted: Array, found: Array, what: str) -> None:
    if wanted.shape != found.shape:
        raise ModelError(f"{what} has the shape {found.shape} in torch and {wanted.shape} in ONNX", hint="report this")
    limit = TOLERANCE * max(1.0, float(np.abs(wanted).max(initial=0.0)))
    off = float(np.abs(wanted.astype(np.float64) - found).max(initial=0.0))
    if not off <= limit:
        raise ModelError(
            f"{what} is {off:.3g} away from ONNX Runtime on noise; {limit:.3g} is allowed",
            hint="take the steps that train out of the recipe, and report this network",
        )
