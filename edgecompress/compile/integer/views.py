"""Logical tensors on top of memory: transposes and reshapes cost nothing until a layer needs another order."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecompress.compile.integer.layers import Value

Axes = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class View:
    """A tensor as the graph sees it: axis i of the memory is axis `order[i]` of `shape`.

    When `before` is set, this is a reshape that memory does not follow: the elements of `before`, counted row-major.
    """

    value: Value
    shape: tuple[int, ...]
    order: Axes
    before: View | None = None

    @property
    def elements(self) -> int:
        """How many elements there are."""
        return math.prod(self.shape)

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape as it lies in memory."""
        return tuple(self.shape[axis] for axis in self.order)

    def lies_in(self, order: Axes) -> bool:
        """True when memory already has this order; axes of one element do not matter."""
        return self.before is None and _long(self.shape, self.order) == _long(self.shape, order)

    def permuted(self, axes: Axes) -> View:
        """Transpose: axis j of the result is axis `axes[j]` of this view."""
        if self.before is not None:
            raise ValueError("materialise a reshape before it is transposed")
        shape = tuple(self.shape[axis] for axis in axes)
        return dataclasses.replace(self, shape=shape, order=tuple(axes.index(axis) for axis in self.order))

    def reshaped(self, shape: tuple[int, ...]) -> View:
        """Reshape."""
        if self.before is not None:
            return self.before.reshaped(shape)
        if self.lies_in(identity(len(self.shape))):
            return View(value=self.value, shape=shape, order=identity(len(shape)))
        if _without_ones(shape) == _without_ones(self.shape):
            return View(value=self.value, shape=shape, order=self._with_other_ones(shape))
        return View(value=self.value, shape=shape, order=identity(len(shape)), before=self)

    def _with_other_ones(self, shape: tuple[int, ...]) -> Axes:
        old = [axis for axis, extent in enumerate(self.shape) if extent != 1]
        new = [axis for axis, extent in enumerate(shape) if extent != 1]
        long_axes = [new[old.index(axis)] for axis in _long(self.shape, self.order)]
        return (*(axis for axis, extent in enumerate(shape) if extent == 1), *long_axes)

    def requantified(self, scale: float, zero_point: int) -> View:
        """The same tensor, its numbers read at this scale and zero point (an input does not know its own)."""
        before = None if self.before is None else self.before.requantified(scale, zero_point)
        value = dataclasses.replace(self.value, scale=scale, zero_point=zero_point)
        return dataclasses.replace(self, value=value, before=before)

    def renamed(self, name: str, new: str) -> View:
        """The same tensor, after the value `name` got a new one."""
        before = None if self.before is None else self.before.renamed(name, new)
        value = dataclasses.replace(self.value, name=new) if self.value.name == name else self.value
        return dataclasses.replace(self, value=value, before=before)

    def stored_index(self) -> NDArray[np.int64]:
        """Where each element lies in memory, the elements counted row-major."""
        if self.before is not None:
            return self.before.stored_index()
        memory = np.arange(self.elements, dtype=np.int64).reshape(self.stored_shape)
        return memory.transpose([self.order.index(axis) for axis in identity(len(self.shape))]).reshape(-1)


def identity(rank: int) -> Axes:
    """The order of a row-major tensor."""
    return tuple(range(rank))


def channels_last(rank: int) -> Axes:
    """The order in which images are kept: NCHW lies in memory as NHWC."""
    return (0, *range(2, rank), 1) if rank > 2 else identity(rank)


def _long(shape: tuple[int, ...], order: Axes) -> list[int]:
    return [axis for axis in order if shape[axis] != 1]


def _without_ones(shape: tuple[int, ...]) -> list[int]:
    return [extent for extent in shape if extent != 1]
