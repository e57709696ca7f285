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
        self._taken = set(taken)
        self._names: set[str] = set()
        self._next: Counter[str] = Counter()

    def add(self, operator: str, inputs: Sequence[Value | str], name: str, output: str = "", **attributes: Any) -> str:
        """Write a node and return the name of its output, which is `output` as long as that is free."""
        made = self._unique(output or name, self._taken)
        names = [x.name if isinstance(x, Value) else x for x in inputs]
        unique = self._unique(name, self._names)
        self.nodes.append(helper.make_node(operator, names, [made], name=unique, **attributes))
        return made

    def add_parts(
        self, operator: str, inputs: Sequence[Value | str], name: str, count: int, **attributes: Any
    ) -> list[str]:
        """Write a node with several outputs and return their names."""
        made = [self._unique(f"{name}_{position}", self._taken) for position in range(count)]
        names = [x.name if isinstance(x, Value) else x for x in inputs]
        unique = self._unique(name, self._names)
        self.nodes.append(helper.make_node(operator, names, made, name=unique, **attributes))
        return made

    def constant(self, values: Tensor | Array | Sequence[int] | float, name: str) -> str:
        """Write a constant; float64 becomes float32, a list of numbers int64. Return its name."""
        array = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        unique = self._unique(name, self._taken)
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), unique))
        return unique

    def rename(self, old: str, new: str) -> None:
        """Give a computed tensor another name, wherever it stands."""
        for node in self.nodes:
            for names in (node.input, node.output):
                for position, name in enumerate(names):
                    names[position] = new if name == old else name

    @staticmethod
    def _numbered(wanted: str, number: int) -> str:
        return f"{wanted}_{number}"

    def _unique(self, wanted: str, taken: set[str]) -> str:
        name = wanted
        while name in taken:
            self._next[wanted] += 1
            name = self._numbered(wanted, self._next[wanted])
        taken.add(name)
        return name
