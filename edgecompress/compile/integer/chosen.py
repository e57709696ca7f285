"""What is chosen for a layer: a kernel, or a function around some, and all that its call needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tvm import tirx

from edgecompress.compile.cuts import Cut
from edgecompress.compile.integer.layers import Value
from edgecompress.compile.program import CKernel
from edgecompress.core.values import Array

Build = Callable[[], tirx.PrimFunc | CKernel]
"""Writes a kernel."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A kernel for a layer: its operation and name, how to write it, scalars, the order of inputs.

    `constants` follow the inputs and are named after the layer, by role; `operands` are inputs that are constants.
    `shape` is the kernel's shape class, for which a target may have a kernel of its own (kernels.families).
    A `cut` is called instead of the kernel, and may need `others`. The output may take the place of `in_place`.
    The call is run only on the `condition` (program.Call).
    """

    op: str
    name: str
    build: Build
    constants: dict[str, Array] = field(default_factory=dict)
    scalars: Sequence[int] = ()
    inputs: tuple[Value, ...]
    operands: dict[str, Array] = field(default_factory=dict)
    cut: Cut | None = None
    others: Mapping[str, Build] = field(default_factory=dict)
    in_place: str | None = None
    shape: object = None
    condition: str | None = None

    @property
    def kernels(self) -> dict[str, Build]:
        """How to write each kernel that is needed."""
        return {self.name: self.build, **self.others}

    @property
    def called(self) -> str:
        """The name of what is called."""
        return self.name if self.cut is None else self.cut.name
