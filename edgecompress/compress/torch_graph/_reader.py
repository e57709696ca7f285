"""What the rules of the importer work with: the ONNX nodes on one side, the torch graph that grows on the other."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
from onnx import NodeProto, helper, numpy_helper
from torch import fx, nn

from edgecompress.compress.torch_graph._reshaping import Shape
from edgecompress.core.errors import ModelError
from edgecompress.core.values import Array, Model

ONNX_NAME, ONNX_OUTPUT = "onnx_name", "onnx_output"
"""Keys of an fx node's `meta`: the names of the ONNX node that it came from, and of the tensor that it makes."""


class Reader:
    """The graph of a model, read node by node into a torch.fx graph.

    Constants stay numpy arrays until a rule asks for a node that holds one.
    """

    def __init__(self, model: Model) -> None:
        proto = onnx.shape_inference.infer_shapes(model.graph)
        self.model = model
        self.nodes = list(proto.graph.node)
        self.opset = max((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), default=1)
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
        self.root = nn.Module()
        self.graph = fx.Graph()
        self.values: dict[str, fx.Node] = {}
        self._shapes = _shapes(proto)

    def refusal(self, node: NodeProto, fact: str, hint: str) -> ModelError:
        """Make the error for a node that cannot become a torch module."""
        return ModelError(f"{self.model.name}: {node.op_type} {node.name!r} {fact}", hint=hint)

    def shape(self, tensor: str) -> Shape:
        """Give a tensor's shape with one sample. Raises ModelError when it is not known."""
        if tensor in self.constants:
            return self.constants[tensor].shape
        if tensor not in self._shapes:
            raise ModelError(f"{self.model.name}: the shape of {tensor!r} is not known", hint="load the model again")
        return self._shapes[tensor]

    def constant(self, node: NodeProto, position: int) -> Array | None:
        """Give an input that must be a constant; None when it is left out. Raises ModelError when it is computed."""
        if position >= len(node.input) or not node.input[position]:
            return None
        if node.input[position] not in self.constants:
            raise self.refusal(node, f"computes its input {position}", "only constants can be trained there")
        return self.constants[node.input[position]]

    def value(self, node: NodeProto, position: int) -> fx.Node:
        """Give an input as a node of the torch graph; a constant becomes a parameter, or a buffer if of integers."""
        name = node.input[position]
        if name not in self.values:
            self.values[name] = self._held(name, node.name)
        return self.values[name]

    def operand(self, node: NodeProto, position: int) -> fx.Node | float:
        """Give an input of an arithmetic operation: one number as itself, anything else as a node."""
        constant = self.constants.get(node.input[position])
        if constant is not None and constant.size == 1 and constant.ndim <= 1:
            return float(constant.item()) if constant.dtype.kind == "f" else int(constant.item())
        return self.value(node, position)

    def module(self, node: NodeProto, module: nn.Module, *inputs: fx.Node, suffix: str = "") -> fx.Node:
        """Call a module, kept under the name of the ONNX node."""
        return self._described(node, self.graph.call_module(self._keep(module, node.name + suffix), inputs), suffix)

    def function(self, node: NodeProto, function: Callable[..., Any], *arguments: Any, **options: Any) -> fx.Node:
        """Call a function of torch."""
        return self._described(node, self.graph.call_function(function, arguments, options))

    def part(self, whole: fx.Node, position: int, output: str) -> fx.Node:
        """Take one of several results of a function: the ONNX tensor `output`."""
        taken = self.graph.call_function(operator.getitem, (whole, position))
        taken.meta[ONNX_OUTPUT] = output
        return taken

    def finish(self) -> fx.GraphModule:
        """Close the graph with the model's outputs, and give it as a module that is not in training mode."""
        outputs = [self.values[output.name] for output in self.model.outputs]
        self.graph.output(outputs[0] if len(outputs) == 1 else tuple(outputs))
        self.graph.lint()
        module = fx.GraphModule(self.root, self.graph)
        return module.eval()

    def _described(self, node: NodeProto, made: fx.Node, suffix: str = "") -> fx.Node:
        made.meta[ONNX_NAME] = node.name + suffix
        if not suffix:
            made.meta[ONNX_OUTPUT] = node.output[0]
        return made

    def _held(self, name: str, reader: str) -> fx.Node:
        array = self.constants[name]
        tensor = torch.from_numpy(array.copy())
        held = self._free_name(f"{reader}_{name}")
        if tensor.is_floating_point():
            self.root.register_parameter(held, nn.Parameter(tensor))
        else:
            self.root.register_buffer(held, tensor)
        return self.graph.get_attr(held)

    def _keep(self, module: nn.Module, wanted: str) -> str:
        name = self._free_name(wanted)
        self.root.add_module(name, module)
        return name

    def _free_name(self, wanted: str) -> str:
        """Make a name that torch allows. What could end a string in the code that torch.fx writes is left out."""
        name = re.sub(r"[^\w/:;\- ]", "_", wanted) or "_"
        while hasattr(fx.GraphModule, name) or hasattr(self.root, name):
            name += "_"
        return name


def attributes(node: NodeProto) -> dict[str, Any]:
    """Give a node's attributes; text is str."""
    found = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in found.items()}


def _shapes(proto: onnx.ModelProto) -> dict[str, Shape]:
    infos = [*proto.graph.value_info, *proto.graph.input, *proto.graph.output]
    return {
        info.name: tuple(dim.dim_value for dim in info.type.tensor_type.shape.dim)
        for info in infos
        if info.type.tensor_type.HasField("shape")
    }


def axes_of(reader: Reader, node: NodeProto, position: int) -> list[int] | None:
    """Give the axes that are an attribute in old operator sets and an input in new ones; None when left out."""
    given = attributes(node).get("axes")
    if given is None:
        held = reader.constant(node, position)
        given = None if held is None else np.atleast_1d(held).tolist()
    return None if given is None else [int(axis) for axis in given]
