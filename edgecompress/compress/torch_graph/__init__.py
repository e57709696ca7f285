"""ONNX <-> torch.fx: a network is ONNX, torch is a way to train it.

`to_torch` -> change, train -> `to_onnx`. Both are held against ONNX Runtime.
"""

# ruff: noqa: E402  what is imported below needs torch
from edgecompress.core.extras import require_training

require_training()

from edgecompress.compress.torch_graph._batch_norm import fold_batch_norm, restore_batch_norm
from edgecompress.compress.torch_graph._export import to_onnx
from edgecompress.compress.torch_graph._import import to_torch

__all__ = ["fold_batch_norm", "restore_batch_norm", "to_onnx", "to_torch"]
