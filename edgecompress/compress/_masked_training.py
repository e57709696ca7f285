"""Training of a network some of whose weights stay zero. A layer's mask is a buffer: part of every checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
from torch import Tensor, fx, nn

from edgecompress.compress import torch_graph
from edgecompress.compress._masks import Mask, Scores
from edgecompress.compress.training import TrainingOptions, gradients, train
from edgecompress.core.errors import ConfigError
from edgecompress.core.values import Context, Model

MASK = "weights_kept"
KINDS = (nn.Conv1d, nn.Conv2d, nn.Linear)
ONNX_NAME = "onnx_name"


class MaskedNetwork:
    """A network in torch whose `layers` (by the names of their ONNX nodes) have masks."""

    def __init__(self, model: Model, names: Iterable[str], context: Context, *, batch_norm: bool) -> None:
        self._model, self._context, self._batch_norm = model, context, batch_norm
        self.module: fx.GraphModule = self._prepared(model)
        wanted = set(names)
        self.layers = {name: layer for name, layer in layers_of(self.module) if name in wanted}
        for layer in self.layers.values():
            layer.register_buffer(MASK, torch.ones_like(_weight(layer)))

    def values(self) -> dict[str, Scores]:
        """The weights of the layers."""
        return {name: _weight(layer).detach().cpu().double().numpy() for name, layer in self.layers.items()}

    def measured_gradients(self, options: TrainingOptions, given: Model, samples: int) -> dict[str, Scores]:
        """The loss's mean gradients over some samples."""
        gradients.fill(self.module, self._context, options, given=given, most=samples, name=given.name)
        return {name: _gradient(layer).detach().double().numpy() for name, layer in self.layers.items()}

    def mask(self, masks: Mapping[str, Mask]) -> None:
        """Set the masks, and what they take out to zero."""
        for name, mask in masks.items():
            _buffer(self.layers[name]).copy_(torch.from_numpy(np.ascontiguousarray(mask)))
        self.apply()

    def apply(self) -> None:
        """Set what the masks take out to zero again."""
        with torch.no_grad():
            for layer in self.layers.values():
                _weight(layer).mul_(_buffer(layer))

    def train(
        self,
        options: TrainingOptions,
        name: str,
        given: Model,
        before_masks: Callable[[int, int], None] | None = None,
        best_from: float = 0.0,
    ) -> None:
        """Train, with the masks on after each step; `before_masks` may change them first."""

        def after_step(done: int, total: int) -> None:
            if before_masks is not None:
                before_masks(done, total)
            self.apply()

        train(self.module, self._context, options, name=name, given=given, after_step=after_step, best_from=best_from)
        self.apply()

    def state(self) -> dict[str, Tensor]:
        """Copy everything but the masks."""
        return {key: value.clone() for key, value in self.module.state_dict().items() if not key.endswith(MASK)}

    def state_of(self, earlier: Model, *, named: str) -> dict[str, Tensor]:
        """The same of the network at an earlier time, as a file has it. Raises ConfigError for another network."""
        found = self._prepared(earlier).state_dict()
        for key, value in self.state().items():
            if key not in found or found[key].shape != value.shape:
                there = f"has {tuple(found[key].shape)} there" if key in found else "has none"
                raise ConfigError(
                    f"{self._context.where}: rewind = {named!r} is another network: {key} of {self._model.name} is "
                    f"{tuple(value.shape)}, and {earlier.name} {there}",
                    hint="it must be the network that the step gets, with the weights of an earlier time",
                )
        return {key: found[key].clone() for key in self.state()}

    def _prepared(self, model: Model) -> fx.GraphModule:
        """Read a network, with its batch normalizations if they are asked for."""
        module = torch_graph.to_torch(model)
        data = self._context.data
        if not self._batch_norm or data is None:
            return module
        return torch_graph.restore_batch_norm(module, data.training or data.calibration)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Bring everything but the masks back, and put the masks on."""
        self.module.load_state_dict(state, strict=False)
        self.apply()

    def to_onnx(self) -> Model:
        """Write the network; zeros stay zeros."""
        for layer in self.layers.values():
            del layer._buffers[MASK]
        return torch_graph.to_onnx(self.module, like=self._model)


def layers_of(module: fx.GraphModule) -> list[tuple[str, nn.Module]]:
    """List the layers with weights by the names of their ONNX nodes."""
    found = []
    for node in module.graph.nodes:
        if node.op == "call_module" and isinstance(module.get_submodule(str(node.target)), KINDS):
            found.append((str(node.meta.get(ONNX_NAME, node.target)), module.get_submodule(str(node.target))))
    return found


def _weight(layer: nn.Module) -> Tensor:
    weight = layer.weight
    if not isinstance(weight, Tensor):
        raise TypeError(f"{type(layer).__name__} has no weights")
    return weight


def _gradient(layer: nn.Module) -> Tensor:
    gradient = _weight(layer).grad
    return torch.zeros_like(_weight(layer)) if gradient is None else gradient


def _buffer(layer: nn.Module) -> Tensor:
    return layer.get_buffer(MASK)
