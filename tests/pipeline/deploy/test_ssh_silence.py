"""Lines that fall silent without ending: every wait has an end, and the error says what was waited for."""

from __future__ import annotations

import socket
import time

import pytest
from cutting_proxy import CuttingProxy
from ssh_server import SshServer

from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import Device
from edgecompress.core.errors import UnreachableError
from edgecompress.deploy import _ssh_connection, _ssh_deployment
from edgecompress.deploy._ssh_connection import Connection
from edgecompress.deploy.ssh import SshLink

LIMIT_S = 1.5
"""Instead of 15 and 30 s."""


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGIN_TIMEOUT_S", "CHANNEL_TIMEOUT_S"):
        monkeypatch.setattr(_ssh_connection, name, LIMIT_S)
    monkeypatch.setattr(_ssh_deployment, "PAUSES_S", ())


def test_something_that_takes_connections_and_says_nothing_is_given_up(ssh_server: SshServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = ssh_server.endpoint(port=silent.getsockname()[1])
        begin = time.monotonic()
        with pytest.raises(UnreachableError) as caught:
            Connection(endpoint)
    assert caught.value.message == f"{endpoint.shown} could not be reached: no SSH server answers there"
    assert time.monotonic() - begin < 10 * LIMIT_S


@pytest.mark.parametrize("percent", [1, 20, 60])
def test_a_line_that_falls_silent_is_given_up(
    percent: int, ssh_server: SshServer, two_builds: tuple[Bundle, Bundle]
) -> None:
    bundle = two_builds[0]
    proxy = CuttingProxy(ssh_server.port)
    proxy.reset(bundle.program.stat().st_size * percent // 100, silent=True)
    endpoint = ssh_server.endpoint(port=proxy.port, key_name=ssh_server.endpoint().known_as)
    target = targets.load("host")
    begin = time.monotonic()
    with pytest.raises(UnreachableError) as caught, Device(SshLink(target, endpoint), target) as device:
        device.install(bundle)
    assert time.monotonic() - begin < 10 * LIMIT_S
    assert caught.value.message == f"the connection to {endpoint.shown} gave no answer for 1.5 s"
    assert caught.value.hint == "is the board still on, and in reach? The same command goes on where it stopped"
    proxy.close()
