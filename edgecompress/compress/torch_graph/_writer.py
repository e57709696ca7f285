"""What the rules of the exporter write to: ONNX nodes and constants, every name used once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from onnx import NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor

from edgecompress.core.values import Array

OPSET = 18
"""Old enough for every reader of this package's graphs, new enough for all that is written."""

Number = np.generic | float
Constant = Tensor | Array | Sequence[int] | Number


@dataclass(frozen=True, kw_only=True)
class Value:
    """A tensor while a module is exported: what it holds for one sample, and its name in the ONNX graph."""

    tensor: Tensor
    name: str


class Writer:
    """The nodes and constants of an ONNX graph, in the order of their computation."""

    def __init__(self, taken: Sequence[str]) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._tensors = _Names(taken)
        self._nodes = _Names(())

    def add(
        self, operator: str, inputs: Sequence[Value | str], outputs: Sequence[str], name: str, **attributes: Any
    ) -> list[str]:
        """Write a node and return the names of its outputs, which are the wanted ones as long as those are free."""
        made = [self._tensors.free(wanted) for wanted in outputs]
        names = [x.name if isinstance(x, Value) else x for x in inputs]
        self.nodes.append(helper.make_node(operator, names, made, name=self._nodes.free(name), **attributes))
        return made

    def constant(self, values: Constant, name: str) -> str:
        """Write a constant; float64 becomes float32, a list of numbers int64. Return its name."""
        array = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        unique = self._tensors.free(name)
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), unique))
        return unique

    def rename(self, old: str, new: str) -> None:
        """Give a computed tensor another name, wherever it stands."""
        for node in self.nodes:
            for names in (node.input, node.output):
                for position, name in enumerate(names):
                    names[position] = new if name == old else name


@dataclass(frozen=True, kw_only=True)
class Call:
    """One layer or function that is written: what torch computes of it, its name, and the wanted name of its output."""

    writer: Writer
    made: Any
    name: str
    output: str

    def node(self, operator: str, *inputs: Value | str, **attributes: Any) -> str:
        """Write the node that gives the result, and return the result's name."""
        return self.writer.add(operator, inputs, [self.output or self.name], self.name, **attributes)[0]

    def helping_node(self, suffix: str, operator: str, *inputs: Value | str, **attributes: Any) -> str:
        """Write a node that others of the same call need."""
        name = f"{self.name}_{suffix}"
        return self.writer.add(operator, inputs, [name], name, **attributes)[0]

    def constant(self, suffix: str, values: Constant) -> str:
        """Write a constant of this call."""
        return self.writer.constant(values, f"{self.name}_{suffix}")


class _Names:
    """Gives every name once; a second asker gets a number behind it."""

    def __init__(self, taken: Sequence[str]) -> None:
        self._taken = set(taken)
        self._last: Counter[str] = Counter()

    def free(self, wanted: str) -> str:
        name = wanted
        while name in self._taken:
            self._last[wanted] += 1
            name = f"{wanted}_{self._last[wanted]}"
        self._taken.add(name)
        return name
