"""Objects of a bundle's sources, compiled side by side. A source of a variant is compiled once, whoever asks for it."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from edgecompress.core import tools
from edgecompress.core.errors import ToolFailedError
from edgecompress.core.workers import Workers

FOLDER = Path("objects")
COMPILE_TIMEOUT_S = 600.0


@dataclass(frozen=True, kw_only=True)
class Variant:
    """How sources become objects: the compiler with its flags, and a name for the folder of the objects."""

    name: str
    command: tuple[str, ...]


class Objects:
    """The objects of one bundle folder. Compilers run inside it, with relative paths."""

    def __init__(self, folder: Path, workers: Workers) -> None:
        self.folder = folder
        self._workers = workers
        self._started: dict[str, Future[bytes]] = {}

    def start(self, variant: Variant, source: str, flags: Sequence[str] = ()) -> str:
        """Begin to compile a source, unless that was begun before; return the object's path.

        The flags are for C; an assembler source takes none.
        """
        name = Path(source).with_suffix("").as_posix().replace("/", "_")
        path = str(FOLDER / variant.name / f"{name}.o")
        if path not in self._started:
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            mapped = [f"-ffile-prefix-map={self.folder.resolve()}=.", *flags] if source.endswith(".c") else []
            words = [*variant.command, *mapped, "-c", source, "-o", path]
            self._started[path] = self._workers.start(run_tool, self.folder, words)
        return path

    def wait(self, paths: Sequence[str]) -> None:
        """Wait until objects are there. Raises what compiling them raised."""
        for path in paths:
            self._started[path].result()

    def run(self, words: Sequence[str]) -> None:
        """Run a tool that takes objects, to its end."""
        run_tool(tools.Running(), self.folder, words)


def run_tool(running: tools.Running, bundle_folder: Path, words: Sequence[str]) -> bytes:
    """Run a compiler in the bundle's folder. A disk that it filled is an OSError, as when Python fills it."""
    try:
        return tools.run(words, timeout_s=COMPILE_TIMEOUT_S, folder=bundle_folder, among=running)
    except ToolFailedError as error:
        if os.strerror(errno.ENOSPC) in error.message:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise
