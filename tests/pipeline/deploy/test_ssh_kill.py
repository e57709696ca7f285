"""A server or a client that is killed anywhere in a deployment: the old model serves, and the same command goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cutting_proxy import CuttingProxy
from deploy_child import endpoint_as_json
from ssh_server import SshServer

from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import Device
from edgecompress.core.errors import UnreachableError
from edgecompress.deploy import _ssh_deployment
from edgecompress.deploy._ssh_endpoint import Endpoint
from edgecompress.deploy.ssh import SshLink

POINTS = 50
ROOT = Path(__file__).parents[3]
SUPPORT = ROOT / "tests" / "support"
Steps = list[tuple[str, int, int]]


@pytest.fixture
def proxy(ssh_server: SshServer) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(ssh_server.port)
    yield proxy
    proxy.close()


def through(proxy: CuttingProxy, server: SshServer) -> Endpoint:
    return server.endpoint(port=proxy.port, key_name=server.endpoint().known_as)


def deploy(endpoint: Endpoint, bundle: Bundle) -> Steps:
    """Deploy and return the steps of the upload."""
    steps: Steps = []
    target = targets.load("host")
    with Device(SshLink(target, endpoint), target) as device:
        device.install(bundle, lambda *step: steps.append(step))
    return [step for step in steps if step[0] == "upload"]


def serving(server: SshServer) -> str:
    """The build id of the current version, whose file must be whole."""
    current = server.board / "toy" / "current"
    build_id, _, digest = current.readlink().name.partition("-")
    assert subprocess.run(["sha256sum", current], capture_output=True, check=True).stdout.decode()[:64] == digest
    return build_id


def part_bytes(server: SshServer) -> int:
    """The size of what a broken upload left."""
    return sum(path.stat().st_size for path in (server.board / "toy" / "staged").iterdir())


def left_behind(server: SshServer) -> list[str]:
    """What lies in the model's folder besides versions and the current link."""
    folder = server.board / "toy"
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
    return sorted(name for name in names if not name.startswith("versions") and name not in ("current", "staged"))


def forget_new(server: SshServer, old: Bundle, new: Bundle) -> None:
    """Put the board back to where only the old version was ever deployed."""
    versions = server.board / "toy" / "versions"
    (old_file,) = versions.glob(f"{old.manifest.build_id}-*")
    for file in versions.glob(f"{new.manifest.build_id}-*"):
        file.unlink()
    current = server.board / "toy" / "current"
    current.unlink()
    current.symlink_to(f"versions/{old_file.name}")


def bytes_of_a_deployment(proxy: CuttingProxy, server: SshServer, old: Bundle, new: Bundle) -> int:
    deploy(server.endpoint(), old)
    proxy.reset()
    deploy(through(proxy, server), new)
    assert serving(server) == new.manifest.build_id
    forget_new(server, old, new)
    return proxy.sent


def test_a_server_that_is_killed_anywhere_leaves_the_old_model_and_the_upload_goes_on(
    ssh_server: SshServer,
    proxy: CuttingProxy,
    two_builds: tuple[Bundle, Bundle],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_ssh_deployment, "PAUSES_S", (0.0,))
    old, new = two_builds
    total = bytes_of_a_deployment(proxy, ssh_server, old, new)
    resumed = 0
    for point in range(POINTS):
        proxy.reset(total * point // POINTS, ssh_server.kill)
        with pytest.raises(UnreachableError) as caught:
            deploy(through(proxy, ssh_server), new)
        assert caught.value.exit_code == 7, point
        assert serving(ssh_server) == old.manifest.build_id, point
        part = part_bytes(ssh_server)
        ssh_server.start()
        steps = deploy(ssh_server.endpoint(), new)
        assert serving(ssh_server) == new.manifest.build_id, point
        assert left_behind(ssh_server) == [], point
        resumed += bool(part)
        assert steps[0][1] == part, point
        forget_new(ssh_server, old, new)
    assert resumed > POINTS // 2


class Deployer:
    """A process that forks one to deploy, which can be killed (tests/support/deploy_child.py)."""

    def __init__(self, endpoint: Endpoint, bundle: Bundle) -> None:
        words = [sys.executable, SUPPORT / "deploy_child.py", endpoint_as_json(endpoint), bundle.folder]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True
        )
        self._pid = 0

    def run(self) -> int:
        """Deploy in a new process; return its exit code, or below zero the signal that ended it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self._pid = int(self._process.stdout.readline())
        return int(self._process.stdout.readline())

    def kill(self) -> None:
        """Kill the process that deploys now."""
        while not self._pid:
            time.sleep(0.001)
        os.kill(self._pid, signal.SIGKILL)
        self._pid = 0

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def test_a_client_that_is_killed_anywhere_leaves_the_old_model_and_the_next_one_goes_on(
    ssh_server: SshServer, proxy: CuttingProxy, two_builds: tuple[Bundle, Bundle]
) -> None:
    old, new = two_builds
    total = bytes_of_a_deployment(proxy, ssh_server, old, new)
    deployer = Deployer(through(proxy, ssh_server), new)
    resumed = 0
    for point in range(POINTS):
        proxy.reset(total * point // POINTS, deployer.kill)
        assert deployer.run() == -signal.SIGKILL, point
        ssh_server.wait_for_sessions_to_end()
        assert serving(ssh_server) == old.manifest.build_id, point
        part = part_bytes(ssh_server)
        steps = deploy(ssh_server.endpoint(), new)
        assert serving(ssh_server) == new.manifest.build_id, point
        assert left_behind(ssh_server) == [], point
        assert steps[0][1] == part, point
        resumed += bool(part)
        forget_new(ssh_server, old, new)
    deployer.close()
    assert resumed > POINTS // 2


def test_an_upload_goes_on_by_itself_after_every_lost_connection(
    ssh_server: SshServer, proxy: CuttingProxy, two_builds: tuple[Bundle, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_ssh_deployment, "PAUSES_S", (0.0,))
    proxy.reset(400_000, lambda: proxy.reset(400_000, lambda: proxy.reset(400_000)))
    steps = deploy(through(proxy, ssh_server), two_builds[1])
    size = two_builds[1].program.stat().st_size
    assert [done for _, done, _ in steps] == sorted(done for _, done, _ in steps)
    assert steps[-1] == ("upload", size, size)
    assert proxy.sent < size - 100_000, "the last connection sent only what was missing"
    assert serving(ssh_server) == two_builds[1].manifest.build_id
