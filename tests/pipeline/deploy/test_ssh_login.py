"""Keys from the agent and from files, the board's kind, and a session that ends in the middle of a run."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from ssh_server import SshServer

from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import Device
from edgecompress.core.errors import UnreachableError, WrongDeviceError
from edgecompress.deploy._ssh_connection import Connection
from edgecompress.deploy.ssh import SshLink

ToyBundle = Callable[..., Bundle]
PASSPHRASE = "correct horse"


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An SSH agent without keys."""
    path = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    while not path.exists():
        time.sleep(0.005)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    yield
    process.terminate()
    process.wait()


def test_a_key_of_the_agent_opens_the_board(ssh_server: SshServer, agent: None) -> None:
    endpoint = ssh_server.endpoint(identities=(ssh_server.folder / "missing",), agent=True)
    with pytest.raises(UnreachableError) as caught:
        Connection(endpoint)
    assert caught.value.message == (
        f"{endpoint.shown} accepted no key; tried: the SSH agent's keys, {ssh_server.folder}/missing (not there)"
    )
    subprocess.run(["ssh-add", "-q", ssh_server.folder / "id"], check=True)
    Connection(endpoint).close()


def test_a_key_of_the_users_ssh_folder_opens_the_board(
    ssh_server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519").write_bytes((ssh_server.folder / "id").read_bytes())
    monkeypatch.setenv("HOME", str(tmp_path))
    Connection(ssh_server.endpoint(identities=())).close()


def test_a_key_with_a_passphrase_is_not_asked_for(ssh_server: SshServer, agent: None) -> None:
    key = ssh_server.folder / "id"
    subprocess.run(["ssh-add", "-q", key], check=True)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", PASSPHRASE, "-f", key], check=True)
    with pytest.raises(UnreachableError) as caught:
        Connection(ssh_server.endpoint())
    assert str(caught.value.hint).endswith("a key with a passphrase must be in the agent (ssh-add)")
    Connection(ssh_server.endpoint(agent=True)).close()


def test_a_program_for_another_machine_is_refused_before_anything_is_written(
    ssh_server: SshServer, toy_bundle: ToyBundle
) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("this machine may run the program")
    bundle = toy_bundle("host")
    other = Bundle(folder=bundle.folder, manifest=bundle.manifest.model_copy(update={"target": "rpi4"}))
    target = targets.load("rpi4")
    with Device(SshLink(target, ssh_server.endpoint()), target) as device, pytest.raises(WrongDeviceError) as caught:
        device.install(other)
    assert "(x86_64, 64-bit programs) does not run programs for aarch64, which rpi4 is compiled for" in str(
        caught.value.message
    )
    assert caught.value.exit_code == 8
    assert list(ssh_server.board.iterdir()) == []


def test_a_connection_that_is_lost_during_a_run_is_said_in_words_and_the_same_again_works(
    ssh_server: SshServer, two_builds: tuple[Bundle, Bundle]
) -> None:
    sample = {"signal": np.zeros(16, np.int8)}
    target = targets.load("host")
    with Device(SshLink(target, ssh_server.endpoint()), target) as device:
        device.install(two_builds[0])
        ssh_server.kill()
        with pytest.raises(UnreachableError) as caught:
            device.run(sample)
        assert caught.value.message == f"the connection to {ssh_server.endpoint().shown} was lost"
        ssh_server.start()
        device.install(two_builds[0])
        assert device.run(sample).outputs["sums"].tolist() == [0, 0, 0, 0]
