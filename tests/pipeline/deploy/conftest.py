"""Devices and bundles that the tests of deployment share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import slot_boards
import ssh_server as ssh_server_module
from slot_boards import SlotRuns
from ssh_server import SshServer
from toy_bundles import ToyRuntime

from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle

PADDING_BYTES = 1_000_000

ToyBundle = Callable[..., Bundle]


@pytest.fixture(scope="session")
def toy_runtime(tmp_path_factory: pytest.TempPathFactory) -> ToyRuntime:
    return ToyRuntime(tmp_path_factory.mktemp("toy-runtime"))


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> SlotRuns:
    """Three small networks with slots: starting, proving and confirming one takes as long as writing it."""
    return slot_boards.make_runs(tmp_path_factory.mktemp("runs"), 3, width=8)


@pytest.fixture
def toy_bundle(tmp_path: Path, toy_runtime: ToyRuntime) -> ToyBundle:
    """Build the toy network for a target: `defines` are those of toy_network.c, `flags` the runtime's."""

    def build(target_name: str, *flags: str, **defines: int) -> Bundle:
        folder = tmp_path / f"toy-{len(list(tmp_path.iterdir()))}"
        return toy_runtime.build(targets.load(target_name), folder, flags, defines)

    return build


@pytest.fixture
def ssh_server(tmp_path: Path) -> Iterator[SshServer]:
    """A running sshd whose key the client knows."""
    if not ssh_server_module.is_installed():
        pytest.skip("no sshd on this machine: openssh-server is not installed")
    server = SshServer(tmp_path / "server")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def two_builds(toy_bundle: ToyBundle) -> tuple[Bundle, Bundle]:
    """The toy network for this machine twice, as two builds of one model; the second one takes several writes."""
    return tuple(_pad(toy_bundle("host", TOY_BUILD_BYTE=byte), byte, seed) for byte, seed in ((0x11, 1), (0x22, 2)))


def _pad(bundle: Bundle, build_byte: int, seed: int) -> Bundle:
    """Put bytes behind the program, which nobody reads, and give the manifest the build id that it answers with."""
    with bundle.program.open("ab") as program:
        program.write(np.random.default_rng(seed).bytes(PADDING_BYTES))
    build_id = bytes([build_byte, *range(1, 16)]).hex()
    manifest = bundle.manifest.model_copy(update={"build_id": build_id})
    (bundle.folder / "manifest.json").write_text(manifest.model_dump_json())
    return Bundle(folder=bundle.folder, manifest=manifest)
