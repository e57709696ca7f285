"""Tucker-2 of convolutions: a 1x1 layer down to few channels, a small core of the same taps, a 1x1 layer up again.

The weights (outputs, inputs, height, width) are a core (r_out, r_in, height, width) times a matrix along each of the
two axes of channels (Kim et al. 2016, "Compression of Deep Convolutional Neural Networks for Fast and Low Power Mobile
Applications"); the factors are found by alternating singular value decompositions (tensorly's partial_tucker).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from edgecompress.compress import _chains, _ranks
from edgecompress.compress._low_rank import LowRankOptions, Place, factorise
from edgecompress.core import toml_file
from edgecompress.core.values import Context, Model, Option

if TYPE_CHECKING:
    from torch import Tensor, nn

TAKES = "dense convolutions of more than one tap"


class Options(LowRankOptions):
    """The options of the step in a recipe: those of every low-rank step and of a training."""


def apply(model: Model, options: Mapping[str, Option], context: Context) -> Model:
    """Replace dense convolutions of more than one tap by chains of three.

    Raises what `_low_rank.factorise` does, and ConfigError for wrong options.
    """
    chosen = toml_file.parse(dict(options), Options, where=context.where)

    def decompose(layer: nn.Module, inputs: Tensor) -> TuckerDecomposition | None:
        del inputs
        from torch import nn

        is_dense = isinstance(layer, nn.Conv2d) and layer.groups == 1 and layer.kernel_size != (1, 1)
        return TuckerDecomposition(layer) if is_dense and isinstance(layer, nn.Conv2d) else None

    return factorise(model, chosen, context, decompose, method="tucker", takes=TAKES)


class TuckerDecomposition:
    """A convolution, and the singular values of its weights unfolded along the outputs and along the inputs."""

    def __init__(self, layer: nn.Conv2d) -> None:
        self.layer = layer
        self.weights = _chains.weights_of(layer)
        outputs, inputs = self.weights.shape[:2]
        self.unfolded = (
            self.weights.reshape(outputs, -1),
            np.moveaxis(self.weights, 1, 0).reshape(inputs, -1),
        )
        self.values = tuple(np.linalg.svd(each, compute_uv=False).astype(np.float64) for each in self.unfolded)

    @property
    def largest(self) -> tuple[int, ...]:
        """All output and input channels."""
        return self.weights.shape[:2]

    def ranks(self, energy: float) -> tuple[int, ...]:
        """Each unfolding loses half of what may be lost: together they lose that at most (De Lathauwer et al. 2000)."""
        return tuple(_ranks.by_energy(values, 1 - (1 - energy) / 2) for values in self.values)

    def bayes_ranks(self) -> tuple[int, ...]:
        """The ranks of both unfoldings by variational Bayes, as Kim et al. 2016 choose them."""
        return tuple(_ranks.by_variational_bayes(each) for each in self.unfolded)

    def macs(self, ranks: tuple[int, ...], place: Place) -> int:
        """The three convolutions; the core takes a stride."""
        outputs, inputs, *window = self.weights.shape
        up, down = ranks
        core = up * down * int(np.prod(window))
        return int(down * inputs * place.inputs + (core + outputs * up) * place.outputs)

    def chain(self, ranks: tuple[int, ...]) -> nn.Module:
        """Build the three convolutions."""
        from tensorly.decomposition import partial_tucker

        (core, (outputs, inputs)), _ = partial_tucker(self.weights, rank=list(ranks), modes=[0, 1], init="svd")
        up, down = ranks
        given = self.layer
        layers = (
            _chains.pointwise(given.in_channels, down, bias=False),
            _chains.windowed(given, down, up),
            _chains.pointwise(up, given.out_channels, bias=True),
        )
        return _chains.filled(layers, (np.asarray(inputs).T, np.asarray(core), np.asarray(outputs)), given.bias)
