"""ONNX -> torch.fx: every node by the rule of its operator, then the whole against ONNX Runtime."""

from __future__ import annotations

import re

from torch import fx

from edgecompress.compress.torch_graph import _read_functions, _read_layers
from edgecompress.compress.torch_graph._check import check_same
from edgecompress.compress.torch_graph._reader import Reader
from edgecompress.core.errors import ModelError
from edgecompress.core.values import Model

RULES = {**_read_layers.RULES, **_read_functions.RULES}


def to_torch(model: Model) -> fx.GraphModule:
    """Make a torch module of a float network: any batch size, layers named after the ONNX nodes, not in training mode.

    The parameters are copies. Raises ModelError for a quantized network, inputs that are not float32, an operator
    without a rule, and when torch and ONNX Runtime differ by more than 1e-4 on noise.
    """
    _check_is_float(model)
    reader = Reader(model)
    for position, spec in enumerate(model.inputs):
        reader.values[spec.name] = reader.graph.placeholder(_argument(spec.name, position))
    for node in reader.nodes:
        rule = RULES.get(node.op_type) if node.domain in ("", "ai.onnx") else None
        if rule is None:
            raise reader.refusal(node, "cannot be trained", f"known operators: {', '.join(sorted(RULES))}")
        reader.values[node.output[0]] = rule(reader, node)
    module = reader.finish()
    check_same(module, model, f"{model.name} in torch")
    return module


def _check_is_float(model: Model) -> None:
    if model.is_quantized:
        raise ModelError(
            f"{model.name} is quantized; only float networks can be trained",
            hint="put the steps that train before those that quantize",
        )
    for spec in model.inputs:
        if spec.dtype != "float32":
            raise ModelError(
                f"{model.name}: the input {spec.name!r} is {spec.dtype}; only float32 can be trained",
                hint="export the network with float32 inputs",
            )


def _argument(name: str, position: int) -> str:
    """Make a name for an argument of `forward`; it stands in code that torch.fx writes."""
    return f"input_{position}_" + re.sub(r"\W", "_", name, flags=re.ASCII)
