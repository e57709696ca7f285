"""torch.fx -> ONNX: the module computes one sample, and every step of it is written down by a rule."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import onnx
import torch
from onnx import TensorProto, helper
from torch import fx, nn

from edgecompress.compress.torch_graph import _write_functions, _write_layers
from edgecompress.compress.torch_graph._batch_norm import fold_batch_norm
from edgecompress.compress.torch_graph._check import check_same
from edgecompress.compress.torch_graph._clean import clean
from edgecompress.compress.torch_graph._reader import ONNX_NAME, ONNX_OUTPUT
from edgecompress.compress.torch_graph._writer import OPSET, Call, Value, Writer
from edgecompress.core.errors import ModelError
from edgecompress.core.values import Model, TensorSpec

IR_VERSION = 8
"""That of ONNX 1.12; the operator set is younger, and every reader takes the pair."""


def to_onnx(module: nn.Module, like: Model) -> Model:
    """Write a module as the network `like`: its name, inputs, names of outputs, and steps so far.

    Batch normalizations are folded, layers of ONNX keep their names, layers inside of others are called `outer/inner`.
    The module itself is left as it is. Raises ModelError for what has no rule, and when the result is further than
    1e-4 from the module on noise.
    """
    plain = fold_batch_norm(_traced(copy.deepcopy(module).cpu().eval()))
    writer = Writer([spec.name for spec in (*like.inputs, *like.outputs)])
    inputs = [Value(tensor=torch.zeros(spec.shape), name=spec.name) for spec in like.inputs]
    with torch.no_grad():
        made = Exporter(plain, writer, like.name).run(*inputs)
    outputs = list(made) if isinstance(made, tuple | list) else [made]
    specs = _name_outputs(writer, outputs, like)
    proto = _proto(writer, like, specs)
    exported = replace(like, graph=proto, outputs=specs)
    check_same(plain, exported, f"{like.name} written as ONNX")
    return exported


class Exporter(fx.Interpreter):
    """Run a module on Values: torch computes their tensors, the rules write their names into ONNX nodes."""

    def __init__(self, module: fx.GraphModule, writer: Writer, network: str, prefix: str = "") -> None:
        super().__init__(module, garbage_collect_values=False)
        self.writer = writer
        self.network = network
        self.prefix = prefix
        self._node: fx.Node | None = None

    def run_node(self, n: fx.Node) -> Any:
        """Keep at hand which node is computed."""
        self._node = n
        return super().run_node(n)

    def get_attr(self, target: Any, _args: Any, _kwargs: Any) -> Any:
        """Write a parameter or buffer as a constant."""
        held = self.fetch_attr(target)
        return Value(tensor=held.detach(), name=self.writer.constant(held, f"{self.prefix}{target}"))

    def call_module(self, target: Any, args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Any:
        """Write a layer by the rule of its class, or what it is made of."""
        layer = self.fetch_attr(target)
        rule = next((_write_layers.RULES[kind] for kind in type(layer).__mro__ if kind in _write_layers.RULES), None)
        call = self._call(str(target), layer(*_tensors(args)) if rule is not None else None)
        if rule is None:
            return self._inner(layer, call.name, args)
        return self._written(lambda: rule(call, layer, *args), call, type(layer).__name__)

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Write a function by its rule; what is no tensor (a shape, a product of sizes) is only computed."""
        if not _holds_value([*args, *kwargs.values()]) or target is getattr:
            return target(*_tensors(args), **kwargs)
        if target is operator.getitem and isinstance(args[0], tuple | list):
            return args[0][args[1]]
        what = getattr(target, "__name__", str(target))
        return self._function(_write_functions.RULES.get(target), what, target, args, kwargs)

    def call_method(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Write a method of a tensor by its rule."""
        if target in ("size", "dim"):
            return getattr(args[0].tensor, target)(*args[1:], **kwargs)
        rule = _write_functions.METHODS.get(target)

        def method(tensor: Any, *rest: Any, **options: Any) -> Any:
            return getattr(tensor, target)(*rest, **options)

        return self._function(rule, f".{target}", method, args, kwargs)

    def _function(self, rule: Any, what: str, compute: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if rule is None:
            raise self._refusal(f"the function {what}", self._call(what, None).name)
        call = self._call(what, compute(*_tensors(args), **kwargs))
        return self._written(lambda: rule(call, *args, **kwargs), call, what)

    def _written(self, write: Callable[[], str | list[str]], call: Call, what: str) -> Any:
        try:
            written = write()
        except TypeError as error:
            raise self._refusal(f"{what}: {error}", call.name) from error
        if isinstance(written, str):
            return Value(tensor=call.made, name=written)
        return tuple(Value(tensor=part, name=name) for part, name in zip(call.made, written, strict=True))

    def _call(self, fallback: str, made: Any) -> Call:
        meta = self._node.meta if self._node is not None else {}
        name = self._node.name if self._node is not None and self._node.op != "call_module" else fallback
        output = "" if self.prefix else str(meta.get(ONNX_OUTPUT, ""))
        return Call(writer=self.writer, made=made, name=self.prefix + str(meta.get(ONNX_NAME, name)), output=output)

    def _inner(self, layer: nn.Module, name: str, args: tuple[Any, ...]) -> Any:
        try:
            traced = _traced(layer)
        except ModelError as error:
            raise self._refusal(f"a {type(layer).__name__}", name) from error
        return Exporter(traced, self.writer, self.network, f"{name}/").run(*args)

    def _refusal(self, what: str, name: str) -> ModelError:
        return ModelError(
            f"{self.network}: {what} ({name!r}) has no form in ONNX here",
            hint="build it of layers of torch.nn: convolutions, linear layers, normalizations, pools, activations",
        )


class _Tracer(fx.Tracer):
    """Takes what has a rule, and networks that are traced already, as a whole."""

    def is_leaf_module(self, m: nn.Module, _module_qualified_name: str) -> bool:
        return isinstance(m, tuple(_write_layers.RULES))


def _traced(module: nn.Module) -> fx.GraphModule:
    if isinstance(module, fx.GraphModule):
        return module
    try:
        return fx.GraphModule(module, _Tracer().trace(module))
    except Exception as error:
        # What torch.fx throws depends on what the module does with its proxies.
        text = " ".join(str(error).split())[:200]
        raise ModelError(
            f"torch.fx cannot trace {type(module).__name__}: {text}", hint="decide nothing by the values of tensors"
        ) from error


def _holds_value(arguments: Any) -> bool:
    if isinstance(arguments, tuple | list):
        return any(_holds_value(argument) for argument in arguments)
    return isinstance(arguments, Value)


def _tensors(arguments: Any) -> Any:
    if isinstance(arguments, tuple | list):
        return type(arguments)(_tensors(argument) for argument in arguments)
    return arguments.tensor if isinstance(arguments, Value) else arguments


def _name_outputs(writer: Writer, outputs: Sequence[Value], like: Model) -> tuple[TensorSpec, ...]:
    if len(outputs) != len(like.outputs):
        raise ModelError(
            f"{like.name} has {len(like.outputs)} outputs; its module has {len(outputs)}",
            hint="give back as many tensors as before",
        )
    specs = []
    named: set[str] = set()
    computed = {name for node in writer.nodes for name in node.output}
    for spec, value in zip(like.outputs, outputs, strict=True):
        if value.name in computed and value.name not in named:
            writer.rename(value.name, spec.name)
        else:  # an input or a constant, or a tensor that is an output already
            writer.nodes.append(helper.make_node("Identity", [value.name], [spec.name], name=f"{spec.name}_copy"))
        named.add(spec.name)
        specs.append(spec.model_copy(update={"shape": tuple(value.tensor.shape)}))
    return tuple(specs)


def _proto(writer: Writer, like: Model, outputs: Sequence[TensorSpec]) -> onnx.ModelProto:
    clean(writer)
    given, made = (
        [helper.make_tensor_value_info(spec.name, TensorProto.FLOAT, list(spec.shape)) for spec in specs]
        for specs in (like.inputs, outputs)
    )
    graph = helper.make_graph(writer.nodes, like.name, given, made, initializer=writer.constants)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True)
