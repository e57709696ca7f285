"""How many instructions each layer of a network takes on a target: what a compression method may ask the pipeline for.

Compression does not know the compiler; the pipeline hands it a function that builds, runs and counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgecompress.core.values import Model


@dataclass(frozen=True, kw_only=True)
class LayerInstructions:
    """What one call of the compiled program takes, and the ONNX nodes that it computes."""

    nodes: tuple[str, ...]
    instructions: float


@dataclass(frozen=True, kw_only=True)
class InstructionCounts:
    """A network's layers on a target. A figure is exact to a few times `tick`, the instructions of a tick there."""

    target: str
    tick: float
    layers: tuple[LayerInstructions, ...]

    @property
    def total(self) -> float:
        """The instructions of all layers."""
        return sum(layer.instructions for layer in self.layers)


CountInstructions = Callable[["Model"], InstructionCounts]
"""Builds an int8 network for the target, runs it there once, and counts.

Raises UsageError where nothing counts instructions, and what building and deploying raise.
"""
