"""The link serial:// on the pty of a board that QEMU runs, and on lines that mislead."""

from __future__ import annotations

import json
import os
import random
import re
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from serial_ports import Cable, QemuBoard
from usb_bench import Plugged, plug_in

from edgecompress import cli
from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import Device
from edgecompress.core.errors import UnreachableError, WrongDeviceError
from edgecompress.deploy import _serial_line, serial
from edgecompress.deploy._serial_line import PortLostError

ToyBundle = Callable[..., Bundle]
Plug = Callable[..., Cable]
TARGET = "mps2-an386"
SAMPLE = np.arange(-8, 8, dtype=np.int8)
RIGHT = [26, 10, 6, 22]


@pytest.fixture
def board(toy_bundle: ToyBundle) -> Iterator[tuple[QemuBoard, Bundle]]:
    bundle = toy_bundle(TARGET)
    running = QemuBoard("mps2-an386", bundle.program)
    yield running, bundle
    running.close()


@pytest.fixture
def plug(tmp_path: Path) -> Iterator[Plug]:
    with ExitStack() as stack:

        def open_cable(far: str | None = None, **options: int) -> Cable:
            cable = Cable(tmp_path / "ttyACM0", far, **options)
            stack.callback(cable.close)
            return cable

        yield open_cable


def connect(path: str | Path) -> Device:
    return serial.connect(targets.load(TARGET), str(path))


def refusal(path: str | Path, bundle: Bundle) -> tuple[UnreachableError, float]:
    begin = time.monotonic()
    with connect(path) as device, pytest.raises(UnreachableError) as caught:
        device.install(bundle)
    return caught.value, time.monotonic() - begin


def test_a_board_that_runs_the_bundle_is_verified_and_computes(board: tuple[QemuBoard, Bundle]) -> None:
    running, bundle = board
    with connect(running.path) as device:
        device.install(bundle)
        assert device.run({"signal": SAMPLE}).outputs["sums"].tolist() == RIGHT
        assert device.description == f"mps2-an386 at {running.path}"
        device.reset()
        assert device.run({"signal": SAMPLE}).outputs["sums"].tolist() == RIGHT


def test_another_build_is_refused_with_the_command_that_writes_the_right_one(
    board: tuple[QemuBoard, Bundle], toy_bundle: ToyBundle
) -> None:
    running, bundle = board
    manifest = bundle.manifest.model_copy(update={"build_id": "11" * 16})
    other = Bundle(folder=bundle.folder, manifest=manifest)
    with connect(running.path) as device, pytest.raises(WrongDeviceError) as caught:
        device.install(other)
    assert caught.value.message == (
        f"mps2-an386 at {running.path} runs build {bundle.manifest.build_id} for mps2-an386; "
        f"the bundle is build {'11' * 16}"
    )
    assert caught.value.hint == (
        f"write this bundle's firmware first: edgecompress flash {bundle.folder} -t mps2-an386"
    )


def test_a_second_program_on_the_port_is_refused(board: tuple[QemuBoard, Bundle]) -> None:
    running, bundle = board
    with connect(running.path) as device:
        device.install(bundle)
        error, seconds = refusal(running.path, bundle)
    assert error.message == f"the serial port {running.path} is open in another program"
    assert seconds < 1


def test_closing_a_port_drops_no_control_line(board: tuple[QemuBoard, Bundle], plug: Plug) -> None:
    """A falling DTR resets many boards: HUPCL, which is on by default on a real port, must be off (termios(3))."""
    running, bundle = board
    cable = plug(running.path)
    port = os.open(cable.link, os.O_RDWR | os.O_NOCTTY)
    settings = termios.tcgetattr(port)
    settings[2] |= termios.HUPCL
    termios.tcsetattr(port, termios.TCSANOW, settings)
    with connect(cable.link) as device:
        device.install(bundle)
        assert not termios.tcgetattr(port)[2] & termios.HUPCL
    os.close(port)


def test_boot_noise_and_log_text_between_frames_do_no_harm(board: tuple[QemuBoard, Bundle], plug: Plug) -> None:
    running, bundle = board
    cable = plug(running.path)
    source = random.Random(5)
    cable.to_host = lambda data: b"I (312) main: layer done\r\n" + data if source.random() < 0.3 else data
    cable.say(b"\0\xff\xfebooting\r\n" * 20)
    with connect(cable.link) as device:
        device.install(bundle)
        assert device.run({"signal": SAMPLE}).outputs["sums"].tolist() == RIGHT


def test_a_board_that_only_prints_text_is_recognised_in_three_seconds(toy_bundle: ToyBundle, plug: Plug) -> None:
    cable = plug()
    keep_saying(cable, b"*** Booting Zephyr OS build v4.2 ***\r\n")
    error, seconds = refusal(cable.link, toy_bundle(TARGET))
    assert error.message == (
        f"mps2-an386 at {cable.link} prints text and answers nothing: '*** Booting Zephyr OS build v4.2 ***'"
    )
    assert error.hint == "another program runs there: write the firmware with `edgecompress flash`"
    assert seconds <= 3


def test_garbage_that_does_not_end_is_recognised_in_three_seconds(toy_bundle: ToyBundle, plug: Plug) -> None:
    cable = plug()
    keep_saying(cable, bytes(random.Random(1).randrange(128, 256) for _ in range(40)))
    error, seconds = refusal(cable.link, toy_bundle(TARGET))
    found = re.fullmatch(
        rf"mps2-an386 at {cable.link} sent [\d,]+ bytes in 2.\d s, but no frame, at 115,200 baud or another",
        error.message,
    )
    assert found, error.message
    assert error.hint == "another program runs there, or another rate than usual: see `baud` in the target's profile"
    assert seconds <= 3


def test_a_line_whose_ends_are_joined_is_recognised(toy_bundle: ToyBundle, plug: Plug) -> None:
    cable = plug()
    cable.to_board = lambda data: cable.say(data) or b""
    error, seconds = refusal(cable.link, toy_bundle(TARGET))
    assert error.hint == "it only repeats what it is sent: are TX and RX joined?"
    assert seconds <= 3


@pytest.mark.parametrize("baud", [9600, 921_600])
def test_a_wrong_rate_is_recognised_with_the_right_one(baud: int, board: tuple[QemuBoard, Bundle], plug: Plug) -> None:
    running, bundle = board
    cable = plug(running.path, baud=baud)
    error, seconds = refusal(cable.link, bundle)
    assert error.message == f"mps2-an386 at {cable.link} answers at {baud:,} baud, not at 115,200"
    assert error.hint == f"write `baud = {baud}` into the target's profile"
    assert seconds <= 3


def test_silence_ends_at_its_deadline_with_advice(plug: Plug) -> None:
    cable = plug()
    begin = time.monotonic()
    with pytest.raises(UnreachableError) as caught:
        serial.meet(targets.load(TARGET), str(cable.link), timeout_s=2.5)
    assert caught.value.message == f"no answer from mps2-an386 at {cable.link} within 2.5 s, at 115,200 baud or another"
    assert time.monotonic() - begin <= 2.5 * 1.1


def test_a_port_that_vanishes_and_comes_back_is_opened_again(board: tuple[QemuBoard, Bundle], plug: Plug) -> None:
    running, bundle = board
    cable = plug(running.path)
    with connect(cable.link) as device:
        device.install(bundle)
        for _ in range(3):
            cable.unplug()
            threading.Timer(0.3, cable.plug).start()
            assert device.run({"signal": SAMPLE}).outputs["sums"].tolist() == RIGHT


def test_a_port_that_vanishes_amid_frames_costs_only_time(board: tuple[QemuBoard, Bundle], plug: Plug) -> None:
    running, bundle = board
    cable = plug(running.path)
    pulled = 0
    with connect(cable.link) as device:
        device.install(bundle)
        stop = threading.Event()

        def pull() -> None:
            nonlocal pulled
            while not stop.wait(0.1 + 0.013 * (pulled % 7)):
                cable.unplug()
                cable.plug()
                pulled += 1

        hand = threading.Thread(target=pull)
        hand.start()
        try:
            while pulled < 10:
                assert device.run({"signal": SAMPLE}).outputs["sums"].tolist() == RIGHT
        finally:
            stop.set()
            hand.join()


def test_a_port_that_stays_away_ends_in_an_error_at_its_deadline(
    board: tuple[QemuBoard, Bundle], plug: Plug, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, bundle = board
    cable = plug(running.path)
    monkeypatch.setattr(_serial_line, "COME_BACK_S", 0.5)
    with connect(cable.link) as device:
        device.install(bundle)
        cable.unplug()
        begin = time.monotonic()
        with pytest.raises(PortLostError) as caught:
            device.run({"signal": SAMPLE})
    assert (
        caught.value.message == f"{cable.link} vanished and did not come back within 0.5 s: {cable.link} is not there"
    )
    assert time.monotonic() - begin <= 0.5 * 1.1 + 0.2


def keep_saying(cable: Cable, words: bytes) -> None:
    def say() -> None:
        while cable.link.is_symlink():
            cable.say(words)
            time.sleep(0.02)

    threading.Thread(target=say, daemon=True).start()


def test_check_tells_what_runs_on_a_board(board: tuple[QemuBoard, Bundle], capsys: pytest.CaptureFixture[str]) -> None:
    running, bundle = board
    with pytest.raises(SystemExit) as ended:
        cli.main(["devices", "check", f"serial://{running.path}", "--json"])
    assert ended.value.code == 0
    facts = json.loads(capsys.readouterr().out)
    wanted = {
        "target": TARGET,
        "build_id": bundle.manifest.build_id,
        "protocol": 1,
        "port": running.path,
        "baud": 115_200,
    }
    assert facts.items() >= wanted.items()
    assert (facts["inputs"], facts["outputs"], facts["layers"]) == (1, 1, 2)


def test_the_record_of_a_deployment_keeps_the_usb_serial_number(
    board: tuple[QemuBoard, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, bundle = board
    plug_in(monkeypatch, tmp_path / "usb", Plugged(usb_id="0483:374b", serial_number="066D", ports=(running.path,)))
    with serial.connect(targets.load(TARGET), "usb:066D") as device:
        device.install(bundle)
        assert device.description == f"mps2-an386 at {running.path} (usb:066D)"
