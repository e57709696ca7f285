"""This machine as a board."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from edgecompress.core import tools
from edgecompress.core.board import Answer
from edgecompress.core.errors import MissingToolError, UnreachableError


class LocalBoard:
    """Reads this machine's own files and runs its own programs."""

    def read(self, path: str) -> bytes | None:
        """Return the whole file, or None."""
        try:
            return Path(path).read_bytes()
        except OSError:
            return None

    def names(self, folder: str) -> tuple[str, ...]:
        """Return the folder's names, sorted."""
        try:
            return tuple(sorted(path.name for path in Path(folder).iterdir()))
        except OSError:
            return ()

    def run(self, words: Sequence[str], *, timeout_s: float) -> Answer | None:
        """Run the program, or say with None that there is none."""
        try:
            program = tools.locate(words[0])
        except MissingToolError:
            return None
        try:
            done = subprocess.run([program, *words[1:]], capture_output=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired as error:
            raise UnreachableError(f"{words[0]} did not end within {timeout_s:g} s") from error
        except OSError:
            return None
        return Answer(exit_code=done.returncode, stdout=done.stdout)
