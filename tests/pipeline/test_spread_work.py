"""Layers that sum no products are spread over threads by the work that they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from edgecompress import models
from edgecompress.compile import graph, lowering
from edgecompress.core import target as targets


def sources(operator: str, elements: int, folder: Path) -> str:
    """The C of a network of one operator, for a Raspberry Pi 4."""
    shape = (1, elements // 64, 64)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y")]
    nodes = [helper.make_node(operator, ["x"], ["y"])]
    made = helper.make_graph(nodes, "one", ends[:1], ends[1:])
    path = folder / f"{operator}{elements}.onnx"
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    lowered = lowering.lower_and_plan(graph.to_program(models.load(path), targets.load("rpi4")))
    return "".join(kernel.source for kernel in lowered.kernels.values())


def test_a_function_of_many_numbers_is_spread(tmp_path: Path) -> None:
    assert "edgert_split(" in sources("Sigmoid", int(np.prod((64, 64, 16))), tmp_path)


def test_a_function_of_few_numbers_is_not(tmp_path: Path) -> None:
    assert "edgert_split(" not in sources("Sigmoid", 4096, tmp_path)
