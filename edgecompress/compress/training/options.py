"""What a recipe's step may say about its training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edgecompress.core.values import FileValue


class LoopOptions(FileValue):
    """The keys of every step that trains, beside the method's own.

    `epochs`: passes over the samples that train; 0 trains nothing.
    `learning_rate`: the largest one; `schedule` lowers it from batch to batch (schedules.py).
    `weight_decay`: of weights; biases and batch norms have none.
    `held_out`: the share of the training samples that choose the best epoch, drawn evenly over the classes; with 0 the
    last epoch is kept. `patience`: training stops after so many epochs without a better one; 0 never stops early.
    `device`: `auto` takes the GPU when there is one. `mixed_precision`: bfloat16 where torch holds it to be safe.
    """

    epochs: int = Field(default=20, ge=0)
    batch_size: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=1e-3, gt=0)
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    schedule: Literal["constant", "steps", "cosine", "one_cycle"] = "cosine"
    weight_decay: float = Field(default=0, ge=0, lt=1)
    held_out: float = Field(default=0.1, ge=0, le=0.5)
    patience: int = Field(default=0, ge=0)
    seed: int = Field(default=0, ge=0)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    mixed_precision: bool = False


class TrainingOptions(LoopOptions):
    """The keys of every step that trains, and has no loss of its own.

    `loss`: `labels` (cross entropy) or `fidelity` (the outputs of the network as the step got it, no labels needed).
    """

    loss: Literal["labels", "fidelity"] = "labels"
