"""The program: a flat list of kernel calls on named tensors, between the graph and the C code.

The integer path (integer.py) and the float path (floating.py) both end here; lower.py, memory.py and emit_c.py
start here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgecompress.compile.memory import ALIGNMENT
from edgecompress.core.bundle import OnnxValue
from edgecompress.core.values import Array, Optimize, TensorSpec

if TYPE_CHECKING:
    from tvm import tirx

    from edgecompress.compile.cuts import Cut


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """An intermediate value that lives in the arena."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, kw_only=True)
class Call:
    """One layer: a kernel on tensors and constants.

    `arguments` names tensors, constants or program inputs in the order of the kernel's buffer parameters; the buffer
    of `output` (a tensor or program output) follows them, then the `scalars`, as int32. `onnx_output` is the value of
    the ONNX graph that `output` holds, where there is one. `in_place` names the argument whose place the output may
    take when nobody reads it later. A call with a `condition`, a tensor of one byte, is run only when that is true, and
    then what follows is left out up to the last call that makes the same `output` (exits.py).
    """

    name: str
    op: str
    kernel: str
    arguments: tuple[str, ...]
    output: str
    scalars: tuple[int, ...] = ()
    onnx_nodes: tuple[str, ...] = ()
    macs: int = 0
    onnx_output: OnnxValue | None = None
    in_place: str | None = None
    condition: str | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        """Everything that it reads."""
        return self.arguments if self.condition is None else (*self.arguments, self.condition)


@dataclass(frozen=True, kw_only=True)
class Program:
    """Everything the back end needs. Two calls with the same kernel name share one function.

    `kernels` maps a kernel's name to its scheduled PrimFunc (s_tir, before lowering), or to its C text: buffer
    parameters are the arguments, then the output; scalar int32 parameters follow. `optimize` says what the back end is
    to save.
    `cuts` are functions that call kernels for parts of a layer, by name; calls may name them like kernels.
    Constants, tensors and workspaces lie at multiples of `alignment` bytes.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    tensors: dict[str, Tensor]
    constants: dict[str, Array]
    calls: tuple[Call, ...]
    kernels: Mapping[str, tirx.PrimFunc | CKernel]
    optimize: Optimize = "balanced"
    cuts: Mapping[str, Cut] = field(default_factory=dict)
    alignment: int = ALIGNMENT

    @property
    def keeps_inputs(self) -> bool:
        """True when the inputs are there after a run as before it; False when other tensors may take their place."""
        return self.optimize != "ram"


@dataclass(frozen=True, kw_only=True)
class CKernel:
    """A kernel as C text, a static function.

    Its parameters are pointers to the call's arguments and output, then the scalars, then one pointer a workspace;
    `workspaces` holds the workspaces' sizes in bytes, `calls` the kernels that it calls. `spreads`: no turn of an
    outermost loop reads or writes what another one writes, so that threads can share them (threads.py). `work`
    estimates the instructions of a kernel that sums no products.
    """

    name: str
    source: str
    workspaces: tuple[int, ...]
    calls: tuple[str, ...] = ()
    spreads: bool = False
    work: int = 0
