"""Write a network of this folder as an ONNX file, batch 1, static shapes."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import warnings
from pathlib import Path

NAMES = ("mobilenet_v2", "resnet18", "transformer")
OPSET = 18
"""The oldest operator set that torch.onnx writes without converting."""


def write(name: str, folder: Path) -> Path:
    """Export a network into FOLDER/NAME.onnx, its weights inside; return the path."""
    import torch

    network = importlib.import_module(f"benchmarks.networks.{name}")
    path = folder / f"{name}.onnx"
    example = torch.zeros(network.SHAPE)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, which no network here uses
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter's own, of its own parts
        torch.onnx.export(
            network.build(),
            (example,),
            path,
            input_names=["input"],
            output_names=["output"],
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
        )
    return path
