"""Put the kernels and calls of a part that computes with reals into an integer network's program."""

from __future__ import annotations

import dataclasses
import itertools
import re
from typing import TYPE_CHECKING

import tvm_ffi

from edgecompress.compile.program import Call, CKernel, Program, Tensor
from edgecompress.core.bundle import OnnxValue
from edgecompress.core.values import Array

if TYPE_CHECKING:
    from tvm import tirx


class Splicer:
    """Names everything of a part anew where the name is taken, and lets equal kernels be one."""

    def __init__(
        self, tensors: dict[str, Tensor], constants: dict[str, Array], kernels: dict[str, tirx.PrimFunc | CKernel]
    ) -> None:
        self._tensors = tensors
        self._constants = constants
        self._kernels = kernels
        self._found: dict[str, list[str]] = {}

    def calls(self, part: Program, onnx_output: OnnxValue | None) -> list[Call]:
        """Take over a part's kernels, constants and tensors; return its calls. Its edges keep their names.

        `onnx_output` is the value of the ONNX graph that the part's output holds.
        """
        output = part.outputs[0].name
        edges = {spec.name for spec in (*part.inputs, *part.outputs)}
        names = {name: name for name in edges}
        names |= {name: f"{output}_{name}" for name in (*part.tensors, *part.constants) if name not in edges}
        for name, tensor in part.tensors.items():
            self._tensors[names[name]] = dataclasses.replace(tensor, name=names[name])
        for name, values in part.constants.items():
            self._constants[names[name]] = values
        kernels = {name: self._kernel(name, kernel) for name, kernel in part.kernels.items()}
        return [
            dataclasses.replace(
                call,
                kernel=kernels[call.kernel],
                arguments=tuple(names[name] for name in call.arguments),
                output=names[call.output],
                condition=None if call.condition is None else names[call.condition],
                onnx_output=onnx_output if call.output == output else None,
            )
            for call in part.calls
        ]

    def _kernel(self, name: str, kernel: tirx.PrimFunc | CKernel) -> str:
        """Find an equal kernel of the same operator, or add it under a name that is free."""
        stem = name.rstrip("0123456789")
        known = next((each for each in self._found.get(stem, []) if self._is_same(each, kernel)), None)
        if known is not None:
            return known
        free = next(f"{stem}{number}" for number in itertools.count(1) if f"{stem}{number}" not in self._kernels)
        self._kernels[free] = _renamed(kernel, free)
        self._found.setdefault(stem, []).append(free)
        return free

    def _is_same(self, known: str, kernel: tirx.PrimFunc | CKernel) -> bool:
        other = self._kernels[known]
        if isinstance(kernel, CKernel) or isinstance(other, CKernel):
            return other == _renamed(kernel, known)
        return bool(tvm_ffi.structural_equal(other, kernel))


def _renamed(kernel: tirx.PrimFunc | CKernel, name: str) -> tirx.PrimFunc | CKernel:
    if not isinstance(kernel, CKernel):
        return kernel
    return dataclasses.replace(kernel, name=name, source=re.sub(rf"\b{kernel.name}\b", name, kernel.source))
