"""A real sshd on 127.0.0.1 with keys, port and home folder of its own, and the client's side of it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from edgecompress.deploy._ssh_endpoint import Endpoint

START_TIMEOUT_S = 10.0

CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
PidFile {folder}/pid
AuthorizedKeysFile {folder}/id.pub
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PermitRootLogin prohibit-password
MaxStartups 100
LogLevel VERBOSE
SetEnv HOME={folder}/home
Subsystem sftp internal-sftp
"""


def is_installed() -> bool:
    """True when there is an sshd to start."""
    return sshd() is not None and shutil.which("ssh-keygen") is not None


def sshd() -> str | None:
    """The path of sshd, which is outside of a user's PATH on Debian."""
    return shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


class SshServer:
    """Started and stopped at will. Clients deploy to `board`; programs get `home`, which no login script slows down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.board = folder / "board"
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.board.mkdir(parents=True)
        self.home.mkdir()
        for name in ("host", "id"):
            make_key(folder / name)
        self.write_config()
        self.trust()

    def write_config(self, more: Iterable[str] = ()) -> None:
        """Write sshd_config, with further lines in front: sshd takes the first value of each option."""
        text = CONFIG.format(port=self.port, folder=self.folder)
        (self.folder / "sshd_config").write_text("\n".join([*more, text]))

    def trust(self) -> None:
        """Write the client's known_hosts for the key that the server has now."""
        kind, key, *_ = (self.folder / "host.pub").read_text().split()
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {kind} {key}\n")

    def endpoint(self, **changes: object) -> Endpoint:
        """Where a client reaches it."""
        values: dict[str, object] = {
            "host": "127.0.0.1",
            "port": self.port,
            "user": _user(),
            "identities": (self.folder / "id",),
            "known_hosts": (self.folder / "known_hosts",),
            "folder": str(self.board),
            "agent": False,
        }
        return Endpoint(**(values | changes))

    def start(self) -> None:
        """Start sshd and wait until it answers."""
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        log = (self.folder / "log").open("ab")
        command = [str(sshd()), "-D", "-e", "-f", str(self.folder / "sshd_config")]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log, process_group=0)
        log.close()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        """Kill sshd and every connection of it, as a power cut would."""
        if self._process is None:
            return
        for pid in [self._process.pid, *_descendants(self._process.pid)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait()
        self._process = None

    def wait_for_sessions_to_end(self) -> None:
        """Wait until no connection is served any more: what clients sent is then on the disk, or never will be."""
        assert self._process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while _descendants(self._process.pid):
            assert time.monotonic() < deadline, "a session does not end"
            time.sleep(0.005)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as line:
                return line.recv(4) == b"SSH-"
        except OSError:
            return False


def make_key(path: Path) -> None:
    """Make an ed25519 key pair, replacing an older one."""
    for old in (path, path.with_name(path.name + ".pub")):
        old.unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _descendants(pid: int) -> list[int]:
    children = [child for task in Path(f"/proc/{pid}/task").glob("*") for child in _children(task)]
    return [each for child in children for each in (child, *_descendants(child))]


def _children(task: Path) -> list[int]:
    """The processes that a thread started; none when it has ended meanwhile."""
    try:
        return [int(child) for child in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
