"""Modules that torch.nn lacks, for layers that must follow the batch and the channels of what they get."""

from __future__ import annotations

from torch import Tensor, nn

from edgecompress.compress.torch_graph._reshaping import Shape, Size, sizes


class Reshape(nn.Module):
    """Reshape a tensor to sizes told by its own ones."""

    def __init__(self, before: Shape, after: Shape) -> None:
        super().__init__()
        self.sizes: tuple[Size, ...] = sizes(before, after)

    def forward(self, x: Tensor) -> Tensor:
        """Reshape any number of samples."""
        return x.reshape([size.of(x.shape) for size in self.sizes])
