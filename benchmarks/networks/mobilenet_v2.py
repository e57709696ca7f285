"""MobileNetV2 1.0 for images of 224 x 224 pixels and 1000 classes (Sandler et al. 2018, table 2)."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.networks import seeded

SHAPE = (1, 3, 224, 224)
SEED = 2
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, blocks, the first block's stride."""
STEM_CHANNELS, HEAD_CHANNELS, CLASSES = 32, 1280, 1000


def build() -> nn.Module:
    """Give the network with seeded weights; logits (1, 1000) from images (1, 3, 224, 224)."""
    network = seeded.fill(MobileNetV2(), SEED)
    for block in network.modules():
        if isinstance(block, Block) and block.is_residual:
            seeded.end_branch(block.layers[-1])
    return network


class Block(nn.Module):
    """An inverted residual: expand, filter each channel, project without an activation."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        expand = _convolution(inputs, hidden, 1) if expansion > 1 else []
        depthwise = _convolution(hidden, hidden, 3, stride, groups=hidden)
        project = _convolution(hidden, outputs, 1)[:-1]
        self.layers = nn.Sequential(*expand, *depthwise, *project)
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the block."""
        filtered: torch.Tensor = self.layers(x)
        return x + filtered if self.is_residual else filtered


class MobileNetV2(nn.Module):
    """A stem, seven stages of inverted residuals, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        layers = _convolution(3, STEM_CHANNELS, 3, 2)
        inputs = STEM_CHANNELS
        for expansion, outputs, blocks, first_stride in STAGES:
            for stride in (first_stride, *[1] * (blocks - 1)):
                layers.append(Block(inputs, outputs, stride, expansion))
                inputs = outputs
        layers += _convolution(inputs, HEAD_CHANNELS, 1)
        self.layers = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(HEAD_CHANNELS, CLASSES))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Compute the logits."""
        logits: torch.Tensor = self.head(self.layers(image))
        return logits


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU6()]
