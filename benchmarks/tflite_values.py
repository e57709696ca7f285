"""Constants of a quantized network: numbers, and what they stand for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgecompress.core.values import Array


@dataclass(frozen=True, kw_only=True)
class Quantization:
    """Scales and zero points, one or many along an axis."""

    scale: Array
    zero: Array
    axis: int = 0


@dataclass(frozen=True, kw_only=True)
class Constant:
    """A constant, as integers where it is quantized."""

    values: Array
    quantization: Quantization | None = None

    @property
    def real(self) -> Array:
        """The numbers that it stands for."""
        if self.quantization is None:
            return self.values
        scale, zero = self.quantization.scale, self.quantization.zero
        if scale.size > 1:
            extents = [-1 if axis == self.quantization.axis else 1 for axis in range(self.values.ndim)]
            scale, zero = scale.reshape(extents), zero.reshape(extents)
        return (self.values.astype(np.float64) - zero) * scale
