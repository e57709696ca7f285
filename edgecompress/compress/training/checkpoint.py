"""What a training leaves after each epoch, so that the next start goes on from there."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from edgecompress.compress.training.options import LoopOptions
from edgecompress.compress.training.samples import TrainingSamples
from edgecompress.core import files

logger = logging.getLogger(__name__)

DAMAGED = (OSError, RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError)
"""What torch raises on a file that is not its own, or is cut short."""


def path(scratch: Path, name: str) -> Path:
    """Where the training `name` keeps its checkpoint."""
    readable = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:40]
    return scratch / f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:8]}.checkpoint.pt"


def fingerprint(
    module: nn.Module, loss: nn.Module, samples: TrainingSamples, options: LoopOptions, where_best_begins: float
) -> str:
    """Hash everything that decides how a training ends: a checkpoint with another one belongs to another training."""
    digest = hashlib.sha256(f"{type(options).__qualname__} {options.model_dump_json()} {where_best_begins}".encode())
    for part in (module, loss):
        digest.update(type(part).__qualname__.encode())
        digest.update(part.code.encode() if isinstance(part, fx.GraphModule) else str(part).encode())
        _add(digest, part.state_dict())
    tensors = dict(enumerate(samples.inputs)) | ({} if samples.labels is None else {"labels": samples.labels})
    _add(digest, {str(key): tensor for key, tensor in tensors.items()})
    return digest.hexdigest()


def save(file: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint whole or not at all. Raises StorageError when the file system refuses."""
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    files.write_whole(file, buffer.getvalue())


def load(file: Path, wanted: str) -> dict[str, Any] | None:
    """Read a checkpoint, or return None when there is none with the fingerprint `wanted`."""
    if not file.is_file():
        return None
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
        fits = content["fingerprint"] == wanted
    except DAMAGED:
        logger.warning("the checkpoint %s is damaged; the training starts again", file)
        return None
    return dict(content) if fits else None


def _add(digest: Any, tensors: Mapping[str, Any]) -> None:
    for key, value in tensors.items():
        if isinstance(value, Tensor):
            digest.update(json.dumps([key, str(value.dtype), list(value.shape)]).encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
