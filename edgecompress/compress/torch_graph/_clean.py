"""What the exporter can only see on the finished graph: borders that belong to windows, and what nobody reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from onnx import NodeProto, helper, numpy_helper

from edgecompress.compress.torch_graph._writer import Writer
from edgecompress.core.values import Array

BORDERS = {"Conv": 0.0, "MaxPool": -np.inf}
"""The operators that can have a border of their own, and which number stands in it."""


def clean(writer: Writer) -> None:
    """Put borders into the windows that read them, and drop constants without a reader, in place."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in writer.constants}
    readers = Counter(name for node in writer.nodes for name in node.input)
    makers = {name: node for node in writer.nodes for name in node.output}
    for window in [node for node in writer.nodes if node.op_type in BORDERS]:
        border = makers.get(window.input[0])
        if border is not None and border.op_type == "Pad" and readers[window.input[0]] == 1:
            _take_in(window, border, constants, writer)
    read = {name for node in writer.nodes for name in node.input}
    writer.constants = [tensor for tensor in writer.constants if tensor.name in read]


def _take_in(window: NodeProto, border: NodeProto, constants: Mapping[str, Array], writer: Writer) -> None:
    pads = constants[border.input[1]].tolist()
    rank = len(pads) // 2
    if constants[border.input[2]].item() != BORDERS[window.op_type] or any(pads[:2]) or any(pads[rank : rank + 2]):
        return
    ends = [*pads[2:rank], *pads[rank + 2 :]]
    own = next(attribute for attribute in window.attribute if attribute.name == "pads")
    both = [a + b for a, b in zip(own.ints, ends, strict=True)]
    window.attribute.remove(own)
    window.attribute.append(helper.make_attribute("pads", both))
    window.input[0] = border.input[0]
    writer.nodes.remove(border)
