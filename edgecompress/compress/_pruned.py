"""What pruned networks have in common: masks put on weights, the size of a sparse form, the share of zeros by layer."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from edgecompress.compress import _layer_weights
from edgecompress.compress._layer_weights import LayerWeights
from edgecompress.compress._masks import Mask
from edgecompress.core.values import Finding, Model, Series


def masked(model: Model, masks: Mapping[str, Mask], layers: Sequence[LayerWeights]) -> Model:
    """Set what masks (by layer) take out to zero."""
    changed = {
        each.tensor: np.where(masks[each.layer], each.values, 0).astype(each.values.dtype)
        for each in layers
        if each.layer in masks
    }
    return dataclasses.replace(model, graph=_layer_weights.replaced(model.graph, changed, layers))


def stored_bytes(model: Model) -> int:
    """The bytes of all parameters, with each layer's weights as a bit for each and the values that are not zero.

    A layer that is smaller as it is stays so.
    """
    total = _layer_weights.parameter_bytes(model.graph)
    for each in _layer_weights.read(model):
        sparse = math.ceil(each.values.size / 8) + int(np.count_nonzero(each.values)) * each.values.itemsize
        total -= max(each.values.nbytes - sparse, 0)
    return total


def zeros_finding(title: str, model: Model) -> Finding:
    """Show each layer's share of zeros."""
    layers = _layer_weights.read(model)
    shares = tuple(100 * (1 - np.count_nonzero(each.values) / each.values.size) for each in layers)
    return Finding(
        title=title,
        kind="bars",
        x_label="layer",
        y_label="weights that are zero (%)",
        series=(Series(name="zeros", x=tuple(each.layer for each in layers), y=shares),),
    )
