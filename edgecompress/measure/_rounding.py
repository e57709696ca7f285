"""Why a quantized network's outputs differ from ONNX Runtime's: every layer compared, by itself and in sequence.

ONNX Runtime computes a QDQ graph in float32 and rounds after each operator; the device computes in integers and
rounds as the TFLite quantization specification says. Where a sum lies near the middle between two steps, the two
round to different sides; what follows works with that difference.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecompress.core.bundle import LATE_EXIT, Bundle, Inside, Layer, OnnxValue
from edgecompress.core.values import Array, Model, Progress, no_progress
from edgecompress.measure import _outputs

Arenas = NDArray[np.uint8]

ROUNDING_LSB = 1
"""Two ways of rounding one sum are at most so far apart; tests/pipeline/test_layer_rounding.py holds layers to it."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The largest difference of one layer's output from ONNX Runtime's value of it, in quantization steps.

    `alone`: every layer before it gave ONNX Runtime's value. `in_sequence`: the network as it runs.
    """

    layer: Layer
    alone: int
    in_sequence: int


def compare_layers(
    bundle: Bundle, model: Model, inputs: _outputs.Inputs, progress: Progress = no_progress
) -> tuple[Difference, ...]:
    """Compare every layer whose output is a value of the ONNX graph, on n samples, with the bundle's host program."""
    layers = bundle.manifest.layers
    known = {layer.onnx_output.name: layer.onnx_output for layer in layers if layer.onnx_output is not None}
    if not known:
        return ()
    values = _outputs.of_onnxruntime(model, inputs, progress, names=tuple(known))
    wanted = {value.tensor: _as_stored(values[value.name], value) for value in known.values()}
    places = {place.name: slice(place.offset, place.offset + place.bytes) for place in bundle.manifest.arena.placements}
    taught = sequence = _start(bundle, inputs, places)
    found = []
    for layer in layers:
        progress("compare layers", layer.index, len(layers))
        taught, sequence = (bundle.run_layer_on_host(layer.index, arenas) for arenas in (taught, sequence))
        if layer.onnx_output is None:
            continue
        place = _place(places[layer.onnx_output.tensor], layer.onnx_output.inside)
        right = wanted[layer.onnx_output.tensor]
        if layer.op == LATE_EXIT:  # by itself it copies, whichever exit was taken
            taught[:, place] = sequence[:, place] = right.view(np.uint8)
            continue
        alone, in_sequence = (_distance(arenas[:, place], right) for arenas in (taught, sequence))
        taught[:, place] = right.view(np.uint8)
        found.append(Difference(layer=layer, alone=alone, in_sequence=in_sequence))
    progress("compare layers", len(layers), len(layers))
    return tuple(found)


def reason(differences: tuple[Difference, ...]) -> str:
    """Say in one sentence, with the figures, where the difference from ONNX Runtime begins and how it grows."""
    if not differences:
        return "unknown: the bundle does not say which values of the ONNX graph its layers make"
    return "; ".join([_alone(differences), *_in_sequence(differences), *_through_softmax(differences)])


def _alone(differences: tuple[Difference, ...]) -> str:
    largest = max(each.alone for each in differences)
    worst = next(each for each in differences if each.alone == largest)
    given = "given ONNX Runtime's own inputs"
    if largest > ROUNDING_LSB:
        return f"{given}, {worst.layer.name} differs by {largest} LSB from it, more than rounding explains"
    cause = "ONNX Runtime rounds float32 results, the device integers as TFLite does"
    return f"{cause}: {given}, each of {len(differences)} layers is within {largest} LSB of it"


def _in_sequence(differences: tuple[Difference, ...]) -> list[str]:
    differing = [each for each in differences if each.in_sequence]
    if not differing:
        return []
    first = differing[0]
    verb = "differs" if len(differing) == 1 else "differ"
    words = f"in sequence {len(differing)} {verb}, first {first.layer.name} by {first.in_sequence} LSB"
    most = max(differing, key=lambda each: each.in_sequence * (each.layer.op != "softmax"))
    if most.in_sequence > first.in_sequence:
        words += f", most {most.layer.name} by {most.in_sequence} LSB"
    return [words]


def _through_softmax(differences: tuple[Difference, ...]) -> list[str]:
    return [
        f"the softmax turns up to {before.in_sequence} LSB in {before.layer.name} into {after.in_sequence} LSB"
        for before, after in itertools.pairwise(differences)
        if after.layer.op == "softmax" and after.in_sequence > before.in_sequence
    ]


def _start(bundle: Bundle, inputs: _outputs.Inputs, places: Mapping[str, slice]) -> Arenas:
    """Arenas with the inputs in their places and zeros elsewhere, (n, arena bytes)."""
    count = _outputs.count(inputs)
    arenas = np.zeros((count, bundle.manifest.arena.bytes), np.uint8)
    for spec in bundle.manifest.inputs:
        values = np.ascontiguousarray(inputs[spec.name], dtype=spec.dtype)
        arenas[:, places[spec.name]] = values.reshape(count, -1).view(np.uint8)
    return arenas


def _as_stored(values: Array, value: OnnxValue) -> NDArray[np.int8]:
    """ONNX values (n, …) as the tensor in the arena holds them, (n, bytes)."""
    signed = (values.astype(np.int16) - 128).astype(np.int8) if values.dtype == np.uint8 else values
    axes = (0, *(axis + 1 for axis in value.axes))
    moved = signed.reshape(len(values), *value.shape).transpose(axes).reshape(len(values), -1)
    if value.kept is not None:
        channels = [number for number, mark in enumerate(value.kept) if mark == "1"]
        moved = moved.reshape(len(values), -1, len(value.kept))[:, :, channels].reshape(len(values), -1)
    return np.ascontiguousarray(moved)


def _place(place: slice, inside: Inside | None) -> slice | NDArray[np.int64]:
    """The bytes of the arena that hold a tensor's numbers, those of a border left out."""
    if inside is None:
        return place
    rows = np.arange(inside.rows, dtype=np.int64)[:, np.newaxis] * inside.step + place.start + inside.first
    bytes_of_rows: NDArray[np.int64] = rows + np.arange(inside.row_bytes, dtype=np.int64)
    return bytes_of_rows.reshape(-1)


def _distance(arenas: Arenas, wanted: NDArray[np.int8]) -> int:
    found = np.ascontiguousarray(arenas).view(np.int8)
    return int(np.abs(found.astype(np.int16) - wanted.astype(np.int16)).max())
