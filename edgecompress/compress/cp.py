"""CP of convolutions: a sum of R separable terms, run as a 1x1, a depthwise and another 1x1 layer.

The weights, with the taps as one axis, are W[o, i, t] = sum over r of A[o, r] B[i, r] C[t, r]: the first layer computes
R channels by B, each of them is filtered by its own C, and A sums them up (Hitchcock 1927; on convolutions Lebedev et
al. 2015, here with the two axes of the taps kept together). Found by alternating least squares (tensorly's parafac).
There is no nested solution: each rank is found by itself, from the same start.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from edgecompress.compress import _chains, _ranks
from edgecompress.compress._low_rank import LowRankOptions, Place, factorise
from edgecompress.compress._ranks import Values
from edgecompress.core import toml_file
from edgecompress.core.values import Context, Model, Option

if TYPE_CHECKING:
    from torch import Tensor, nn

ITERATIONS = 200
TOLERANCE = 1e-7
TRIED = 12
"""So many ranks are tried for a layer, evenly from 1 to the full one; between them the next larger one is taken."""

TAKES = "dense convolutions of more than one tap"


class Options(LowRankOptions):
    """The options of the step in a recipe: those of every low-rank step and of a training."""


def apply(model: Model, options: Mapping[str, Option], context: Context) -> Model:
    """Replace dense convolutions of more than one tap by separable ones.

    Raises what `_low_rank.factorise` does, and ConfigError for wrong options.
    """
    chosen = toml_file.parse(dict(options), Options, where=context.where)

    def decompose(layer: nn.Module, inputs: Tensor) -> CpDecomposition | None:
        del inputs
        from torch import nn

        is_dense = isinstance(layer, nn.Conv2d) and layer.groups == 1 and layer.kernel_size != (1, 1)
        return CpDecomposition(layer, chosen.seed) if is_dense and isinstance(layer, nn.Conv2d) else None

    return factorise(model, chosen, context, decompose, method="cp", takes=TAKES)


class CpDecomposition:
    """A convolution, and how much of its energy a sum of so many terms keeps."""

    def __init__(self, layer: nn.Conv2d, seed: int) -> None:
        self.layer, self.seed = layer, seed
        weights = _chains.weights_of(layer)
        self.weights = weights.reshape(*weights.shape[:2], -1)
        self.energies: dict[int, float] = {}

    @property
    def largest(self) -> tuple[int, ...]:
        """A rank that is always enough: the product of the two smallest axes (Kolda and Bader 2009, section 3.1)."""
        first, second, _ = sorted(self.weights.shape)
        return (first * second,)

    def ranks(self, energy: float) -> tuple[int, ...]:
        """The least of the tried ranks that keeps the energy."""
        tried = sorted({max(1, round(rank)) for rank in np.geomspace(1, self._most(), TRIED)})
        return (next((rank for rank in tried if self._energy(rank) >= energy), self.largest[0]),)

    def bayes_ranks(self) -> tuple[int, ...]:
        """The larger rank of the two unfoldings along channels by variational Bayes: a lower bound of the tensor's."""
        unfolded = (np.moveaxis(self.weights, axis, 0).reshape(self.weights.shape[axis], -1) for axis in (0, 1))
        return (max(_ranks.by_variational_bayes(each) for each in unfolded),)

    def macs(self, ranks: tuple[int, ...], place: Place) -> int:
        """The three convolutions; the depthwise one takes a stride."""
        outputs, inputs, taps = self.weights.shape
        return ranks[0] * int(inputs * place.inputs + (taps + outputs) * place.outputs)

    def chain(self, ranks: tuple[int, ...]) -> nn.Module:
        """Build the three convolutions."""
        outputs, inputs, taps = self._factors(ranks[0])
        given, rank = self.layer, ranks[0]
        layers = (
            _chains.pointwise(given.in_channels, rank, bias=False),
            _chains.windowed(given, rank, rank, groups=rank),
            _chains.pointwise(rank, given.out_channels, bias=True),
        )
        return _chains.filled(layers, (inputs.T, taps.T, outputs), given.bias)

    def _most(self) -> int:
        """The rank above which the chain holds more weights than the layer."""
        return max(1, min(self.largest[0], self.weights.size // sum(self.weights.shape)))

    def _energy(self, rank: int) -> float:
        if rank not in self.energies:
            outputs, inputs, taps = self._factors(rank)
            error = self.weights - np.einsum("or,ir,tr->oit", outputs, inputs, taps)
            whole = float(np.square(self.weights).sum())
            self.energies[rank] = 1 - float(np.square(error).sum()) / whole if whole else 1.0
        return self.energies[rank]

    def _factors(self, rank: int) -> tuple[Values, Values, Values]:
        """Return A, B and C, the length of each term spread evenly over the three."""
        from tensorly.decomposition import parafac

        scales, factors = parafac(
            self.weights,
            rank,
            n_iter_max=ITERATIONS,
            init="random",
            tol=TOLERANCE,
            normalize_factors=True,
            random_state=self.seed,
        )
        part = np.cbrt(np.abs(np.asarray(scales)))
        a, b, c = (np.asarray(factor) * part for factor in factors)
        return a * np.sign(np.asarray(scales)), b, c
