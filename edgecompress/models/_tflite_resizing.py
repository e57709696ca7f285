"""Images of another size: ONNX's Resize with the modes that stand for TFLite's two flags."""

from __future__ import annotations

import numpy as np

from edgecompress.models._onnx_shapes import show
from edgecompress.models._tflite_graph import Graph, Layout, values_of
from edgecompress.models._tflite_records import DAMAGED, Operator
from edgecompress.models._tflite_windows import EXTENT_LIMIT


def nearest(graph: Graph, operator: Operator) -> None:
    """The nearest pixel. TFLite rounds down, or halves up where corners or the pixels' centres are aligned."""
    coordinates = _coordinates(graph, operator)
    rounding = "floor" if coordinates == "asymmetric" else "round_prefer_ceil"
    _resize(graph, operator, mode="nearest", nearest_mode=rounding, coordinate_transformation_mode=coordinates)


def linear(graph: Graph, operator: Operator) -> None:
    """A weighted mean of the four pixels around."""
    _resize(graph, operator, mode="linear", coordinate_transformation_mode=_coordinates(graph, operator))


def _coordinates(graph: Graph, operator: Operator) -> str:
    options = graph.options(operator)
    if options["align_corners"] and options["half_pixel"]:
        raise graph.refusal(operator, "aligns both corners and the centres of pixels", DAMAGED)
    if options["align_corners"]:
        return "align_corners"
    return "half_pixel" if options["half_pixel"] else "asymmetric"


def _resize(graph: Graph, operator: Operator, **attributes: str) -> None:
    data, size = (graph.tensor(index) for index in operator.inputs)
    if len(data.shape) != 4:
        raise graph.refusal(operator, f"reads the shape {show(data.shape)}; an image has four axes", DAMAGED)
    if size.data is None or size.dtype != "int32" or size.shape != (2,):
        hint = "convert the network with fixed shapes; a device cannot compute them"
        raise graph.refusal(operator, "has a size that is no constant of two int32", hint)
    rows, columns = (int(extent) for extent in values_of(size))
    if not all(1 <= extent <= EXTENT_LIMIT for extent in (rows, columns)):
        raise graph.refusal(
            operator, f"makes {rows:,} x {columns:,} pixels; 1 to {EXTENT_LIMIT:,} are allowed", DAMAGED
        )
    batch, _, _, channels = data.shape
    sizes = graph.constant(np.array([batch, channels, rows, columns], np.int64), "sizes")
    real = graph.real(operator.inputs[0], Layout.CHANNELS_FIRST)
    value = graph.node("Resize", [real, "", "", sizes], graph.name(operator), **attributes)
    graph.make(operator, value, (batch, rows, columns, channels), Layout.CHANNELS_FIRST)
