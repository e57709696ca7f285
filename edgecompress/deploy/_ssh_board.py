"""The Linux system behind an SSH connection, as a board. Any thread may use it while a program runs."""

from __future__ import annotations

import os
from collections.abc import Sequence

from edgecompress.core.board import Answer
from edgecompress.deploy._ssh_command import NOT_EXECUTABLE, NOT_FOUND
from edgecompress.deploy._ssh_files import Files
from edgecompress.deploy._ssh_shell import Shell


class SshBoard:
    """Reads by SFTP and starts programs by a shell that stays, over other channels than the program's."""

    def __init__(self, files: Files, shell: Shell) -> None:
        self._files = files
        self._shell = shell

    def read(self, path: str) -> bytes | None:
        """Return the whole of a small file, or None."""
        return self._files.read(os.fsencode(path))

    def names(self, folder: str) -> tuple[str, ...]:
        """Return the folder's names, sorted."""
        return self._files.names(os.fsencode(folder))

    def run(self, words: Sequence[str], *, timeout_s: float) -> Answer | None:
        """Run the program, or say with None that there is none."""
        answer = self._shell.run(words, timeout_s=timeout_s)
        return None if answer.exit_code in (NOT_EXECUTABLE, NOT_FOUND) else answer
