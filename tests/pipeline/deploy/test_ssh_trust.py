"""Host keys: unknown, changed and revoked ones, jump hosts, and what `edgecompress devices trust` does about them."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ssh_server import SshServer, make_key

from edgecompress.core.errors import UnreachableError, WrongDeviceError
from edgecompress.deploy import _ssh_config
from edgecompress.deploy._ssh_connection import Connection

Command = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).parents[3]


@pytest.fixture
def home(ssh_server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home whose ~/.ssh/config knows the server as `board`, and no key of it."""
    home = tmp_path / "user"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "config").write_text(
        f"Host board\n  HostName 127.0.0.1\n  Port {ssh_server.port}\n"
        f"  IdentityFile {ssh_server.folder}/id\n  IdentitiesOnly yes\n"
    )
    monkeypatch.setenv("HOME", str(home))
    return home


def fingerprint(public: Path) -> str:
    said = subprocess.run(["ssh-keygen", "-l", "-f", public], capture_output=True, text=True, check=True).stdout
    return said.split()[1]


def refusal(ssh_server: SshServer) -> UnreachableError | WrongDeviceError:
    with pytest.raises((UnreachableError, WrongDeviceError)) as caught:
        Connection(ssh_server.endpoint())
    return caught.value


def test_an_unknown_key_is_refused_before_any_login(ssh_server: SshServer) -> None:
    (ssh_server.folder / "known_hosts").write_text("")
    error = refusal(ssh_server)
    shown = fingerprint(ssh_server.folder / "host.pub")
    assert error.message == f"[127.0.0.1]:{ssh_server.port} shows the key ssh-ed25519 {shown}, which is not known"
    assert error.hint == (f"compare it with the board's, then: edgecompress devices trust {ssh_server.endpoint().url}")
    assert error.exit_code == 7
    assert "publickey" not in (ssh_server.folder / "log").read_text()


def test_a_changed_key_is_refused_with_a_warning(ssh_server: SshServer) -> None:
    old = fingerprint(ssh_server.folder / "host.pub")
    ssh_server.kill()
    make_key(ssh_server.folder / "host")
    ssh_server.start()
    error = refusal(ssh_server)
    name, known = f"[127.0.0.1]:{ssh_server.port}", ssh_server.folder / "known_hosts"
    new = fingerprint(ssh_server.folder / "host.pub")
    assert error.message == (f"{name} shows the key ssh-ed25519 {new}; the known one is ssh-ed25519 {old} ({known}:1)")
    assert error.hint == (
        "another machine answers at this address: the board's system was installed anew, or somebody sits in between. "
        f"Only if you know why: ssh-keygen -R '{name}' -f {known}, "
        f"then edgecompress devices trust {ssh_server.endpoint().url}"
    )
    assert error.exit_code == 8


def test_a_revoked_key_is_refused_though_it_is_known(ssh_server: SshServer) -> None:
    known = ssh_server.folder / "known_hosts"
    known.write_text(known.read_text() + "@revoked * " + " ".join((ssh_server.folder / "host.pub").read_text().split()))
    error = refusal(ssh_server)
    assert error.message.endswith(f"which is revoked by {known}:2")
    assert error.exit_code == 8


def test_trust_needs_the_fingerprint_and_then_a_login_works(
    ssh_server: SshServer, home: Path, edgecompress: Command
) -> None:
    address, right = "ssh://board", fingerprint(ssh_server.folder / "host.pub")
    known = home / ".ssh" / "known_hosts"
    assert "--yes needs --fingerprint" in edgecompress("devices", "trust", address, "--yes", code=2).stderr
    refused = edgecompress("devices", "trust", address, "--yes", "--fingerprint", "SHA256:x", code=8)
    assert f"shows the key ssh-ed25519 {right}, not SHA256:x" in refused.stderr
    assert "nobody can be asked about it here" in edgecompress("devices", "trust", address, code=2).stderr
    assert not known.exists()
    done = edgecompress("devices", "trust", address, "--yes", "--fingerprint", right)
    assert done.stdout == f"[127.0.0.1]:{ssh_server.port} ssh-ed25519 {right}: added to {known}\n"
    assert known.stat().st_mode & 0o777 == 0o600
    assert "known already" in edgecompress("devices", "trust", address).stdout
    Connection(_ssh_config.endpoint("board")).close()


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 7)])
def test_trust_asks_on_a_terminal(answer: str, code: int, ssh_server: SshServer, home: Path) -> None:
    said, ended = on_a_terminal(["devices", "trust", "ssh://board"], answer)
    assert fingerprint(ssh_server.folder / "host.pub") in said
    assert ended == code
    assert (home / ".ssh" / "known_hosts").exists() == (code == 0)


def on_a_terminal(words: list[str], answer: str) -> tuple[str, int]:
    """Run the command line on a pseudo terminal and answer its question."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "edgecompress", *words]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT)
    os.close(theirs)
    said, deadline = b"", time.monotonic() + 30
    try:
        while b"[y/N]" not in said and time.monotonic() < deadline:
            if select.select([ours], [], [], 1)[0]:
                said += os.read(ours, 4096)
        os.write(ours, f"{answer}\n".encode())
        return said.decode(), process.wait(30)
    finally:
        process.kill()
        os.close(ours)


def test_a_jump_host_is_gone_through_and_its_key_is_checked_too(
    ssh_server: SshServer, home: Path, tmp_path: Path
) -> None:
    jump = SshServer(tmp_path / "jump")
    jump.start()
    try:
        config = home / ".ssh" / "config"
        config.write_text(
            f"Host behind\n  HostName 127.0.0.1\n  Port {ssh_server.port}\n  ProxyJump gate\n"
            f"  IdentityFile {ssh_server.folder}/id\nHost gate\n  HostName 127.0.0.1\n  Port {jump.port}\n"
            f"  IdentityFile {jump.folder}/id\n"
        )
        known = home / ".ssh" / "known_hosts"
        known.write_text((ssh_server.folder / "known_hosts").read_text())
        with pytest.raises(UnreachableError) as caught:
            Connection(_ssh_config.endpoint("behind"))
        assert caught.value.message.startswith(f"[127.0.0.1]:{jump.port} shows the key ")
        assert str(caught.value.hint).endswith(f"devices trust ssh://{jump.endpoint().user}@gate:{jump.port}")
        known.write_text(known.read_text() + (jump.folder / "known_hosts").read_text())
        connection = Connection(_ssh_config.endpoint("behind"))
        assert connection.is_alive
        connection.close()
        for passed in (jump, ssh_server):
            assert (passed.folder / "log").read_text().count("Accepted publickey") == 1
    finally:
        jump.kill()


def test_a_login_without_an_accepted_key_says_which_were_tried(ssh_server: SshServer) -> None:
    make_key(ssh_server.folder / "other")
    endpoint = ssh_server.endpoint(identities=(ssh_server.folder / "other",))
    with pytest.raises(UnreachableError) as caught:
        Connection(endpoint)
    assert caught.value.message == f"{endpoint.shown} accepted no key; tried: {ssh_server.folder}/other"
    assert "ssh-copy-id" in str(caught.value.hint)


def test_nobody_at_the_address_is_said_in_words(ssh_server: SshServer) -> None:
    ssh_server.kill()
    error = refusal(ssh_server)
    assert error.message == f"nothing answers on port {ssh_server.port} of 127.0.0.1"
    with pytest.raises(UnreachableError) as caught:
        Connection(ssh_server.endpoint(host="no-such-board.invalid"))
    assert caught.value.message == "no host is called 'no-such-board.invalid'"
