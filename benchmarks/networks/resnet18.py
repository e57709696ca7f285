"""ResNet18 for images of 224 x 224 pixels and 1000 classes (He et al. 2016, "Deep Residual Learning …", table 1)."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.networks import seeded

SHAPE = (1, 3, 224, 224)
SEED = 18
STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))
"""Channels and the first block's stride, of two blocks each."""
CLASSES = 1000


def build() -> nn.Module:
    """Give the network with seeded weights; logits (1, 1000) from images (1, 3, 224, 224)."""
    network = seeded.fill(ResNet18(), SEED)
    for block in network.modules():
        if isinstance(block, Block):
            seeded.end_branch(block.second[1])
    return network


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = _convolution(inputs, outputs, 3, stride)
        self.second = _convolution(outputs, outputs, 3, 1)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else _convolution(inputs, outputs, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the block."""
        return torch.relu(self.second(torch.relu(self.first(x))) + self.shortcut(x))


class ResNet18(nn.Module):
    """A 7x7 stem, four stages of two blocks, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(_convolution(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        blocks: list[nn.Module] = []
        inputs = 64
        for outputs, stride in STAGES:
            blocks += [Block(inputs, outputs, stride), Block(outputs, outputs, 1)]
            inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, CLASSES))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Compute the logits."""
        logits: torch.Tensor = self.head(self.blocks(self.stem(image)))
        return logits


def _convolution(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))
