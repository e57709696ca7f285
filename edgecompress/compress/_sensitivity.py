"""How much the output suffers when one layer alone loses its weakest weights or channels: measured, no training.

Of a layer, the given share of output channels (or of single weights) with the smallest L2 norm is set to 0; the figure
is the relative rise of the error: the energy of the output's change, as a share of the output's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from onnx import ModelProto

from edgecompress.compress import _activations, _weights
from edgecompress.compress._weights import WeightedLayer
from edgecompress.core.values import Array, Context, Finding, Samples, Series

MOST_SAMPLES = 32
SHARES = (0.25, 0.5, 0.75)

What = Literal["channels", "weights"]


def measure(
    graph: ModelProto, samples: Samples, what: What, context: Context, shares: Sequence[float] = SHARES
) -> dict[str, tuple[float, ...]]:
    """Return the relative rise of the error for each layer and share, by the layer's name."""
    layers = _weights.layers(graph)
    outputs = [output.name for output in graph.graph.output]
    wanted = _activations.read(graph, outputs, samples, MOST_SAMPLES)
    arrays = _weights.values(graph)
    found = {}
    for done, layer in enumerate(layers):
        context.progress("measure sensitivity", done, len(layers))
        errors = []
        for share in shares:
            weak = _without_weakest(arrays[layer.weights], layer, share, what)
            got = _activations.read(_weights.replaced(graph, {layer.weights: weak}), outputs, samples, MOST_SAMPLES)
            errors.append(relative_error(wanted, got))
        found[layer.name] = tuple(errors)
    context.progress("measure sensitivity", len(layers), len(layers))
    return found


def relative_error(wanted: Mapping[str, Array], got: Mapping[str, Array]) -> float:
    """The energy of the difference as a share of the energy of what is wanted, the largest of all outputs."""
    return max(
        float(np.sum(np.square(got[name].astype(np.float64) - values)))
        / max(float(np.sum(np.square(values, dtype=np.float64))), np.finfo(np.float64).tiny)
        for name, values in wanted.items()
    )


def finding(measured: Mapping[str, tuple[float, ...]], what: What, shares: Sequence[float] = SHARES) -> Finding:
    """Draw the sensitivities, a group of bars a layer."""
    names = tuple(measured)
    return Finding(
        title=f"Sensitivity of the output to each layer's {what}",
        kind="bars",
        x_label="layer",
        y_label="relative rise of the error",
        series=tuple(
            Series(name=f"{share:.0%} gone", x=names, y=tuple(errors[place] for errors in measured.values()))
            for place, share in enumerate(shares)
        ),
        note=f"Each layer alone without its weakest {what}, on the calibration samples, before any training.",
    )


def _without_weakest(array: Array, layer: WeightedLayer, share: float, what: What) -> Array:
    if what == "weights":
        return np.where(np.abs(array) < np.quantile(np.abs(array), share), 0.0, array)
    norms = np.linalg.norm(layer.by_output(array), axis=1)
    gone = np.argsort(norms, kind="stable")[: round(share * len(norms))]
    weak: Array = np.moveaxis(array, layer.axis, 0).copy()
    weak[gone] = 0
    return np.moveaxis(weak, 0, layer.axis)
