"""torch networks: `module:function` with a state dict, or a .pt2 file of torch.export; exported to ONNX once, here.

Nothing is unpickled but tensors. The function is the user's own code and runs; a .pt2 file runs nothing.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from edgecompress.core import user_function
from edgecompress.core.errors import ConfigError, ModelError
from edgecompress.core.extras import require_training
from edgecompress.models import _torch_archive, _torch_export, onnx_file
from edgecompress.models._model_bytes import read_bytes

if TYPE_CHECKING:
    import torch
    from torch import nn

    from edgecompress.core.values import Model

SUFFIXES = (".pt2",)
NO_SHAPES: Mapping[str, tuple[int, ...]] = MappingProxyType({})


def load(path: Path, *, name: str | None = None, shapes: Mapping[str, tuple[int, ...]] = NO_SHAPES) -> Model:
    """Read a .pt2 file into a Model with batch 1.

    `name` defaults to the file's stem; `shapes` binds dynamic input shapes by input name. Raises ModelError for what is
    damaged, holds more than a graph and its tensors, or cannot become ONNX; MissingToolError without torch.
    """
    require_training()
    content = _torch_archive.checked(read_bytes(path), path)
    import torch

    try:
        with _torch_export.quiet():
            program = torch.export.load(io.BytesIO(content))
    except Exception as error:
        # The reader trusts its files: a wrong one ends anywhere in it.
        raise ModelError(
            f"{path} cannot be read by torch {torch.__version__}: {_torch_export.first_line(error)}",
            hint=_torch_archive.EXPORT_AGAIN,
        ) from error
    where = str(path)
    proto = _torch_export.export(program, (), None, where)
    model = onnx_file.read(proto, path, name=name or path.stem, shapes=shapes)
    _torch_export.check_same(program.module(check_guards=False), model, where)
    return model


def load_function(
    function: str,
    folder: Path,
    *,
    name: str | None = None,
    shapes: Mapping[str, tuple[int, ...]] = NO_SHAPES,
    state: Path | None = None,
) -> Model:
    """Call `module:function`, put the tensors of `state` into the network that it returns, and export that.

    The module is looked for in `folder`, then on PYTHONPATH. `shapes` names the network's inputs in order, each with
    its shape for one sample, batch included. `name` defaults to the function's. Raises ConfigError for a function that
    fails, gives no network or does not fit its state; ModelError for a network that cannot become ONNX.
    """
    require_training()
    where = f"model {function}"
    if not shapes:
        raise ConfigError(
            f"{where} needs the shapes of its inputs", hint="add to the recipe: shapes = { image = [1, 3, 32, 32] }"
        )
    import torch

    network = _network(user_function.call(function, folder, where=where), where)
    if state is not None:
        _fill(network, _tensors(state), where, state)
    generator = torch.Generator().manual_seed(0)
    examples = [torch.randn(shape, generator=generator) for shape in shapes.values()]
    with user_function.running(folder, where=where):
        _try_out(network, examples, where)
        proto = _torch_export.export(network, examples, list(shapes), where)
        model = onnx_file.read(proto, folder / function, name=name or function.partition(":")[2])
        _torch_export.check_same(network, model, where)
    return model


def _network(made: Any, where: str) -> nn.Module:
    from torch import nn

    if not isinstance(made, nn.Module):
        raise ConfigError(f"{where} returned {type(made).__name__}", hint="return a torch.nn.Module")
    return made.cpu().eval()


def _try_out(network: nn.Module, examples: list[torch.Tensor], where: str) -> None:
    import torch

    try:
        with torch.no_grad():
            network(*examples)
    except Exception as error:
        given = ", ".join(str(tuple(example.shape)) for example in examples)
        raise ConfigError(
            f"{where} fails on {given}: {_torch_export.first_line(error)}", hint="correct `shapes` in the recipe"
        ) from error


def _tensors(path: Path) -> dict[str, Any]:
    import torch

    if not path.is_file():
        raise ConfigError(f"state file {path} does not exist")
    try:
        with _torch_export.quiet():
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError, AttributeError) as error:
        raise ConfigError(
            f"{path} is not a state dict: {_torch_export.first_line(error)}",
            hint="write it with torch.save(network.state_dict(), path)",
        ) from error
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise ConfigError(
            f"{path} holds no dict of tensors", hint="write it with torch.save(network.state_dict(), path)"
        )
    return content


def _fill(network: nn.Module, tensors: Mapping[str, Any], where: str, path: Path) -> None:
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        text = " ".join(str(error).split())[:300]
        raise ConfigError(f"{where}: {path} does not fit: {text}", hint="save the state of the same network") from error
