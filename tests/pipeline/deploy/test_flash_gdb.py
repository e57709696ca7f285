"""The GDB flasher against QEMU's own server on every emulated board, and through a line that breaks at every packet."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faulty_gdb import Fault, FaultyGdbProxy, packet, running_qemu

from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import Device
from edgecompress.core.errors import EdgecompressError, TransferError, UnreachableError, UsageError, WrongDeviceError
from edgecompress.core.flash_record import FlashRecord
from edgecompress.core.values import no_progress
from edgecompress.deploy import _firmware_image, _flash_link, _flashing, _gdb_remote
from edgecompress.deploy._gdb_remote import GdbRemote
from edgecompress.deploy._tcp_stream import TcpStream
from edgecompress.deploy.flashers import FlashOptions

ToyBundle = Callable[..., Bundle]
ROOT = Path(__file__).parents[3]
EMULATED = [
    name for name in targets.names() if targets.load(name).system == "bare" and targets.load(name).emulator is not None
]
BOARD = targets.load("mps2-an386")
SHORT_S = 0.25
PATIENT_S = 1.5
"""For what must get through on a busy machine too."""

BUSY_S = 3.0
NOISY_FLASHES = 24


def tool_at(port: int) -> _flash_link.Tool:
    return _flash_link.choose(BOARD, f"gdb://127.0.0.1:{port}", None, FlashOptions())


def link_to(name: str, port: int) -> _flash_link.FlashLink:
    return _flash_link.FlashLink(targets.load(name), tool_at(port))


def flash(bundle: Bundle, port: int) -> _flashing.Flashed:
    """Flash and start, without waiting for hello."""
    tool = tool_at(port)
    flashed = _flashing.flash(bundle, BOARD, lambda: tool.connect(BOARD), None, no_progress)
    flashed.stream.close()
    return flashed


def memory(port: int, address: int, count: int) -> bytes:
    remote = GdbRemote(TcpStream(f"127.0.0.1:{port}", what="the debug server"), "the server")
    try:
        remote.begin()
        return remote.read_memory(address, count)
    finally:
        remote.close()


def holds(port: int, bundle: Bundle) -> bool:
    segments = _firmware_image.read(bundle.program, BOARD).segments
    return all(memory(port, each.address, len(each.data)) == each.data for each in segments)


def saved(bundle: Bundle) -> Path:
    (bundle.folder / "manifest.json").write_text(bundle.manifest.model_dump_json())
    return bundle.folder


def command(folder: Path, port: int, target: str = BOARD.name) -> subprocess.CompletedProcess[str]:
    words = ["flash", str(folder), "--device", f"gdb://127.0.0.1:{port}", "--target", target]
    return subprocess.run(
        [sys.executable, "-m", "edgecompress", *words],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def board() -> Iterator[int]:
    with running_qemu(BOARD) as port:
        yield port


@pytest.fixture
def proxy(board: int) -> Iterator[FaultyGdbProxy]:
    between = FaultyGdbProxy(board)
    yield between
    between.close()


@pytest.mark.parametrize("name", EMULATED)
def test_an_emulated_board_is_flashed_verified_reset_and_says_hello(name: str, toy_bundle: ToyBundle) -> None:
    bundle = toy_bundle(name)
    with running_qemu(targets.load(name)) as port:
        link = link_to(name, port)
        with Device(link, targets.load(name)) as device:
            device.install(bundle)
            info = device.describe()
        assert (info.build_id, info.target, device.emulated) == (bundle.manifest.build_id, name, True)
        assert link.flashed is not None
        assert link.flashed.proof == "read back"
        assert link.description.startswith(f"{name} behind gdb://127.0.0.1:{port} (QEMU ")


def test_a_running_emulator_gets_another_firmware_in_place_of_the_one_it_was_started_with(
    toy_bundle: ToyBundle,
) -> None:
    before, bundle = toy_bundle(BOARD.name, TOY_SPIN=7), toy_bundle(BOARD.name)
    with running_qemu(BOARD, "-kernel", before.program) as port:
        assert memory(port, 0, 64) == before.program.read_bytes()[0x1000:0x1040]
        with Device(link_to(BOARD.name, port), BOARD) as device:
            device.install(bundle)
        assert holds(port, bundle)
        assert not holds(port, before)


def test_a_serial_line_behind_a_socket_is_found_too(toy_bundle: ToyBundle) -> None:
    with running_qemu(BOARD, serial="tcp:127.0.0.1:0,server=on,wait=off") as port:
        link = link_to(BOARD.name, port)
        with Device(link, BOARD) as device:
            device.install(toy_bundle(BOARD.name))
        assert link.flashed is not None
        assert link.flashed.console.startswith("tcp://127.0.0.1:")


def test_a_serial_line_that_nobody_can_reach_is_asked_for_and_nothing_is_written(toy_bundle: ToyBundle) -> None:
    with running_qemu(BOARD, serial="null") as port:
        with pytest.raises(UsageError) as caught:
            flash(toy_bundle(BOARD.name), port)
        assert caught.value.message.startswith(f"gdb://127.0.0.1:{port} (QEMU ")
        assert caught.value.message.endswith(") does not know the board's serial line")
        assert memory(port, 0, 4096) == bytes(4096)


def test_the_command_flashes_and_writes_a_record(board: int, toy_bundle: ToyBundle) -> None:
    bundle = toy_bundle(BOARD.name)
    done = command(saved(bundle), board)
    assert done.returncode == 0, done.stderr
    record = FlashRecord.model_validate_json((bundle.folder.parent / "flash.json").read_text())
    assert done.stdout.splitlines() == [
        f"toy on {record.device} (emulated)",
        "chip      cortex-m4, CPUID 0x410fc240",
        f"written   {record.image_bytes:,} bytes in {record.segments} piece",
        "verified  read back, byte for byte",
        f"hello     build {bundle.manifest.build_id}, over {record.console}",
        "vectors   8 reproduced byte for byte",
        f"record: {bundle.folder.parent / 'flash.json'}",
    ]
    assert (record.flasher, record.proof, record.emulated) == ("gdb", "read back", True)
    assert record.console.startswith("serial:///dev/pts/")


def test_a_wrong_byte_that_is_read_back_ends_with_exit_code_9(proxy: FaultyGdbProxy, toy_bundle: ToyBundle) -> None:
    bundle = toy_bundle(BOARD.name)
    first = _firmware_image.read(bundle.program, BOARD).segments[0].data[0]
    proxy.begin(flipping_first_byte_of(bundle))
    done = command(saved(bundle), proxy.port)
    assert done.returncode == 9
    assert f"1 of {len(_firmware_image.read(bundle.program, BOARD).segments[0].data):,} bytes differ" in done.stderr
    assert f"first at 0x00000000 ({first ^ 0x10:#04x} instead of {first:#04x})" in done.stderr
    assert "hint: the firmware was not started; flash again" in done.stderr
    assert not (bundle.folder.parent / "flash.json").exists()


def test_a_server_that_says_ok_and_holds_nothing_is_found_out(proxy: FaultyGdbProxy, toy_bundle: ToyBundle) -> None:
    bundle = toy_bundle(BOARD.name)
    proxy.begin(reading_zeros)
    with pytest.raises(TransferError) as caught:
        flash(bundle, proxy.port)
    assert "holds something else than was written" in caught.value.message


def test_an_image_of_another_machine_is_refused_and_nothing_is_written(toy_bundle: ToyBundle) -> None:
    other = toy_bundle("mps2-an386")
    with running_qemu(targets.load("mps2-an385")) as port:
        before = memory(port, 0, 4096)
        with pytest.raises(WrongDeviceError) as caught, Device(link_to("mps2-an386", port), BOARD) as device:
            device.install(other)
        assert caught.value.message == "the emulated machine is mps2-an385; mps2-an386 is mps2-an386"
        assert memory(port, 0, 4096) == before == bytes(4096)


def test_a_chip_with_another_core_is_refused_and_runs_on(
    toy_bundle: ToyBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgecompress.deploy._gdb_servers.machine", lambda *_: None)
    there, bundle = targets.load("mps2-an385"), toy_bundle("mps2-an385")
    alike = BOARD.model_copy(update={"emulator": None})
    with running_qemu(there) as port:
        first = _flash_link.FlashLink(there.model_copy(update={"emulator": None}), tool_at(port))
        with Device(first, there) as device:
            device.install(bundle)
        with (
            pytest.raises(WrongDeviceError) as caught,
            Device(_flash_link.FlashLink(alike, tool_at(port)), alike) as device,
        ):
            device.install(toy_bundle(BOARD.name))
        assert caught.value.message == "the chip is cortex-m3 (CPUID 0x410fc231); mps2-an386 is cortex-m4"
        assert caught.value.hint == "nothing was written; another board is connected"
        assert first.flashed is not None
        line = _flash_link.ConsoleLink(there, first.flashed.console, description="mps2-an385", emulated=True)
        with Device(line, there) as device:
            device.install(bundle)


def test_a_profile_that_knows_only_an_emulated_machine_takes_no_real_chip(
    board: int, toy_bundle: ToyBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgecompress.deploy._gdb_servers.machine", lambda *_: None)
    with pytest.raises(WrongDeviceError) as caught:
        flash(toy_bundle(BOARD.name), board)
    assert caught.value.message == (
        "a real chip is connected; by the profile mps2-an386 only an emulated mps2-an386 can be told from others"
    )
    assert memory(board, 0, 4096) == bytes(4096)


def test_an_image_for_another_target_is_refused_before_the_board_is_reached(toy_bundle: ToyBundle) -> None:
    done = command(saved(toy_bundle("mps2-an385")), 1, BOARD.name)
    assert done.returncode == 8
    assert done.stderr.splitlines()[-2:] == [
        "error: the bundle was built for mps2-an385, the device is mps2-an386",
        "hint: compile for mps2-an386, or deploy to mps2-an385",
    ]


def test_no_server_is_an_unreachable_device(toy_bundle: ToyBundle) -> None:
    with pytest.raises(UnreachableError) as caught:
        flash(toy_bundle(BOARD.name), 1)
    assert caught.value.message == "the debug server at 127.0.0.1:1: Connection refused"
    assert caught.value.hint == "does it run, and on that port?"


def test_whatever_breaks_once_at_any_packet_the_firmware_gets_there(
    proxy: FaultyGdbProxy, board: int, toy_bundle: ToyBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_gdb_remote, "ANSWER_S", PATIENT_S)
    first, second = toy_bundle(BOARD.name), toy_bundle(BOARD.name, TOY_SPIN=7)
    flash(first, proxy.port)
    packets = proxy.answers
    assert packets > 20
    for number in range(packets):
        for change in (damaged, dropped, shortened, lost):
            if change in (shortened, lost) and number % 8:
                continue
            first, second = second, first  # another image every time: nothing is there already
            proxy.begin(when(number.__eq__, change))
            flash(first, proxy.port)
            assert holds(board, first), (change, number)


def test_what_stays_broken_ends_within_its_deadlines(
    proxy: FaultyGdbProxy, toy_bundle: ToyBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_gdb_remote, "ANSWER_S", SHORT_S)
    monkeypatch.setattr("edgecompress.deploy._gdb_servers.RESET_S", SHORT_S)
    bundle = toy_bundle(BOARD.name)
    for number in (0, 1, 4, 9, 15, 20):
        for change in (damaged, dropped, lost):
            proxy.begin(when(number.__le__, change))
            begin = time.monotonic()
            with pytest.raises(EdgecompressError) as caught:
                flash(bundle, proxy.port)
            assert caught.value.exit_code == 7
            assert time.monotonic() - begin < _flashing.ATTEMPTS * 4 * SHORT_S + BUSY_S


def test_on_a_noisy_line_nothing_counts_as_flashed_that_is_not_there(
    proxy: FaultyGdbProxy, board: int, toy_bundle: ToyBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_gdb_remote, "ANSWER_S", SHORT_S)
    bundles = toy_bundle(BOARD.name), toy_bundle(BOARD.name, TOY_SPIN=7)
    arrived = 0
    for seed in range(NOISY_FLASHES):
        bundle = bundles[seed % 2]
        proxy.begin(noise(random.Random(seed)))
        code = code_of_flashing(bundle, proxy.port)
        assert code in (0, 7, 8, 9), seed
        if code == 0:
            assert holds(board, bundle), seed
            arrived += 1
    assert 0 < arrived < NOISY_FLASHES


def code_of_flashing(bundle: Bundle, port: int) -> int:
    try:
        flash(bundle, port)
    except EdgecompressError as error:
        return error.exit_code
    return 0


def noise(draw: random.Random) -> Fault:
    """Flip, drop and double bytes of answers, at a rate between 1e-5 and 1e-2 that is drawn once."""
    rate = 10 ** draw.uniform(-5, -2)

    def through(byte: int) -> bytes:
        drawn = draw.random()
        if drawn < rate:
            return bytes([byte ^ 1 << draw.randrange(8)])
        return bytes([byte]) * (0 if drawn < 1.5 * rate else 2 if drawn < 2 * rate else 1)

    return when(lambda _: True, lambda answer: b"".join(map(through, answer)))


def flipping_first_byte_of(bundle: Bundle) -> Fault:
    """Flip a bit of the first byte of flash in every answer that comes after the image was written."""
    written: list[bytes] = []

    def fault(number: int, request: bytes, answer: bytes) -> bytes:
        if request[:1] == b"M":
            written.append(request)
        if written and request.startswith(b"m0,"):
            answer = b"%02x" % (int(answer[:2], 16) ^ 0x10) + answer[2:]
        return packet(answer)

    return fault


def reading_zeros(number: int, request: bytes, answer: bytes) -> bytes:
    is_memory = request[:1] == b"m" and not request.startswith(b"me000")
    return packet(b"0" * len(answer) if is_memory else answer)


def when(applies: Callable[[int], bool], change: Callable[[bytes], bytes | None]) -> Fault:
    """Do something to the answers whose numbers apply."""

    def fault(number: int, request: bytes, answer: bytes) -> bytes | None:
        return change(packet(answer)) if applies(number) else packet(answer)

    return fault


def damaged(answer: bytes) -> bytes:
    return answer[:-1] + b"z"


def dropped(answer: bytes) -> None:
    return None


def shortened(answer: bytes) -> bytes:
    return answer[:2] + answer[3:]


def lost(answer: bytes) -> bytes:
    """What is printed travels in packets that nothing counts; TCP loses none of them by itself."""
    return answer if re.match(rb"\$O[^K]", answer) else b""
