"""A bundle that is being made: its folder, and the runtime's objects, begun before anything is known of the network."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgecompress.compile import link
from edgecompress.compile.objects import Objects
from edgecompress.core import compilers, files
from edgecompress.core.errors import MissingToolError
from edgecompress.core.target import Target
from edgecompress.core.workers import Workers


@dataclass(frozen=True, kw_only=True)
class Draft:
    """The folder under its temporary name, and the one that it will have; what compiles in it, and for which target."""

    folder: Path
    final: Path
    target: Target
    objects: Objects
    workers: Workers


@contextlib.contextmanager
def begin(target: Target, folder: Path) -> Iterator[Draft]:
    """Make a draft of a bundle, which takes its name when all went well, and compile the runtime in it meanwhile.

    Raises StorageError as core.files does.
    """
    with files.whole_folder(folder) as draft_folder, Workers() as workers:
        objects = Objects(draft_folder, workers)
        _begin_runtime(objects, target)
        yield Draft(folder=draft_folder, final=folder, target=target, objects=objects, workers=workers)


def ports(target: Target) -> tuple[str, ...]:
    """The ports of the device's program and of the libraries."""
    return (target.port, link.LIBRARY_PORT) if target.system == "linux" else (target.port,)


def _begin_runtime(objects: Objects, target: Target) -> None:
    for port in (*ports(target), link.REFERENCE_PORT):
        link.copy_runtime(link.find_runtime(port), objects.folder)
    link.start_runtime(
        objects, link.reference_variant(link.reference_flags(target)), link.find_runtime(link.REFERENCE_PORT)
    )
    # Who lacks the compiler shall first hear of a network that cannot be compiled or does not fit.
    with contextlib.suppress(MissingToolError):
        compiler = compilers.choose(target)
        for port in ports(target):
            link.start_runtime(objects, link.device_variant(target, compiler), link.find_runtime(port))
