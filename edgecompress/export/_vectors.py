"""Some of the bundle's test vectors as C arrays, and the C that compares a network's outputs with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecompress.core.target import Target
from edgecompress.core.values import Array, TensorSpec
from edgecompress.export import _templates
from edgecompress.export._project import Project

MOST_VECTORS = 3
MOST_BYTES = 65_536
ROOM_OF_EXAMPLE = 8_192
"""Flash that the example's other code is left."""
PER_LINE = 24
SOURCES = ("check.c", "vectors.c")
HEADERS = ("check.h", "vectors.h")


def write(project: Project, folder: Path) -> tuple[str, ...]:
    """Write NAME_check.{c,h} and NAME_vectors.{c,h}; return the names of what is compiled."""
    inputs, outputs = project.bundle.vectors()
    given, wanted = _rows(inputs, project.manifest.inputs), _rows(outputs, project.manifest.outputs)
    flash, bytes_each = project.manifest.sizes.flash_bytes, given.shape[1] + wanted.shape[1]
    chosen = count(project.target, flash, len(given), bytes_each)
    values = {
        "count": chosen,
        "input_bytes": given.shape[1],
        "output_bytes": wanted.shape[1],
        "given": [_array(row) for row in given[:chosen]],
        "wanted": [_array(row) for row in wanted[:chosen]],
    }
    name = project.name
    _templates.write(project, folder, {f"{name}_{file}": file for file in (*SOURCES, *HEADERS)}, **values)
    return tuple(f"{name}_{file}" for file in SOURCES)


def _rows(tensors: dict[str, Array], specs: tuple[TensorSpec, ...]) -> NDArray[np.uint8]:
    """All tensors of a vector one after another, as bytes: (vectors, bytes)."""
    columns = [np.ascontiguousarray(tensors[spec.name], dtype=spec.dtype) for spec in specs]
    return np.concatenate([each.reshape(len(each), -1).view(np.uint8) for each in columns], axis=1)


def count(target: Target, network_flash: int, available: int, bytes_each: int) -> int:
    """How many vectors go along: few, and what the flash has room for beside the network; one in any case."""
    limit = target.flash_limit_bytes
    free = MOST_BYTES if limit is None else max(0, limit - network_flash - ROOM_OF_EXAMPLE)
    return max(1, min(MOST_VECTORS, available, min(MOST_BYTES, free) // bytes_each))


def _array(row: NDArray[np.uint8]) -> str:
    """The inside of an array's braces."""
    lines = [row[start : start + PER_LINE] for start in range(0, len(row), PER_LINE)]
    return "\n".join(f"        {', '.join(str(byte) for byte in line)}," for line in lines)
