"""Networks for the digits, untrained: a CNN with a residual, a depthwise one, and a small student."""

from __future__ import annotations

import itertools
from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional

CLASSES = 10


def convolution(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution that keeps the image's size but for its stride, and its batch norm."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(OrderedDict(convolution=layer, norm=nn.BatchNorm2d(outputs)))


class Cnn(nn.Module):
    """Three convolutions, the last one beside the identity (He et al. 2016), and two fully connected layers."""

    def __init__(self, *, width: int, hidden: int) -> None:
        super().__init__()
        self.first = convolution(1, width)
        self.second = convolution(width, 2 * width)
        self.residual = convolution(2 * width, 2 * width)
        self.hidden = nn.Linear(2 * width * 2 * 2, hidden)
        self.scores = nn.Linear(hidden, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """(n, 1, 8, 8) -> (n, 10)."""
        wide = functional.max_pool2d(functional.relu(self.first(image)), 2)
        deep = functional.relu(self.second(wide))
        deep = functional.relu(deep + self.residual(deep))
        features = functional.max_pool2d(deep, 2).flatten(1)
        scores: Tensor = self.scores(functional.relu(self.hidden(features)))
        return scores


class Depthwise(nn.Module):
    """Depthwise and 1x1 convolutions in turn, as in MobileNet (Howard et al. 2017)."""

    def __init__(self, channels: tuple[int, ...], strides: tuple[int, ...]) -> None:
        super().__init__()
        self.first = convolution(1, channels[0])
        steps = zip(itertools.pairwise(channels), strides, strict=True)
        self.blocks = nn.Sequential(*[self._block(inputs, outputs, stride) for (inputs, outputs), stride in steps])
        self.scores = nn.Linear(channels[-1], CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """(n, 1, 8, 8) -> (n, 10)."""
        features = self.blocks(functional.relu6(self.first(image)))
        scores: Tensor = self.scores(functional.adaptive_avg_pool2d(features, 1).flatten(1))
        return scores

    @staticmethod
    def _block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
        return nn.Sequential(
            OrderedDict(
                depthwise=convolution(inputs, inputs, stride=stride, groups=inputs),
                depthwise_bound=nn.ReLU6(),
                pointwise=convolution(inputs, outputs, kernel=1),
                pointwise_bound=nn.ReLU6(),
            )
        )


def cnn() -> nn.Module:
    """16, 32 and 32 channels, and a hidden layer of 64: 22,954 parameters once the batch norms are folded."""
    return Cnn(width=16, hidden=64)


def depthwise() -> nn.Module:
    """8 to 64 channels: 5,466 parameters once the batch norms are folded."""
    return Depthwise((8, 16, 32, 32, 64), (1, 2, 1, 2))


def student() -> nn.Module:
    """6 to 24 channels, depthwise: 1,350 parameters once the batch norms are folded."""
    return Depthwise((6, 12, 16, 24), (2, 1, 2))


def two_convolutions() -> nn.Module:
    """8 and 16 channels, and no hidden layer: 1,898 parameters. What the combined recipe makes smaller still."""
    layers = {
        "first": convolution(1, 8),
        "first_bound": nn.ReLU(),
        "smaller": nn.MaxPool2d(2),
        "second": nn.Sequential(nn.Conv2d(8, 16, 3, bias=False), nn.BatchNorm2d(16)),
        "second_bound": nn.ReLU(),
        "features": nn.Flatten(),
        "scores": nn.Linear(16 * 2 * 2, CLASSES),
    }
    return nn.Sequential(OrderedDict(layers))
