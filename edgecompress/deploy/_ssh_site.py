"""A board that a connection stands to: its files, its Linux system, and the folder to deploy to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Self

from edgecompress.deploy._ssh_board import SshBoard
from edgecompress.deploy._ssh_connection import Connection
from edgecompress.deploy._ssh_endpoint import Endpoint
from edgecompress.deploy._ssh_files import Files
from edgecompress.deploy._ssh_shell import Shell


@dataclass(frozen=True, kw_only=True)
class Site:
    """`folder` is the absolute path of the endpoint's folder; it may not be there yet."""

    connection: Connection
    files: Files
    shell: Shell
    board: SshBoard
    folder: bytes

    @classmethod
    def open(cls, endpoint: Endpoint) -> Self:
        """Connect. Raises UnreachableError, or WrongDeviceError for another host key than the known one."""
        connection = Connection(endpoint)
        try:
            files = Files(connection)
            folder = os.fsencode(endpoint.folder)
            if not folder.startswith(b"/"):
                folder = files.home().rstrip(b"/") + b"/" + folder
            shell = Shell(connection)
            return cls(connection=connection, files=files, shell=shell, board=SshBoard(files, shell), folder=folder)
        except BaseException:
            connection.close()
            raise

    @property
    def shown(self) -> str:
        """User and host, in words."""
        return self.connection.endpoint.shown

    def close(self) -> None:
        """Disconnect; harmless twice."""
        self.connection.close()
