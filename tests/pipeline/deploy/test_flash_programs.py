"""Every flasher that calls an outside program: its command lines, and that no program is believed.

The programs are tests/support/fake_flash_tool.py under the tools' names. What the real ones do with these command
lines was tried as far as docs/flashers.md says.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import usb_bench
from flash_tool_cases import CASES, PORT, expected, in_words
from serial_ports import QemuBoard
from usb_bench import Plugged

from edgecompress.core import flash_tools, plugins
from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import Device
from edgecompress.core.errors import MissingToolError, TransferError, UnreachableError, UsageError, WrongDeviceError
from edgecompress.core.target import Chip, Target, Usb
from edgecompress.core.values import no_progress
from edgecompress.deploy import _firmware_image, _flash_program, _flashing
from edgecompress.deploy._flash_link import FlashLink, Tool
from edgecompress.deploy.flashers import Flasher, FlashOptions

FAKE = Path(__file__).parents[2] / "support" / "fake_flash_tool.py"
ToyBundle = Callable[..., Bundle]
FLASH_BYTES = 65_536
CPUID_M4, MVFR0_M4, IDCODE = 0x410F_C241, 0x1011_0021, 0x1000_6470
WORDS = {0xE000_ED00: CPUID_M4, 0xE000_EF40: MVFR0_M4, 0xE000_EF44: 0x1100_0011, 0xE004_2000: IDCODE}
FAMILIES = {"esptool": "esp32s3", "picotool": "rp2040"}


class Bench:
    """A board behind a tool that behaves as it is told."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.case = CASES[name]
        self._folder = folder
        program = folder / "bin" / self.case.program
        program.parent.mkdir()
        program.write_text(f"#!{sys.executable} -S\n{FAKE.read_text()}")
        program.chmod(0o755)
        (folder / "flash.bin").write_bytes(b"\xff" * FLASH_BYTES)
        self.behave("honest")

    def behave(self, mode: str, *, chip: str | None = None, words: dict[int, int] | None = None) -> None:
        state = {"mode": mode, "origin": 0, "chip": chip or self.case.chip, "words": words or WORDS}
        (self._folder / "state.json").write_text(json.dumps(state))

    @property
    def target(self) -> Target:
        chip = Chip(
            family=FAMILIES.get(self.name, "stm32l4"), id_address=0xE004_2000, id_mask=0xFFF, id_values=(0x470,)
        )
        update: dict[str, Any] = {"probe": {self.name: self.case.probe}, "usb": Usb(ids=("2fe3:0100",)), "chip": chip}
        return targets.load("mps2-an386").model_copy(update=update)

    @property
    def flash(self) -> bytes:
        return (self._folder / "flash.bin").read_bytes()

    @property
    def calls(self) -> list[list[str]]:
        path = self._folder / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def connect(self, *, mass_erase: bool = False) -> Flasher:
        module = plugins.find("deploy.flashers", self.name, where="test")
        flasher: Flasher = module.connect(self.target, self.case.address, options=FlashOptions(mass_erase=mass_erase))
        return flasher

    def device(self, console: QemuBoard) -> Device:
        tool = Tool(flasher=self.name, address=self.case.address, options=FlashOptions())
        return Device(FlashLink(self.target, tool, f"serial://{console.path}"), self.target)

    def write(self, bundle: Bundle) -> _flashing.Flashed:
        return _flashing.flash(bundle, self.target, self.connect, "serial:///dev/nowhere", no_progress)


@pytest.fixture(scope="module")
def built() -> dict[str, Bundle]:
    return {}


@pytest.fixture
def bundle(built: dict[str, Bundle], toy_bundle: ToyBundle) -> Bundle:
    """One firmware for all tests of this file."""
    if not built:
        built["toy"] = toy_bundle("mps2-an386")
    return built["toy"]


@pytest.fixture
def bench(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    folder = tmp_path / "bench"
    folder.mkdir()
    bench = Bench(request.param, folder)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_FLASH_TOOL", str(folder))
    plug_in(monkeypatch, folder / "usb", [bench.case.usb])
    monkeypatch.setattr(_flash_program, "PAUSE_S", 0.0)
    return bench


every_tool = pytest.mark.parametrize("bench", CASES, indirect=True)


def plug_in(monkeypatch: pytest.MonkeyPatch, folder: Path, devices: list[tuple[str, str, str]]) -> None:
    """Make these the only USB devices, each with a serial port."""
    plugged = [
        Plugged(usb_id=usb_id, serial_number=number, product=product, ports=(PORT if count == 0 else f"/dev/{number}",))
        for count, (usb_id, number, product) in enumerate(devices)
    ]
    usb_bench.plug_in(monkeypatch, folder, *plugged)


@every_tool
def test_a_flash_takes_exactly_these_calls(bench: Bench, bundle: Bundle) -> None:
    done = bench.write(bundle)
    done.stream.close()
    image = _firmware_image.read(bundle.program, bench.target).flat()
    assert bench.flash[: len(image.data)] == image.data
    assert done.proof == "read back"
    assert in_words(bench.calls) == expected(bench.case.calls, len(image.data))


@every_tool
@pytest.mark.parametrize("mode", ["silent", "half", "flipped", "short", "no file"])
def test_a_lying_tool_is_found_out(bench: Bench, mode: str, bundle: Bundle) -> None:
    bench.behave(mode)
    with pytest.raises(TransferError) as caught:
        bench.write(bundle)
    assert caught.value.exit_code == 9
    assert ("holds something else than was written" in caught.value.message) == (mode in ("silent", "half", "flipped"))
    assert in_words(bench.calls)[-1] != expected(bench.case.calls, 0)[-1], "it was started all the same"


@pytest.fixture(scope="module")
def boards() -> Iterator[dict[str, QemuBoard]]:
    """Boards that run a firmware, by the firmware's name."""
    running: dict[str, QemuBoard] = {}
    yield running
    for board in running.values():
        board.close()


@every_tool
def test_a_tool_that_lies_in_its_read_back_too_is_found_out_by_hello(
    bench: Bench, bundle: Bundle, boards: dict[str, QemuBoard], toy_bundle: ToyBundle
) -> None:
    if "old" not in boards:
        boards["old"] = QemuBoard("mps2-an386", toy_bundle("mps2-an386", TOY_BUILD_BYTE=0x11).program)
    bench.behave("remembering")
    with bench.device(boards["old"]) as device, pytest.raises(WrongDeviceError) as caught:
        device.install(bundle)
    assert caught.value.exit_code == 8
    assert "runs build 11" in caught.value.message
    assert bench.flash == b"\xff" * FLASH_BYTES


@every_tool
def test_a_flash_ends_when_the_firmware_reproduces_its_vectors(
    bench: Bench, bundle: Bundle, boards: dict[str, QemuBoard]
) -> None:
    if "new" not in boards:
        boards["new"] = QemuBoard("mps2-an386", bundle.program)
    with bench.device(boards["new"]) as device:
        device.install(bundle)
        assert bench.case.program in device.description
        assert device.describe().build_id == bundle.manifest.build_id


@every_tool
def test_what_the_flash_holds_already_is_not_written_again(bench: Bench, bundle: Bundle) -> None:
    bench.write(bundle).stream.close()
    first = len(bench.calls)
    bench.write(bundle).stream.close()
    assert len(bench.calls) == 2 * first - 1


@every_tool
def test_the_whole_chip_is_erased_only_when_that_was_asked_for(bench: Bench, bundle: Bundle) -> None:
    flasher = bench.connect(mass_erase=True)
    flasher.write(_firmware_image.read(bundle.program, bench.target), no_progress)
    flasher.close()
    assert in_words(bench.calls)[0] == bench.case.erase


@every_tool
def test_a_tool_that_fails_is_tried_twice_and_quoted(bench: Bench, bundle: Bundle) -> None:
    flasher = bench.connect()
    bench.behave("failing")
    with pytest.raises(UnreachableError) as caught:
        flasher.identify()
    flasher.close()
    assert caught.value.message.splitlines()[-2:] == ["probing", "error: no board answers"]
    assert len(bench.calls) == 2


@every_tool
def test_a_tool_that_fails_to_write_says_why(bench: Bench, bundle: Bundle) -> None:
    flasher = bench.connect()
    bench.behave("failing")
    with pytest.raises(TransferError) as caught:
        flasher.write(_firmware_image.read(bundle.program, bench.target), no_progress)
    flasher.close()
    assert caught.value.message.splitlines()[-2:] == ["probing", "error: no board answers"]


@every_tool
def test_a_tool_that_hangs_is_ended_at_its_deadline(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    flasher = bench.connect()
    bench.behave("hanging")
    for module in (_flash_program, plugins.find("deploy.flashers", bench.name, where="test")):
        monkeypatch.setattr(module, "CONNECT_S", 0.3, raising=False)
    begin = time.monotonic()
    with pytest.raises(UnreachableError) as caught:
        flasher.reset()
    assert caught.value.message.endswith("did not end within 0.3 s")
    assert time.monotonic() - begin < 1.0
    flasher.close()


@every_tool
def test_a_missing_tool_is_named_with_what_brings_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(MissingToolError) as caught:
        bench.connect()
    assert caught.value.message == f"{bench.case.program} is not installed or not on PATH"
    assert caught.value.hint == flash_tools.tool_of(bench.name).install
    assert caught.value.exit_code == 13


WRONG_CHIPS = {
    "dfu_util": (
        "@Internal Flash  /0x08000000/04*016Kg,01*064Kg,07*128Kg",
        "the board has 1,048,576 bytes of flash at 0x08000000; mps2-an386 has 4,194,304 at 0x00000000",
    ),
    "esptool": ("ESP32-C3 (revision v0.4)", "the chip is a ESP32-C3 (revision v0.4), not a esp32s3"),
    "picotool": ("RP2350", "the chip is a RP2350, not a rp2040"),
    "stm32flash": ("0x0413 (STM32F40xxx/41xxx)", "the chip's id at 0xe0042000 is 0x413; a stm32l4 has 0x470"),
}


@every_tool
def test_another_chip_is_refused_before_anything_is_written(bench: Bench, bundle: Bundle) -> None:
    chip, message = WRONG_CHIPS.get(bench.name, ("", "the chip's id at 0xe0042000 is 0x413; a stm32l4 has 0x470"))
    bench.behave("honest", chip=chip, words=WORDS | {0xE004_2000: 0x2006_F413})
    with pytest.raises(WrongDeviceError) as caught:
        bench.write(bundle)
    assert caught.value.message == message
    assert bench.flash == b"\xff" * FLASH_BYTES


@pytest.mark.parametrize("bench", ["dfu_util"], indirect=True)
def test_a_bootloader_that_tells_no_layout_is_not_flashed(bench: Bench, bundle: Bundle) -> None:
    bench.behave("honest", chip="@a layout of another kind", words=WORDS)
    with pytest.raises(WrongDeviceError) as caught:
        bench.write(bundle)
    assert caught.value.message.endswith("does not tell how its flash is laid out: it may be another chip's")
    assert bench.flash == b"\xff" * FLASH_BYTES


BY_PORT = ("esptool", "stm32flash")


@pytest.mark.parametrize("bench", [name for name in CASES if name not in BY_PORT], indirect=True)
def test_two_equal_probes_are_not_guessed_between(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usb_id, _, product = bench.case.usb
    plug_in(monkeypatch, tmp_path / "two", [(usb_id, "A1", product), (usb_id, "B2", product)])
    module = plugins.find("deploy.flashers", bench.name, where="test")
    with pytest.raises(UsageError) as caught:
        module.connect(bench.target, None, options=FlashOptions())
    assert "which one?" in caught.value.message
    assert caught.value.hint == f"there are: {product} A1; {product} B2"
    with pytest.raises(UnreachableError) as caught_too:
        module.connect(bench.target, "C3", options=FlashOptions())
    assert "has the USB serial number C3" in caught_too.value.message
    assert bench.calls == []


@pytest.mark.parametrize("bench", ["openocd", "probe_rs", "jlink", "st_flash"], indirect=True)
def test_the_probes_own_serial_port_is_the_console(bench: Bench) -> None:
    flasher = bench.connect()
    assert flasher.console() == f"serial://usb:{bench.case.usb[1]}"
    flasher.close()


@pytest.mark.parametrize("bench", ["openocd"], indirect=True)
def test_a_serial_number_that_openocd_would_execute_is_refused(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usb_id, _, product = bench.case.usb
    plug_in(monkeypatch, tmp_path / "named", [(usb_id, "[exec id]", product)])
    with pytest.raises(UsageError) as caught:
        plugins.find("deploy.flashers", "openocd", where="test").connect(bench.target, None, options=FlashOptions())
    assert caught.value.message == (
        "the probe's USB serial number '[exec id]' has characters that OpenOCD would execute"
    )
    assert bench.calls == []


@pytest.mark.parametrize("bench", ["openocd"], indirect=True)
def test_a_console_that_is_none_is_refused_before_the_tool_is_called(bench: Bench, bundle: Bundle) -> None:
    with pytest.raises(UsageError) as caught:
        _flashing.flash(bundle, bench.target, bench.connect, "/dev/ttyACM0", no_progress)
    assert caught.value.message == "'/dev/ttyACM0' is no console"
    assert bench.calls == []


@pytest.mark.parametrize("bench", ["picotool", "stm32flash"], indirect=True)
def test_a_chip_that_is_not_told_is_not_flashed(bench: Bench, bundle: Bundle) -> None:
    bench.behave("honest", chip=" ")
    with pytest.raises(UnreachableError) as caught:
        bench.write(bundle)
    assert "did not tell its" in caught.value.message
    assert bench.flash == b"\xff" * FLASH_BYTES
