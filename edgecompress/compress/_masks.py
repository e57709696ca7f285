"""Which weights stay: masks by scores, for a share of the weights or for N of every M.

Scores and masks are by layer, in the axes (outputs, inputs, rows and columns of the kernel).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
Mask = NDArray[np.bool_]
Group = Literal["weight", "kernel"]
Norm = Literal["l1", "l2"]
Scope = Literal["local", "global"]


def grouped(scores: Scores, group: Group, norm: Norm) -> Scores:
    """Score weights alone, or all of a kernel (an input and an output) by the norm of its scores over its size."""
    if group == "weight" or scores.ndim < 3:
        return np.abs(scores)
    axes = tuple(range(2, scores.ndim))
    if norm == "l1":
        return np.broadcast_to(np.abs(scores).mean(axis=axes, keepdims=True), scores.shape)
    return np.broadcast_to(np.sqrt(np.square(scores).mean(axis=axes, keepdims=True)), scores.shape)


def lowest_out(scores: Mapping[str, Scores], sparsity: float, scope: Scope) -> dict[str, Mask]:
    """Take out the share `sparsity` of the weights with the lowest scores, of each layer or of all layers together.

    Every layer keeps its highest score. Weights of equal score go in the order of the layer, and of the weights.
    """
    if scope == "local":
        return {name: _kept(each, round(sparsity * each.size)) for name, each in scores.items()}
    together = np.concatenate([each.reshape(-1) for each in scores.values()])
    kept = _kept(together, round(sparsity * together.size))
    ends = np.cumsum([each.size for each in scores.values()])
    parts = np.split(kept, ends[:-1])
    masks = {name: part.reshape(each.shape) for (name, each), part in zip(scores.items(), parts, strict=True)}
    return {name: mask if mask.any() else scores[name] == scores[name].max() for name, mask in masks.items()}


def shares_out(scores: Mapping[str, Scores], shares: Mapping[str, float]) -> dict[str, Mask]:
    """Take out each layer's own share of weights, those with the lowest scores. Every layer keeps its highest score."""
    return {name: _kept(each, round(shares[name] * each.size)) for name, each in scores.items()}


def n_of_m(scores: Scores, kept: int, of: int) -> Mask:
    """Keep the `kept` highest of every `of` neighbours along the inputs; a last group may be smaller."""
    inputs = scores.shape[1]
    moved = np.moveaxis(scores, 1, -1)
    padded = np.pad(moved, [(0, 0)] * (moved.ndim - 1) + [(0, -inputs % of)], constant_values=-1.0)
    groups = padded.reshape(-1, of)
    order = np.argsort(-groups, axis=1, kind="stable")
    mask = np.zeros(groups.shape, np.bool_)
    np.put_along_axis(mask, order[:, :kept], True, axis=1)
    return np.ascontiguousarray(np.moveaxis(mask.reshape(padded.shape)[..., :inputs], -1, 1))


def _kept(scores: Scores, out: int) -> Mask:
    flat = scores.reshape(-1)
    mask = np.ones(flat.size, np.bool_)
    mask[np.argsort(flat, kind="stable")[: min(out, flat.size - 1)]] = False
    return mask.reshape(scores.shape)
