"""What every kernel family is asked for: a layer of weighted sums as numbers, and the kernel that computes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from edgecompress.compile.kernels.epilogue import Epilogue
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.program import CKernel
from edgecompress.compile.quantized import Multiplier
from edgecompress.core.values import Array


@dataclass(frozen=True, kw_only=True)
class Borders:
    """Images with their border in memory. `reads`: the input is one; `writes`: the window that sees the output so."""

    reads: bool = False
    writes: Window | None = None


NO_BORDERS = Borders()


@dataclass(frozen=True, kw_only=True)
class Product:
    """A convolution, or a matrix product as a pointwise one over `window.width` rows.

    `weights` is (output, row, column, input channel of the group). The input's zero point is part of `bias`;
    `magnitudes` is the largest size of each channel's accumulator, whatever the input and wherever in the sum.
    `borders` says whether the zero point already lies around the input, and around what is to be written.
    """

    window: Window
    groups: int = 1
    weights: NDArray[np.int8]
    bias: NDArray[np.int64]
    magnitudes: NDArray[np.int64]
    multipliers: tuple[Multiplier, ...]
    epilogue: Epilogue
    input_zero: int
    output_zero: int
    low: int
    high: int
    borders: Borders = NO_BORDERS

    @property
    def outputs(self) -> int:
        """Output channels."""
        return len(self.weights)

    @property
    def is_depthwise(self) -> bool:
        """True when every output channel sees one input channel, its own."""
        return self.groups == self.window.channels == self.outputs

    @property
    def table(self) -> NDArray[np.int32]:
        """The requantisation table that the epilogue reads: (output, Epilogue.COLUMNS)."""
        return self.epilogue.table(self.bias, self.multipliers)

    @property
    def epilogue_scalars(self) -> list[int]:
        """The parameters that the epilogue reads."""
        return self.epilogue.scalar_values(self.output_zero, self.low, self.high)

    @property
    def scalars(self) -> list[int]:
        """The parameters of a kernel that fills what lies beyond the image's edge, then ends as the epilogue does."""
        return [*([self.input_zero] if self.window.is_padded else []), *self.epilogue_scalars]


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """A kernel for one layer: its name, how to write it, its constants by role (in the order of its buffers), scalars.

    Kernels of one name are one function, so the name says everything that the function depends on. `halfwords`: the
    weights lie in int16 of 256 * second + first, not in bytes.
    """

    name: str
    build: Callable[[], tirx.PrimFunc | CKernel]
    constants: dict[str, Array]
    scalars: list[int]
    halfwords: bool = False


Choose = Callable[[Product], Kernel | None]
"""A kernel family's answer to a layer: a kernel, or None when it has none for such a layer."""
