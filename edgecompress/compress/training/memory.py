"""How much memory a batch takes, told before the first one runs."""

from __future__ import annotations

import contextlib
import copy
import resource
from pathlib import Path

import torch
from torch import Tensor, nn

from edgecompress.core.errors import ConfigError

WEIGHT_COPIES = 3
"""Gradients and, with Adam, two moments."""


def check_batch(module: nn.Module, inputs: tuple[Tensor, ...], batch_size: int, *, training: str) -> int:
    """Return how many bytes a batch keeps for its gradients. Raises ConfigError when fewer are free.

    `inputs` hold a few samples. Temporary memory is not counted, but for the gradients of the largest tensor.
    """
    free = _free_bytes(inputs[0].device)
    fixed = WEIGHT_COPIES * sum(p.numel() * p.element_size() for p in module.parameters() if p.requires_grad)
    for_each = _kept_bytes(module, inputs) // len(inputs[0])
    if free is None or fixed + batch_size * for_each <= free:
        return batch_size * for_each
    fits = max(0, free - fixed) // max(1, for_each)
    raise ConfigError(
        f"{training} with batches of {batch_size:,} takes at least {fixed + batch_size * for_each:,} bytes of memory; "
        f"{free:,} are free",
        hint=f"set a smaller batch_size: {fits // 2:,} leaves room" if fits >= 4 else "a smaller network would fit",
    )


def out_of_memory(error: RuntimeError) -> str | None:
    """Return what an allocator said, or None when the error is about something else."""
    text = " ".join(str(error).split())
    if isinstance(error, torch.OutOfMemoryError):
        return text.split(". ")[1] if ". " in text else text
    _, found, said = text.partition("DefaultCPUAllocator: ")
    return said.split(". Error code")[0] if found else None


def _kept_bytes(module: nn.Module, inputs: tuple[Tensor, ...]) -> int:
    """Run a copy of the network forward and add up what autograd keeps, weights aside, and the largest twice more."""
    trial = copy.deepcopy(module)
    weights = {parameter.data_ptr() for parameter in trial.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in weights:
            kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = trial(*inputs)
    del outputs
    return sum(kept.values()) + 2 * max(kept.values(), default=0)


def _free_bytes(device: torch.device) -> int | None:
    """Tell what a program may still take; None where the system does not say."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    bounds = [bound for bound in (_available(), _left_to_group(), _left_to_process()) if bound is not None]
    return min(bounds, default=None)


def _available() -> int | None:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1])
    return None


def _left_to_group() -> int | None:
    """What a container (control groups, version 2) leaves."""
    with contextlib.suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        most, used = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
        return max(0, most - used)
    return None


def _left_to_process() -> int | None:
    """What `ulimit -v` leaves."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    with contextlib.suppress(OSError):
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        return max(0, limit - used)
    return None
