"""Virtual boards: real SSH servers, real emulators, and one real boot of a Debian kernel."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import Device
from edgecompress.core.errors import ConfigError, ToolFailedError, UnreachableError, WrongDeviceError
from edgecompress.core.values import no_progress
from edgecompress.deploy import _board_image, _board_imitation, _board_machine, _board_namespace, loop, vm
from edgecompress.deploy._board_scratch import Scratch
from edgecompress.deploy._board_server import Server
from edgecompress.deploy._board_view import LoopBoard
from edgecompress.deploy._probe import probe
from edgecompress.deploy.ssh import SshLink

ToyBundle = Callable[..., Bundle]
Command = Callable[..., subprocess.CompletedProcess[str]]
SAMPLE = {"signal": np.arange(-8, 8, dtype=np.int8)}
SUMS = [26, 10, 6, 22]
UNDEFINED_INSTRUCTION = 2
FOREVER = 0xFFFF_FFFF
"""Turns of a loop that takes an emulator longer than anything here may take to end."""
END_TIMEOUT_S = 4.0
MIB = 1 << 20
REFUSE = Path(__file__).parents[2] / "support" / "refuse_system_call.py"
RECIPE = Path(__file__).parents[3] / "examples" / "wakeword.toml"

DEPLOY_AND_RUN = """
import sys
from pathlib import Path
import numpy as np
from edgecompress.core import plugins, target
from edgecompress.core.bundle import Bundle, Manifest
folder = Path(sys.argv[1])
bundle = Bundle(folder=folder, manifest=Manifest.model_validate_json((folder / "manifest.json").read_text()))
device = plugins.find("deploy", sys.argv[2], where="test").connect(target.load("rpi4"), "rpi4")
device.install(bundle)
print("installed", flush=True)
device.run({"signal": np.zeros(16, np.int8)})
"""


def has_namespace() -> bool:
    """True where the kernel lets a user have a binfmt_misc of its own: Linux 6.7, unless a container forbids it."""
    words = [sys.executable, "-I", "-S", _board_namespace.__file__, "/bin/true", "arm", "/bin/true"]
    return not subprocess.run(words, capture_output=True, check=True).stderr


needs_namespace = pytest.mark.skipif(not has_namespace(), reason="no binfmt_misc of one's own on this kernel")


@pytest.fixture
def image() -> _board_image.Image:
    """The whole board's system, out of the user's cache."""
    try:
        _board_image.mirror()
    except ConfigError as error:
        pytest.skip(error.message)
    return _board_image.find_or_build(no_progress)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that no other test sees."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edgecompress"


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files, whose name tells the processes that were started with it."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    return folder


def processes_of(folder: Path) -> dict[Path, str]:
    """The command lines of running processes that name a folder, by the processes' own folders."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in words and path.parent.name != str(os.getpid()):
                found[path.parent] = words
    return found


def listening(folder: Path) -> set[str]:
    """The addresses, in hex, at which processes of a folder wait for connections (proc(5), /proc/net/tcp)."""
    files = {str(file.readlink()) for process in processes_of(folder) for file in (process / "fd").iterdir()}
    lines = [line.split() for kind in ("tcp", "tcp6") for line in Path(f"/proc/net/{kind}").read_text().splitlines()]
    return {words[1].rpartition(":")[0] for words in lines if words[3] == "0A" and f"socket:[{words[9]}]" in files}


@pytest.mark.parametrize("name", ["rpi5", "rpi2", "rpi-zero", "x86-64"])
def test_a_program_of_each_machine_runs(name: str, toy_bundle: ToyBundle, own_cache: Path) -> None:
    with loop.connect(targets.load(name), name) as device:
        device.install(toy_bundle(name))
        run = device.run(SAMPLE, repeat=3)
    assert run.outputs["sums"].tolist() == SUMS
    assert len(run.ticks) == 3


@pytest.mark.parametrize("name", ["rpi5", "rpi-zero"])
@needs_namespace
def test_a_program_starts_anew(name: str, toy_bundle: ToyBundle, own_cache: Path) -> None:
    with loop.connect(targets.load(name), name) as device:
        device.install(toy_bundle(name))
        device.reset()
        assert device.run(SAMPLE).outputs["sums"].tolist() == SUMS


@pytest.mark.parametrize("name", ["rpi2", "rpi4"])
@needs_namespace
def test_a_program_that_fails_tells_where(name: str, toy_bundle: ToyBundle, own_cache: Path) -> None:
    bundle = toy_bundle(name, TOY_FAULT=UNDEFINED_INSTRUCTION)
    with loop.connect(targets.load(name), name) as device, pytest.raises(UnreachableError) as caught:
        device.install(bundle)
    assert "stopped with illegal instruction fault in layer 1 (sum_quarters)" in caught.value.message


def test_what_was_deployed_stays_and_is_not_uploaded_again(toy_bundle: ToyBundle, own_cache: Path) -> None:
    bundle = toy_bundle("rpi4")
    steps: list[list[str]] = []
    for _ in range(2):
        told: list[tuple[str, int, int]] = []
        with loop.connect(targets.load("rpi4"), "rpi4") as device:
            device.install(bundle, lambda *step, told=told: told.append(step))
        steps.append([what for what, _, _ in told])
    assert ["upload" in told for told in steps] == [True, False]
    assert (own_cache / "loop" / "rpi4" / "toy" / "current").is_symlink()


def test_another_boards_program_is_refused_before_the_upload(toy_bundle: ToyBundle, own_cache: Path) -> None:
    with loop.connect(targets.load("rpi5"), "rpi4") as device, pytest.raises(WrongDeviceError) as caught:
        device.install(toy_bundle("rpi5"))
    assert caught.value.message.startswith("loop://rpi4 (aarch64, 64-bit programs) lacks dotprod, fp16")
    assert caught.value.hint == "for this board, compile for rpi4"
    assert not list((own_cache / "loop" / "rpi4").rglob("*-*"))


def test_only_this_machine_reaches_the_board_and_nothing_is_left(
    toy_bundle: ToyBundle, own_cache: Path, scratch: Path
) -> None:
    with loop.connect(targets.load("rpi4"), "rpi4") as device:
        device.install(toy_bundle("rpi4"))
        (folder,) = scratch.glob("edgecompress-board-*")
        assert folder.stat().st_mode & 0o077 == 0
        assert listening(folder) == {"0100007F"}
        assert processes_of(folder)
    wait_until_ended(folder)
    assert list(scratch.glob("edgecompress-*")) == []


def test_a_killed_client_leaves_no_process_and_the_next_one_removes_its_folder(
    toy_bundle: ToyBundle, own_cache: Path, scratch: Path
) -> None:
    """Killed in the middle of an inference that would go on for long."""
    kill_after_install(endless(toy_bundle), "loop")
    (folder,) = scratch.glob("edgecompress-board-*")
    wait_until_ended(folder)
    os.utime(folder, (0, 0))
    Scratch().remove()
    assert not folder.exists()


@pytest.mark.parametrize("call", ["unshare", "mount"])
def test_where_a_container_refuses_namespaces_the_server_runs_outside_of_any(call: str) -> None:
    namespace = (sys.executable, "-I", "-S", _board_namespace.__file__, "/bin/true", "arm")
    words = [sys.executable, REFUSE, call, *namespace, shutil.which("readlink"), "/proc/self/ns/user"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(Path("/proc/self/ns/user").readlink())
    assert done.stderr.startswith("programs of arm cannot start themselves: [Errno 1] ")


def test_where_no_namespace_can_be_made_programs_still_run(toy_bundle: ToyBundle, tmp_path: Path) -> None:
    """As in many a container. Asking for this machine's own kind takes the same way."""
    target = targets.load("rpi4")
    emulator = [_board_imitation.locate_emulator(target), "-cpu", "cortex-a72"]
    server = Server(emulator, platform.machine(), tmp_path / "board")
    view = partial(LoopBoard, target)
    link = SshLink(target, server.endpoint, emulated=True, prefix=(str(server.runner),), view=view)
    try:
        with Device(link, target) as device:
            device.install(toy_bundle("rpi4"))
            assert device.run(SAMPLE).outputs["sums"].tolist() == SUMS
    finally:
        server.close()


def test_a_build_that_fails_leaves_no_half_image(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "mmdebstrap"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nfor last; do :; done\necho E: $last cannot be reached >&2\nexit 25\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setenv("EDGECOMPRESS_DEBIAN_MIRROR", "http://127.0.0.1:9/debian")
    with pytest.raises(ToolFailedError) as caught:
        _board_image.find_or_build(no_progress)
    assert "E: http://127.0.0.1:9/debian cannot be reached" in caught.value.message
    assert [path.name for path in (own_cache / "virtual-board").iterdir()] == ["lock"]


def test_a_whole_board_counts_instructions_and_has_a_system_of_its_own(
    toy_bundle: ToyBundle, scratch: Path, image: _board_image.Image
) -> None:
    bundle = toy_bundle("rpi4", TOY_SPIN=5_000_000)
    with vm.connect(targets.load("rpi4"), "rpi4") as device:
        device.install(bundle)
        ticks = np.array(device.run(SAMPLE, repeat=20).ticks)
        stats = device.read_stats()
        assert device.board is not None
        facts = probe(device.board, "/home/pi")
        (folder,) = scratch.glob("edgecompress-board-*")
        assert listening(folder) == {"0100007F"}
        device.reset()
        assert device.run(SAMPLE).outputs["sums"].tolist() == SUMS
    assert np.median(ticks) == pytest.approx(2 * 5_000_000, rel=0.005)
    assert np.median(abs(ticks - np.median(ticks))) < 0.001 * np.median(ticks)
    assert stats.resident_bytes
    assert (facts.machine, facts.cpu, facts.cores) == ("aarch64", "cortex-a72", 1)
    assert 400 * MIB < (facts.ram_bytes or 0) < 512 * MIB
    assert processes_of(folder) == {}


def test_a_whole_board_that_does_not_come_up_says_why(
    toy_bundle: ToyBundle, scratch: Path, image: _board_image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = toy_bundle("rpi4")
    with pytest.raises(UnreachableError) as caught:
        vm.connect(targets.load("rpi4"), "rpi4", emulator_args=("-no-such-option",)).install(bundle)
    assert caught.value.message == "the virtual board ended with exit code 1"
    assert "-no-such-option: invalid option" in (caught.value.hint or "")
    monkeypatch.setattr(_board_machine, "BOOT_TIMEOUT_S", 0.0)
    with pytest.raises(UnreachableError) as caught:
        vm.connect(targets.load("rpi4"), "rpi4").install(bundle)
    assert caught.value.message == "the virtual board was not up after 0 s"
    assert list(scratch.iterdir()) == []


def test_a_killed_client_takes_the_whole_board_with_it(
    toy_bundle: ToyBundle, scratch: Path, image: _board_image.Image
) -> None:
    kill_after_install(endless(toy_bundle), "vm")
    (folder,) = scratch.glob("edgecompress-board-*")
    wait_until_ended(folder)


def test_one_command_takes_a_network_to_a_board_of_qemu_user(
    edgecompress: Command, own_cache: Path, tmp_path: Path
) -> None:
    words = ("run", RECIPE, "--target", "rpi-zero", "-o", tmp_path / "run", "--json", "--device", "loop://rpi-zero")
    check_figures_of_qemu_user(metrics(edgecompress(*words).stdout))


def test_one_command_takes_a_network_to_a_whole_board_and_the_same_program_runs_on_the_other(
    edgecompress: Command, tmp_path: Path, image: _board_image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("run", RECIPE, "--target", "rpi4", "-o", tmp_path / "run", "--json", "--device")
    whole = metrics(edgecompress(*words, "vm://rpi4").stdout)
    assert whole["device_mismatched_bytes", None]["value"] == 0
    assert whole["latency_instructions", None]["value"] > 100_000
    assert whole["latency_us", None]["missing"]
    assert whole["proportional_bytes", None]["value"] > 50_000
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    check_figures_of_qemu_user(metrics(edgecompress(*words, "loop://rpi4").stdout))


def check_figures_of_qemu_user(found: dict[tuple[str, str | None], dict[str, Any]]) -> None:
    """The bytes are there, and nothing that would be this machine's."""
    assert found["device_mismatched_bytes", None]["value"] == 0
    assert "does not count instructions" in found["latency_instructions", None]["missing"]
    assert found["latency_us", None]["missing"]
    assert "the process that has memory is the emulator" in found["resident_bytes", None]["missing"]


def test_the_image_is_built_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, image: _board_image.Image) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _board_image.find_or_build(no_progress) == image


def metrics(report: str) -> dict[tuple[str, str | None], dict[str, Any]]:
    found = json.loads(report)["candidates"][0]["measurements"]
    return {(metric["metric"], metric["stage"]): metric for metric in found}


def endless(toy_bundle: ToyBundle) -> Bundle:
    """A network for rpi4 that runs for long, and no test vector that would make it run at the installation."""
    bundle = toy_bundle("rpi4", TOY_SPIN=FOREVER)
    vectors = bundle.manifest.vectors.model_copy(update={"count": 0})
    manifest = bundle.manifest.model_copy(update={"vectors": vectors})
    (bundle.folder / "manifest.json").write_text(manifest.model_dump_json())
    return Bundle(folder=bundle.folder, manifest=manifest)


def kill_after_install(bundle: Bundle, link: str) -> None:
    """Start a client, kill it when it has installed the bundle and runs it."""
    words = [sys.executable, "-c", DEPLOY_AND_RUN, str(bundle.folder), link]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "installed\n"
        time.sleep(0.5)
        client.send_signal(signal.SIGKILL)


def wait_until_ended(folder: Path) -> None:
    """Wait for the end of every process of a folder."""
    deadline = time.monotonic() + END_TIMEOUT_S
    while (left := processes_of(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == {}
