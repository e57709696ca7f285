"""TensorFlow Lite files: read strictly and turned into the ONNX graph that means the same, without TensorFlow.

An int8 network becomes a QDQ graph with exactly the scales and zero points of the file, a float32 network a float
graph. Where the two formats differ by a step, the model says that TFLite's definition holds (`Model.arithmetic`).
Layers keep the names of the tensors that they make. The format is that of TensorFlow's schema.fbs, version 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from onnx import ModelProto, helper

from edgecompress.core.values import Model
from edgecompress.models import _onnx_checks as onnx_checks
from edgecompress.models import _onnx_quantization as quantization
from edgecompress.models import _onnx_shapes as onnx_shapes
from edgecompress.models import _onnx_specs as specs
from edgecompress.models import _tflite_checks as checks
from edgecompress.models import _tflite_records as records
from edgecompress.models._model_bytes import read_bytes
from edgecompress.models._tflite_graph import Graph
from edgecompress.models._tflite_operands import check_operands, check_same_scale
from edgecompress.models._tflite_operators import RULES

SUFFIXES = (".tflite",)
IR_VERSION = 8
"""That of ONNX 1.12, the first release with the operator set that is written."""
NO_SHAPES: Mapping[str, tuple[int, ...]] = MappingProxyType({})


def load(path: Path, *, name: str | None = None, shapes: Mapping[str, tuple[int, ...]] = NO_SHAPES) -> Model:
    """Read a .tflite file into a Model with batch 1.

    `name` defaults to the file's stem. `shapes` may only repeat what the file says: its shapes are fixed. Raises
    ModelError for anything that is damaged, dynamic, of several subgraphs, neither float32 nor int8, or not among the
    operators that are known.
    """
    network = records.read(read_bytes(path), path)
    checks.check_operators(network, RULES, path)
    checks.check_tensors(network, path)
    checks.check_order(network, path)
    checks.check_shapes(network, shapes, path)
    proto = _converted(network, path)
    onnx_checks.check_no_nan(proto, path)
    onnx_checks.run_onnx_checker(proto, path)
    onnx_shapes.infer(proto, path)
    onnx_shapes.check_static(proto, path)
    quantization.check(proto, path)
    inputs, outputs = specs.read(proto, path)
    model = Model(name=name or path.stem, graph=proto, inputs=inputs, outputs=outputs)
    return replace(model, arithmetic="tflite") if model.is_quantized else model


def _converted(network: records.Network, path: Path) -> ModelProto:
    graph = Graph(network, path)
    for operator in network.operators:
        rule = RULES[operator.kind]
        check_operands(graph, operator, rule.least, rule.most)
        if rule.keeps_scale:
            check_same_scale(graph, operator)
        rule.convert(graph, operator)
    opset = helper.make_opsetid("", onnx_checks.OPSET_WANTED)
    return helper.make_model(graph.finish(), opset_imports=[opset], ir_version=IR_VERSION)
