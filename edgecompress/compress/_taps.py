"""Taps: what flows between two layers of a network, kept for a loss to look at."""

from __future__ import annotations

import difflib

from torch import Tensor, fx, nn

from edgecompress.core.errors import ConfigError

PREFIX = "tap_"


class Tap(nn.Module):
    """Passes its input on, and keeps it."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: Tensor | None = None

    def forward(self, flowing: Tensor) -> Tensor:
        """Return the input."""
        self.kept = flowing
        return flowing

    @property
    def value(self) -> Tensor:
        """What the last forward pass brought."""
        if self.kept is None:
            raise RuntimeError("the network was not run")
        return self.kept


def insert(module: fx.GraphModule, layer: str, *, where: str) -> Tap:
    """Put a tap behind a layer, called as the ONNX graph calls its node; behind its batch norm, where it has one.

    Raises ConfigError, beginning with `where`, with the nearest name when there is no such layer.
    """
    node: fx.Node = _behind_norm(module, _find(module, layer, where))
    name = f"{PREFIX}{sum(name.startswith(PREFIX) for name, _ in module.named_children())}"
    tap = Tap()
    module.add_module(name, tap)
    with module.graph.inserting_after(node):
        tapped = module.graph.call_module(name, (node,))
    node.replace_all_uses_with(tapped, delete_user_cb=lambda user: user is not tapped)
    module.recompile()
    return tap


def remove(module: fx.GraphModule) -> None:
    """Take every tap out again."""
    for node in list(module.graph.nodes):
        if node.op == "call_module" and isinstance(module.get_submodule(str(node.target)), Tap):
            node.replace_all_uses_with(node.args[0])
            module.graph.erase_node(node)
            module.delete_submodule(str(node.target))
    module.recompile()


def _find(module: fx.GraphModule, layer: str, where: str) -> fx.Node:
    named: dict[str, fx.Node] = {name: node for node in module.graph.nodes for name in _names(node)}
    if layer in named:
        return named[layer]
    near = difflib.get_close_matches(layer, named, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"layers: {', '.join(named)}"
    raise ConfigError(f"{where} has no layer {layer!r}", hint=hint)


def _names(node: fx.Node) -> tuple[str, ...]:
    if node.op in ("placeholder", "output", "get_attr"):
        return ()
    of_onnx = [str(value) for key, value in node.meta.items() if key == "onnx_name"]
    return tuple(dict.fromkeys([*of_onnx, *([str(node.target)] if node.op == "call_module" else [node.name])]))


def _behind_norm(module: fx.GraphModule, node: fx.Node) -> fx.Node:
    users = list(node.users)
    if len(users) != 1 or users[0].op != "call_module":
        return node
    layer = module.get_submodule(str(users[0].target))
    return users[0] if isinstance(layer, nn.modules.batchnorm._BatchNorm) else node
