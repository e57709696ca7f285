"""Low rank of fully connected and 1x1 layers: W (outputs x inputs) = U S V^T, of which r components stay.

The layer becomes two: r x inputs with the weights sqrt(S) V^T, then outputs x r with U sqrt(S): the nearest matrix of
rank r in the least squares (Eckart and Young 1936; on layers Denton et al. 2014). `solver = "randomised"` finds the
first components only, by a random projection and power iterations (Halko, Martinsson and Tropp 2011, algorithm 4.4).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

from edgecompress.compress import _chains, _ranks
from edgecompress.compress._low_rank import LowRankOptions, Place, factorise
from edgecompress.compress._ranks import Values
from edgecompress.core import toml_file
from edgecompress.core.values import Context, Model, Option

if TYPE_CHECKING:
    from torch import Tensor, nn

OVERSAMPLING = 10
POWER_ITERATIONS = 2

TAKES = "fully connected and 1x1 layers"


class Options(LowRankOptions):
    """The options of the step in a recipe, beside those of every low-rank step and of a training.

    `solver`: `exact`, or `randomised` for large layers; it looks at half of the components at most.
    """

    solver: Literal["exact", "randomised"] = "exact"


def apply(model: Model, options: Mapping[str, Option], context: Context) -> Model:
    """Replace fully connected and 1x1 layers of a float network by pairs of smaller ones.

    Raises what `_low_rank.factorise` does, and ConfigError for wrong options.
    """
    chosen = toml_file.parse(dict(options), Options, where=context.where)

    def decompose(layer: nn.Module, inputs: Tensor) -> MatrixDecomposition | None:
        del inputs
        return MatrixDecomposition(layer, solver=chosen.solver, seed=chosen.seed) if is_matrix(layer) else None

    return factorise(model, chosen, context, decompose, method="low_rank_svd", takes=TAKES)


def is_matrix(layer: nn.Module) -> bool:
    """True for a layer that is one matrix: fully connected, or a dense 1x1 convolution."""
    from torch import nn

    if isinstance(layer, nn.Conv2d):
        return layer.kernel_size == (1, 1) and layer.groups == 1 and layer.padding == (0, 0)
    return isinstance(layer, nn.Linear)


class MatrixDecomposition:
    """A layer that is a matrix, and its singular values."""

    def __init__(self, layer: nn.Module, *, solver: Literal["exact", "randomised"], seed: int) -> None:
        self.layer = layer
        matrix = _chains.weights_of(layer)
        self.matrix = matrix.reshape(len(matrix), -1)
        u, s, v = exact(self.matrix) if solver == "exact" else randomised(self.matrix, seed)
        self.u, self.s, self.v = u, s, v
        self.lost = max(0.0, 1 - float(np.square(s).sum() / max(np.square(self.matrix).sum(), 1e-300)))

    @property
    def largest(self) -> tuple[int, ...]:
        """The number of components that were found."""
        return (len(self.s),)

    def ranks(self, energy: float) -> tuple[int, ...]:
        """Count components from the largest on; those that were not looked for count as lost."""
        return (_ranks.by_energy(self.s, min(1.0, energy / max(1 - self.lost, 1e-12))),)

    def bayes_ranks(self) -> tuple[int, ...]:
        """The rank of the matrix by variational Bayes."""
        return (min(_ranks.by_variational_bayes(self.matrix), len(self.s)),)

    def macs(self, ranks: tuple[int, ...], place: Place) -> int:
        """Both products; the first one takes a stride."""
        outputs, inputs = self.matrix.shape
        return ranks[0] * (inputs + outputs) * place.outputs

    def chain(self, ranks: tuple[int, ...]) -> nn.Module:
        """Build the two layers."""
        rank = ranks[0]
        root = np.sqrt(self.s[:rank])
        return pair(self.layer, root[:, np.newaxis] * self.v[:rank], self.u[:, :rank] * root)


def exact(matrix: Values) -> tuple[Values, Values, Values]:
    """Every component: U (m, k), S (k), V^T (k, n)."""
    u, s, v = np.linalg.svd(matrix, full_matrices=False)
    return u, s, v


def randomised(matrix: Values, seed: int) -> tuple[Values, Values, Values]:
    """The first half of the components, by a random projection with power iterations."""
    count = max(1, min(matrix.shape) // 2)
    width = min(count + OVERSAMPLING, min(matrix.shape))
    sketch = matrix @ np.random.default_rng(seed).standard_normal((matrix.shape[1], width))
    basis = np.linalg.qr(sketch)[0]
    for _ in range(POWER_ITERATIONS):
        basis = np.linalg.qr(matrix.T @ basis)[0]
        basis = np.linalg.qr(matrix @ basis)[0]
    u, s, v = np.linalg.svd(basis.T @ matrix, full_matrices=False)
    return (basis @ u)[:, :count], s[:count], v[:count]


def pair(layer: nn.Module, first: Values, second: Values) -> nn.Module:
    """Two layers of the kind of `layer`: weights `first` (r, inputs), then `second` (outputs, r) with the bias."""
    from torch import nn

    rank, inputs = first.shape
    bias: Tensor | None = layer.bias  # type: ignore[assignment]
    if isinstance(layer, nn.Conv2d):
        reduced = _chains.windowed(layer, inputs, rank)
        return _chains.filled((reduced, _chains.pointwise(rank, len(second), bias=True)), (first, second), bias)
    return _chains.filled((nn.Linear(inputs, rank, bias=False), nn.Linear(rank, len(second))), (first, second), bias)
