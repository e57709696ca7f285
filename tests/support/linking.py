"""Build programs from sources that lie in a folder, without a bundle around them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgecompress.compile import link
from edgecompress.compile.objects import Objects
from edgecompress.core import compilers
from edgecompress.core.target import Target
from edgecompress.core.workers import Workers


def reference(
    folder: Path, network: link.Network, output: Path, *, flags: Sequence[str] = (), sanitize: bool = False
) -> None:
    """Build the host program."""
    with Workers() as workers:
        variant = link.reference_variant(flags, sanitize=sanitize)
        link.build_reference(Objects(folder, workers), network, output, variant)


def device_program(folder: Path, network: link.Network, target: Target, output: Path) -> None:
    """Build the device's program."""
    with Workers() as workers:
        runtime, compiler = link.find_runtime(target.port), compilers.choose(target)
        link.build_device_program(Objects(folder, workers), network, target, compiler, runtime, output)
