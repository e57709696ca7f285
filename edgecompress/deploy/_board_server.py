"""The SSH server of a `loop://` board: this machine's own sshd, on a port that only this machine reaches."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from edgecompress.core import tools
from edgecompress.core.errors import UsageError
from edgecompress.deploy import _board_keys
from edgecompress.deploy._board_keys import HOST, Keys
from edgecompress.deploy._board_scratch import Scratch, refused_writes_explained
from edgecompress.deploy._child import Child
from edgecompress.deploy._ssh_endpoint import Endpoint

NAME = "the virtual board's SSH server"
SYSTEM_PROGRAMS = "/usr/sbin:/sbin"
START_TIMEOUT_S = 20.0
PRIVILEGE_SEPARATION_FOLDER = Path("/run/sshd")
RUNNER = "run"


class Server:
    """A running sshd, that lets in one key as the user that we are. It ends with `close`, and with this process.

    `runner` is a program that runs the board's programs: executed with one's path and arguments.
    """

    def __init__(self, emulator: Sequence[str | Path], machine: str, folder: Path) -> None:
        """Start it and wait until it answers.

        Raises MissingToolError without sshd, UsageError for a user without a name, UnreachableError when it gives up,
        StorageError when its folders cannot be written.
        """
        with refused_writes_explained():
            self._scratch = Scratch()
        self._child: Child | None = None
        self.runner = self._scratch.folder / RUNNER
        try:
            with refused_writes_explained():
                _write_runner(self.runner, emulator)
                folder.mkdir(parents=True, exist_ok=True)
                self.endpoint = self._start(machine, folder)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the server; harmless twice."""
        if self._child is not None:
            self._child.close()
            self._child = None
        self._scratch.remove()

    def _start(self, machine: str, folder: Path) -> Endpoint:
        user = _user()
        keys = _board_keys.make_keys(self._scratch.folder)
        port = _board_keys.free_port()
        settings = keys.folder / "sshd_config"
        settings.write_text(_settings(keys, user, port))
        _make_privilege_separation_folder()
        namespace = Path(__file__).with_name("_board_namespace.py")
        python = (sys.executable, "-I", "-S", namespace, self.runner, machine)
        command: list[str | Path] = [*python, _sshd(), "-D", "-e", "-f", settings]
        self._child = Child(command, name=NAME, stdout_is_stream=False)
        _board_keys.wait_until_it_answers(port, timeout_s=START_TIMEOUT_S, still_runs=self._refuse_ended, name=NAME)
        return keys.endpoint(user, port, str(folder))

    def _refuse_ended(self) -> None:
        """Raise UnreachableError with the server's last words when it has ended."""
        if self._child is not None:
            self._child.read(0.0)


def _write_runner(path: Path, emulator: Sequence[str | Path]) -> None:
    """Write the script that runs a program under emulation.

    It runs a copy: the program may be renamed meanwhile, and starts itself anew by the path that the emulator was
    given. It ends with its session, even in the middle of an inference.
    """
    words = [tools.locate("setpriv"), "--pdeathsig", "KILL", *emulator]
    folder = shlex.quote(str(path.parent))
    lines = (
        "#!/bin/sh",
        f"copy={folder}/program-$$",
        '[ "$1" = "$copy" ] || cp -- "$1" "$copy" || exit 126',
        "shift",
        f'exec {shlex.join(map(str, words))} "$copy" "$@"',
    )
    path.write_text("".join(f"{line}\n" for line in lines))
    path.chmod(0o755)


def _settings(keys: Keys, user: str, port: int) -> str:
    """Write sshd_config(5). The keys' folder is its owner's alone, whatever lies above it: no StrictModes."""
    lines = {
        "ListenAddress": HOST,
        "Port": port,
        "HostKey": f'"{keys.host_key}"',
        "AuthorizedKeysFile": f'"{keys.authorized}"',
        "AllowUsers": user,
        "PermitRootLogin": "prohibit-password",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "UsePAM": "no",
        "StrictModes": "no",
        "PermitUserRC": "no",
        "DisableForwarding": "yes",
        "MaxStartups": 100,
        "PidFile": "none",
        "Subsystem": "sftp internal-sftp",
    }
    return "".join(f"{name} {value}\n" for name, value in lines.items())


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError as error:
        raise UsageError(
            f"the user {os.geteuid()} has no name here, and sshd lets in nobody without",
            hint="run as a user of /etc/passwd; in a container, as root",
        ) from error


def _sshd() -> Path:
    """Find sshd, which starts only by its whole path. Debian's ordinary users do not have its folder on PATH."""
    found = shutil.which("sshd", path=os.pathsep.join([os.environ.get("PATH", ""), SYSTEM_PROGRAMS]))
    return Path(found).absolute() if found is not None else tools.locate("sshd")


def _make_privilege_separation_folder() -> None:
    """Make what an sshd of root needs, as the system's service does before it starts one."""
    if os.geteuid() == 0:
        PRIVILEGE_SEPARATION_FOLDER.mkdir(mode=0o755, exist_ok=True)
