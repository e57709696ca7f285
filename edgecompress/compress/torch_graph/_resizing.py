"""Resize, both ways: images of another size, nearest or linear, by the places that torch knows too."""

from __future__ import annotations

from typing import Any

from onnx import NodeProto
from torch import fx, nn

from edgecompress.compress.torch_graph._reader import Reader, attributes
from edgecompress.compress.torch_graph._writer import Call, Value

LINEAR = {1: "linear", 2: "bilinear"}
NEAREST = {("asymmetric", "floor"): "nearest", ("half_pixel", "round_prefer_ceil"): "nearest-exact"}
"""ONNX's places and rounding -> torch's mode."""
CORNERS = {"align_corners": True, "half_pixel": False}
"""ONNX's places of a linear resize -> whether torch aligns the corners."""


def read(reader: Reader, node: NodeProto) -> fx.Node:
    """Read Resize of the axes behind the channels."""
    before, after = reader.shape(node.input[0]), reader.shape(node.output[0])
    axes = len(after) - 2
    if axes not in LINEAR or before[:2] != after[:2]:
        raise reader.refusal(
            node, f"goes from {before} to {after}", "one or two axes behind the channels can be resized"
        )
    return reader.module(node, nn.Upsample(size=after[2:], **_settings(reader, node, axes)), reader.value(node, 0))


def _settings(reader: Reader, node: NodeProto, axes: int) -> dict[str, Any]:
    given = {key: value.decode() if isinstance(value, bytes) else value for key, value in attributes(node).items()}
    mode, places = given.get("mode", "nearest"), given.get("coordinate_transformation_mode", "half_pixel")
    rounding = given.get("nearest_mode", "round_prefer_floor")
    if places == "pytorch_half_pixel":
        places = "half_pixel"
    if mode == "nearest":
        if rounding == "round_prefer_floor" and not _has_ties(reader, node):
            rounding = "round_prefer_ceil"
        if (places, rounding) in NEAREST:
            return {"mode": NEAREST[places, rounding]}
        places = f"{places}, {rounding}"
    elif mode == "linear" and places in CORNERS and not given.get("antialias"):
        return {"mode": LINEAR[axes], "align_corners": CORNERS[places]}
    raise reader.refusal(
        node,
        f"resizes by {mode} ({places}{', antialias' if given.get('antialias') else ''})",
        "nearest (asymmetric with floor, half_pixel) and linear (half_pixel, align_corners) can be trained",
    )


def _has_ties(reader: Reader, node: NodeProto) -> bool:
    """Whether a new pixel's middle lies between two old ones, as far from both."""
    sizes = zip(reader.shape(node.input[0])[2:], reader.shape(node.output[0])[2:], strict=True)
    return any((2 * at + 1) * extent % (2 * wanted) == 0 for extent, wanted in sizes for at in range(wanted))


def write(call: Call, layer: nn.Upsample, x: Value) -> str:
    """Write an image of another size."""
    how: dict[str, Any]
    if layer.mode in ("nearest", "nearest-exact"):
        places, rounding = next(known for known, mode in NEAREST.items() if mode == layer.mode)
        how = {"mode": "nearest", "coordinate_transformation_mode": places, "nearest_mode": rounding}
    elif layer.mode in LINEAR.values():
        how = {
            "mode": "linear",
            "coordinate_transformation_mode": "align_corners" if layer.align_corners else "half_pixel",
        }
    else:
        raise TypeError(f"an image resized by {layer.mode!r}")
    return call.node("Resize", x, "", "", call.constant("sizes", list(call.made.shape)), **how)
