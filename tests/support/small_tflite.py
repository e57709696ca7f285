"""The small .tflite networks that the tests of models/tflite_file change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from tflite_writer import Layer, Tensor

from edgecompress.core.values import Model

Tensors = dict[str, Tensor]
Load = Callable[..., Model]
Refusal = Callable[..., tuple[str, str]]

DAMAGED = "it may be cut short or not be a .tflite file; convert or copy it again"
INT8_HINT = (
    "convert the network to full int8: supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8] and a representative "
    "data set"
)
RESIZE = "ResizeBilinearOptions"
OPTIONS = {"Padding": 0, "StrideH": 2, "StrideW": 2}
X = Tensor(shape=(1, 5, 4, 2), scale=0.5, zero=3)
RELU = Layer(kind="RELU", reads=("x",), makes=("y",))
CONV = Layer(kind="CONV_2D", reads=("x", "w", "b"), makes=("y",), table="Conv2DOptions", options=OPTIONS)


def conv(**changes: Tensor) -> Tensors:
    """An int8 convolution with padding SAME and stride 2 on 5 by 4 pixels."""
    tensors = {
        "x": X,
        "w": Tensor(shape=(3, 3, 3, 2), scale=[0.1, 0.2, 0.3], zero=[0, 0, 0], data=np.arange(54)),
        "b": Tensor(shape=(3,), dtype="int32", scale=[0.05, 0.1, 0.15], zero=[0, 0, 0], data=[1, -2, 3]),
        "y": Tensor(shape=(1, 3, 2, 3), scale=0.7, zero=-5),
    }
    return tensors | changes


def relu(**changes: Any) -> Tensors:
    return {"x": replace(X, **changes), "y": X}
