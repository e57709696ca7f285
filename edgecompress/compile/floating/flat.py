"""Read a flat Relax module (one kernel call a binding) into a Program."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import tvm
import tvm_ffi
from tvm import relax, te, tirx

from edgecompress.compile import schedule
from edgecompress.compile.floating import early_exits, elementary
from edgecompress.compile.floating.provenance import Origin
from edgecompress.compile.floating.vector_layers import Layer, VectorLayer
from edgecompress.compile.frontend import bindings, identifier
from edgecompress.compile.kernels import copying, tuning, vector_winograd_choice
from edgecompress.compile.kernels.vector_product import Product
from edgecompress.compile.kernels.vector_winograd import Winograd
from edgecompress.compile.program import Call, CKernel, Program, Tensor
from edgecompress.core.bundle import EARLY_EXIT
from edgecompress.core.errors import ModelError
from edgecompress.core.values import Array, Model, TensorSpec

VIEWS = ("relax.reshape", "relax.flatten", "relax.squeeze", "relax.expand_dims")
"""Operators that give the same bytes another shape: no kernel, no copy."""


def read(module: tvm.IRModule, origins: Iterable[Origin], model: Model, layers: Mapping[str, VectorLayer]) -> Program:
    """Turn the bindings of `main` into calls on named tensors, and schedule their kernels.

    `origins` has one entry a binding; `layers` are those with kernels of their own, by the name of the call. Raises
    ModelError for what has no kernel.
    """
    reader = _Reader(module, model, layers)
    results = [module["main"].body.body]
    for binding, origin in zip(bindings(module["main"]), origins, strict=True):
        if isinstance(binding.value, relax.Tuple):  # the outputs, when there are several
            results = list(binding.value.fields)
        else:
            reader.read(binding, origin)
    return reader.program(results)


class _Reader:
    """A program in the making."""

    def __init__(self, module: tvm.IRModule, model: Model, layers: Mapping[str, VectorLayer]) -> None:
        parameters = zip(module["main"].params, model.inputs, strict=True)
        self._module = module
        self._model = model
        self._layers = layers
        self._layer_kernels: dict[Layer, str] = {}
        self._names: dict[relax.Var, str] = {parameter: spec.name for parameter, spec in parameters}
        self._taken = {spec.name for spec in (*model.inputs, *model.outputs)}
        self._tensors: dict[str, Tensor] = {}
        self._constants: dict[str, Array] = {}
        self._constant_names: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._calls: list[Call] = []
        self._kernels: dict[str, tirx.PrimFunc | CKernel] = {}
        self._kernel_names: dict[tvm.ir.GlobalVar, str] = {}

    def read(self, binding: relax.Binding, origin: Origin) -> None:
        """Take one binding: an alias, a view, or a call of a kernel."""
        value = binding.value
        op = getattr(value.op, "name", "") if isinstance(value, relax.Call) else ""
        if isinstance(value, relax.Var | tvm.ir.GenericConst):
            self._names[binding.var] = self._name(value, binding.var.name)
        elif op in VIEWS:
            self._names[binding.var] = self._name(value.args[0], binding.var.name)
        elif op == "relax.call_tir" and isinstance(binding.var.ty, relax.TensorType):
            self._names[binding.var] = self._call(value, binding.var.ty, origin)
        elif op == "relax.call_dps_packed" and value.args[0].global_symbol == early_exits.CALLED:
            self._names[binding.var] = self._exit(value, binding.var.ty, origin)
        elif op == "relax.call_dps_packed":
            self._names[binding.var] = self._vector_call(value, binding.var.ty, origin)
        else:
            raise ModelError(
                f"{self._model.name}: layer {', '.join(origin.onnx_nodes)!r} has no kernel",
                hint="keep that part of the network on the host",
            )

    def program(self, results: list[relax.Expr]) -> Program:
        """Give the results the names of the model's outputs and return the whole."""
        for result, spec in zip(results, self._model.outputs, strict=True):
            name = self._name(result, spec.name)
            if name in self._tensors:
                self._rename(name, spec.name)
            else:
                self._copy(name, spec)
        return Program(
            name=self._model.name,
            inputs=self._model.inputs,
            outputs=self._model.outputs,
            tensors=self._tensors,
            constants=self._constants,
            calls=tuple(self._calls),
            kernels=self._kernels,
        )

    def _call(self, call: relax.Call, result: relax.TensorType, origin: Origin) -> str:
        """Append the call; return the name of its output."""
        name = self._unused(identifier(next(iter(origin.onnx_nodes), origin.op)))
        arguments = tuple(self._name(argument, name) for argument in call.args[1].fields)
        macs = schedule.multiplications(self._module[call.args[0]])
        self._append(name, result, origin, arguments, self._kernel(call.args[0], arguments, origin.op), macs)
        return name

    def _vector_call(self, call: relax.Call, result: relax.TensorType, origin: Origin) -> str:
        """Append the call of a kernel of its own; return the name of its output."""
        layer = self._layers[call.args[0].global_symbol]
        name = self._unused(identifier(next(iter(origin.onnx_nodes), layer.op)))
        arguments = tuple(self._name(argument, name) for argument in call.args[1].fields)
        if layer.key not in self._layer_kernels:
            kernel = self._number_kernel(layer.op)
            with tuning.current().writing(kernel):
                self._kernels[kernel] = layer.write(kernel)
                if isinstance(layer.key, Product | Winograd):
                    tuning.current().note(vector_winograd_choice.signature(layer.key))
            self._layer_kernels[layer.key] = kernel
        named = dataclasses.replace(origin, op=layer.op)
        self._append(name, result, named, arguments, self._layer_kernels[layer.key], layer.macs)
        return name

    def _exit(self, call: relax.Call, result: relax.TensorType, origin: Origin) -> str:
        """Append an early exit, to be split; return the name of its output."""
        name = self._unused(identifier(next(iter(origin.onnx_nodes), EARLY_EXIT)))
        arguments = tuple(self._name(argument, name) for argument in call.args[1].fields)
        extents = [int(extent) for extent in result.shape.values]
        copy = copying.build(copying.Copy(bytes=math.prod(extents) * np.dtype(str(result.dtype.dtype)).itemsize))
        self._kernels[copy.name] = copy
        self._append(name, result, dataclasses.replace(origin, op=EARLY_EXIT), arguments, copy.name, 0)
        return name

    def _append(
        self, name: str, result: relax.TensorType, origin: Origin, arguments: tuple[str, ...], kernel: str, macs: int
    ) -> None:
        """Append a call and the tensor that it gives, which are called the same."""
        self._tensors[name] = Tensor(
            name=name, shape=tuple(int(extent) for extent in result.shape.values), dtype=str(result.dtype.dtype)
        )
        self._calls.append(
            Call(
                name=name,
                op=origin.op,
                kernel=kernel,
                arguments=arguments,
                output=name,
                onnx_nodes=origin.onnx_nodes,
                macs=macs,
            )
        )

    def _kernel(self, variable: tvm.ir.GlobalVar, arguments: tuple[str, ...], op: str) -> str:
        """Schedule a kernel when it is first called; kernels of one operator are numbered from 1."""
        if variable not in self._kernel_names:
            name = self._number_kernel(op)
            roles = ["weights" if argument in self._constants else "x" for argument in arguments]
            function = elementary.call_c_functions(schedule.schedule(self._module[variable]))
            self._kernel_names[variable] = name
            self._kernels[name] = _name_parameters(function, [*roles, "y"])
        return self._kernel_names[variable]

    def _number_kernel(self, op: str) -> str:
        return f"{op}_{1 + sum(name.rpartition('_')[0] == op for name in self._kernels)}"

    def _name(self, value: relax.Expr, hint: str) -> str:
        """Return the name of a value; a constant, named after the layer that reads it, is kept once."""
        if isinstance(value, relax.Var):
            return self._names[value]
        array = np.ascontiguousarray(value.value.numpy())
        content = (str(array.dtype), array.shape, array.tobytes())
        if content not in self._constant_names:
            self._constant_names[content] = self._unused(f"{hint}_constant")
            self._constants[self._constant_names[content]] = array
        return self._constant_names[content]

    def _unused(self, wanted: str) -> str:
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name

    def _rename(self, name: str, output: str) -> None:
        """Let a tensor be a program output."""
        del self._tensors[name]
        self._names = {variable: output if known == name else known for variable, known in self._names.items()}
        self._calls = [
            dataclasses.replace(
                call,
                output=output if call.output == name else call.output,
                arguments=tuple(output if argument == name else argument for argument in call.arguments),
            )
            for call in self._calls
        ]

    def _copy(self, source: str, output: TensorSpec) -> None:
        """Append a copy: the output is an input, a constant, or another output."""
        values = te.placeholder(output.shape, output.dtype, "source")
        copy = te.create_prim_func([values, te.compute(output.shape, lambda *index: values[index], "copy")])
        same = [
            name
            for name, function in self._kernels.items()
            if not isinstance(function, CKernel) and tvm_ffi.structural_equal(function, copy)
        ]
        kernel = same[0] if same else self._number_kernel("copy")
        self._kernels[kernel] = copy
        name = self._unused(f"copy_to_{identifier(output.name)}")
        self._calls.append(Call(name=name, op="copy", kernel=kernel, arguments=(source,), output=output.name))


def _name_parameters(function: tirx.PrimFunc, names: list[str]) -> tirx.PrimFunc:
    """Rename the parameters of a kernel; names that come again are numbered from 2. Drop what TVM adds to others."""
    counts: Counter[str] = Counter()
    renamed: dict[tirx.Var, tirx.Var] = {}

    def rename(variable: tirx.Var) -> tirx.Var:
        plain = variable.name.removesuffix("_intermediate").removesuffix("_global")
        if variable not in renamed and plain != variable.name:
            renamed[variable] = tirx.Var(plain, variable.ty)
        return renamed.get(variable, variable)

    for parameter, name in zip(function.params, names, strict=True):
        counts[name] += 1
        renamed[parameter] = tirx.Var(name if counts[name] == 1 else f"{name}{counts[name]}", parameter.ty)
    return tvm_ffi.structural_map(function, (tirx.Var, rename))
