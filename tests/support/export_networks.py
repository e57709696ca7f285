"""A small float network under an awkward name, compiled for a target: what test_export.py exports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgecompress import compile as compiler
from edgecompress import models
from edgecompress.core import target
from edgecompress.core.bundle import Bundle

NAME = '2. Wake-Word «α» */ "$x"'
IDENTIFIER = "network_2_wake_word_x"


def compiled(target_name: str, folder: Path, name: str = NAME, seed: int = 0) -> Bundle:
    """Compile it into a folder; test vectors are seeded."""
    path = folder.with_suffix(".onnx")
    onnx.save(_network(seed), path)
    return compiler.build(models.load(path, name=name), target.load(target_name), folder)


def _network(seed: int) -> onnx.ModelProto:
    random = np.random.default_rng(seed)
    weights = {
        "filters": random.normal(0, 0.4, (8, 3, 3, 3)),
        "filters_bias": random.normal(0, 0.1, 8),
        "rows": random.normal(0, 0.1, (8 * 6 * 6, 5)),
        "rows_bias": random.normal(0, 0.1, 5),
    }
    nodes = [
        helper.make_node("Conv", ["image", "filters", "filters_bias"], ["sums"], kernel_shape=[3, 3], pads=[1] * 4),
        helper.make_node("Relu", ["sums"], ["features"]),
        helper.make_node("Flatten", ["features"], ["flat"]),
        helper.make_node("Gemm", ["flat", "rows", "rows_bias"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 6, 6])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 5])],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
