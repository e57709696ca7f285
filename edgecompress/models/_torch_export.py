"""A torch network -> the ONNX graph that computes the same, by torch's own exporter."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecompress.core.errors import ModelError

if TYPE_CHECKING:
    import torch
    from onnx import ModelProto

    from edgecompress.core.values import Model

OPSET = 18
"""The oldest operator set that torch.onnx writes without converting."""
TOLERANCE = 1e-4
"""Of the largest output, where that is above 1."""
HINT = "decide nothing by the values of tensors, and use layers that torch.onnx knows"


def export(network: Any, examples: Sequence[torch.Tensor], names: Sequence[str] | None, where: str) -> ModelProto:
    """Export a module or an exported program with its weights inside. Raises ModelError."""
    import torch

    try:
        with quiet():
            program = torch.onnx.export(
                network,
                tuple(examples),
                input_names=names,
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except Exception as error:
        # torch.export and torch.onnx throw whatever the network's code makes them throw.
        raise ModelError(f"{where} cannot be exported to ONNX: {first_line(error)}", hint=HINT) from error
    if program is None:
        raise ModelError(f"{where} cannot be exported to ONNX: torch gave nothing", hint=HINT)
    proto: ModelProto = program.model_proto
    return proto


def check_same(network: Any, model: Model, where: str) -> None:
    """Compare the ONNX graph in ONNX Runtime with torch, on noise. Raises ModelError above TOLERANCE."""
    import torch

    draw = np.random.default_rng(0)
    feeds = {
        spec.name: (draw.standard_normal(spec.shape) if spec.dtype == "float32" else np.zeros(spec.shape)).astype(
            spec.dtype
        )
        for spec in model.inputs
    }
    with torch.no_grad(), quiet():
        made = network(*(torch.from_numpy(array) for array in feeds.values()))
    wanted = [output.numpy() for output in ((made,) if isinstance(made, torch.Tensor) else made)]
    for spec, found, expected in zip(model.outputs, _run(model, feeds), wanted, strict=True):
        limit = TOLERANCE * max(1.0, float(np.abs(expected).max(initial=0.0)))
        off = float(np.abs(found.astype(np.float64) - expected).max(initial=0.0))
        if not off <= limit:
            raise ModelError(
                f"{where}: the output {spec.name!r} is {off:.3g} away from torch as ONNX; {limit:.3g} is allowed",
                hint="export the network to ONNX yourself, and compare",
            )


def _run(model: Model, feeds: dict[str, Any]) -> list[Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    outputs: list[Any] = session.run(None, feeds)
    return outputs


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the exporter's prints, warnings and logs off the terminal: they are about its own parts."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def first_line(error: BaseException) -> str:
    """Say in one line what is at the bottom of an error."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
