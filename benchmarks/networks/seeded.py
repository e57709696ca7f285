"""Seeded weights for networks that nobody trained, chosen so that values stay in range through every layer."""

from __future__ import annotations

import math

import torch
from torch import nn

GAIN = math.sqrt(6)
"""Of a uniform draw: variance 2 / inputs, which keeps the size of what passes a ReLU (He et al. 2015)."""

BRANCH_GAIN = 0.3
"""What the last weights of a residual branch are scaled by, so that sums of branches do not grow."""


def fill(network: nn.Module, seed: int) -> nn.Module:
    """Draw all weights and statistics from a seed, and leave training mode; the same on every machine.

    Uniform draws only: torch computes a normal one by a logarithm and a cosine, which differ from core to core.
    """
    random = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = GAIN / math.sqrt(module.weight[0].numel())
            nn.init.uniform_(module.weight, -bound, bound, generator=random)
            if module.bias is not None:
                nn.init.uniform_(module.bias, -0.1, 0.1, generator=random)
        elif isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.8, 1.2, generator=random)
            nn.init.uniform_(module.bias, -0.1, 0.1, generator=random)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.get_buffer("running_mean"), -0.1, 0.1, generator=random)
            nn.init.uniform_(module.get_buffer("running_var"), 0.8, 1.2, generator=random)
    return network.eval()


def end_branch(module: nn.Module) -> None:
    """Scale down the last module of a residual branch: a normalisation, or a matrix where none follows it."""
    with torch.no_grad():
        module.get_parameter("weight").mul_(BRANCH_GAIN)
