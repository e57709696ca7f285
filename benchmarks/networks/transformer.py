"""A small transformer encoder: 4 layers, 64 positions of width 128, 4 heads (Vaswani et al. 2017, section 3.1).

Normalised before each branch, GELU between the two matrices of the feed-forward branch. 54,525,952 multiplications.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from benchmarks.networks import seeded

SEED = 4
LAYERS, POSITIONS, WIDTH, HEADS, HIDDEN = 4, 64, 128, 4, 512
SHAPE = (1, POSITIONS, WIDTH)


def build() -> nn.Module:
    """Give the network with seeded weights; (1, 64, 128) from embeddings (1, 64, 128)."""
    network = seeded.fill(nn.Sequential(*(Layer() for _ in range(LAYERS)), nn.LayerNorm(WIDTH)), SEED)
    for layer in network.modules():
        if isinstance(layer, Layer):
            seeded.end_branch(layer.attention.out)
            seeded.end_branch(layer.feed_forward[-1])
    return network


class Attention(nn.Module):
    """Self-attention of several heads, all three projections in one matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the attention, head by head."""
        query, key, value = (
            part.reshape(1, POSITIONS, HEADS, WIDTH // HEADS).transpose(1, 2) for part in self.project(x).chunk(3, -1)
        )
        scores = query @ key.transpose(2, 3) / math.sqrt(WIDTH // HEADS)
        heads = torch.softmax(scores, -1) @ value
        mixed: torch.Tensor = self.out(heads.transpose(1, 2).reshape(1, POSITIONS, WIDTH))
        return mixed


class Layer(nn.Module):
    """Attention and a feed-forward network, each beside a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(WIDTH)
        self.attention = Attention()
        self.before_feed_forward = nn.LayerNorm(WIDTH)
        self.feed_forward = nn.Sequential(nn.Linear(WIDTH, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the layer."""
        x = x + self.attention(self.before_attention(x))
        further: torch.Tensor = self.feed_forward(self.before_feed_forward(x))
        return x + further
