"""What is listed as attached, how it is named, and that equal boards are never guessed between."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from usb_bench import Plugged, plug_in

from edgecompress import cli
from edgecompress.core.errors import UnreachableError, UsageError
from edgecompress.core.target import Target, Toolchain, Usb
from edgecompress.deploy import _attached, _uf2_drives, _usb_ports

NUCLEO = "0483:374b"


def board(name: str, *ids: str, baud: int = 115_200, family: str | None = None) -> Target:
    return Target(
        name=name,
        description="a board",
        system="bare",
        cpu="cortex-m4",
        port="none",
        link="serial",
        baud=baud,
        usb=Usb(ids=ids),
        probe={"uf2": {"family": family}} if family else {},
        toolchain=Toolchain(),
    )


L4, U5, PICO = board("l4", NUCLEO), board("u5", NUCLEO), board("pico", "2e8a:0009", family="rp2040")


def test_ports_probes_bootloaders_and_drives_are_listed_by_serial_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug_in(
        monkeypatch,
        tmp_path / "usb",
        Plugged(usb_id=NUCLEO, serial_number="066D", product="STM32 STLink", ports=("/dev/ttyACM0",)),
        Plugged(usb_id="2e8a:0003", serial_number="E0C9", product="RP2 Boot"),
        Plugged(usb_id="046d:c31c", serial_number=None, product="Keyboard"),
    )
    drive = tmp_path / "RPI-RP2"
    drive.mkdir()
    (drive / "INFO_UF2.TXT").write_text("UF2 Bootloader v3.0\nModel: Raspberry Pi RP2\nBoard-ID: RPI-RP2\n")
    (tmp_path / "mounts").write_text(f"/dev/sdb1 {drive} vfat rw 0 0\n/dev/sda1 / ext4 rw 0 0\n")
    monkeypatch.setattr(_uf2_drives, "MOUNTS", tmp_path / "mounts")
    found = _attached.look([L4, U5, PICO])
    assert [(each.kind, each.address, each.targets) for each in found] == [
        ("serial port", "serial://usb:066D", ("l4", "u5")),
        ("debug probe", "usb://066D", ("l4", "u5")),
        ("bootloader", "picotool://E0C9", ()),
        ("UF2 drive", f"uf2://{drive}", ("pico",)),
    ]
    assert found[0].path == "/dev/ttyACM0"


def test_the_command_lists_what_shipped_targets_it_could_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plug_in(
        monkeypatch, tmp_path, Plugged(usb_id=NUCLEO, serial_number="066D", product="STLink", ports=("/dev/ttyACM0",))
    )
    monkeypatch.setattr(_uf2_drives, "MOUNTS", tmp_path / "mounts")
    monkeypatch.setattr(_uf2_drives, "MAC_VOLUMES", tmp_path / "none")
    with pytest.raises(SystemExit) as ended:
        cli.main(["devices", "list", "--json"])
    assert ended.value.code == 0
    port, probe = json.loads(capsys.readouterr().out)["devices"]
    assert (port["address"], probe["address"]) == ("serial://usb:066D", "usb://066D")
    assert "nucleo-l4r5zi" in port["targets"]
    assert port["targets"] == probe["targets"]


def test_two_ports_of_one_device_are_told_apart_by_their_interface(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = ("/dev/ttyACM0", "/dev/ttyACM1")
    plug_in(monkeypatch, tmp_path, Plugged(usb_id="1366:1051", serial_number="0683", ports=ports))
    addresses = [each.address for each in _attached.look([]) if each.kind == "serial port"]
    assert addresses == ["serial://usb:0683/0", "serial://usb:0683/2"]
    assert _usb_ports.at("usb:0683/2").path == "/dev/ttyACM1"
    with pytest.raises(UsageError) as caught:
        _usb_ports.at("usb:0683")
    assert caught.value.message == "the USB device 0683 has 2 serial ports: which one?"
    assert caught.value.hint == (
        "--device; there are: serial://usb:0683/0 (/dev/ttyACM0), serial://usb:0683/2 (/dev/ttyACM1)"
    )


def test_two_equal_boards_are_not_guessed_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Plugged(usb_id=NUCLEO, serial_number="A1", ports=("/dev/ttyACM0",))
    second = Plugged(usb_id=NUCLEO, serial_number="B2", ports=("/dev/ttyACM1",))
    plug_in(monkeypatch, tmp_path / "both", first, second)
    with pytest.raises(UsageError) as caught:
        _usb_ports.choose(L4, None)
    assert caught.value.exit_code == 2
    assert caught.value.message == "2 serial ports could be a l4: which one?"
    assert caught.value.hint == "--device; there are: serial://usb:A1 (/dev/ttyACM0), serial://usb:B2 (/dev/ttyACM1)"
    plug_in(monkeypatch, tmp_path / "one", second)
    assert _usb_ports.choose(L4, None).serial_number == "B2"


def test_a_board_is_found_by_its_serial_number_wherever_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, tmp_path / "a", Plugged(usb_id=NUCLEO, serial_number="A1", ports=("/dev/ttyACM0",)))
    port = _usb_ports.at("usb:A1")
    assert _usb_ports.at("A1") == port
    plug_in(monkeypatch, tmp_path / "b", Plugged(usb_id=NUCLEO, serial_number="A1", ports=("/dev/ttyACM7",)))
    moved = _usb_ports.again(port)
    assert moved is not None
    assert moved.path == "/dev/ttyACM7"
    plug_in(monkeypatch, tmp_path / "c", Plugged(usb_id=NUCLEO, serial_number="B2", ports=("/dev/ttyACM0",)))
    assert _usb_ports.again(port) is None, "another board at the old path is not it"
    with pytest.raises(UnreachableError) as caught:
        _usb_ports.at("usb:A1")
    assert caught.value.message == "no serial port has the USB serial number A1"
    assert caught.value.hint == "there are: serial://usb:B2; is the board plugged in?"


def test_a_path_brings_its_serial_number_into_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, tmp_path, Plugged(usb_id=NUCLEO, serial_number="A1", ports=("/dev/ttyACM0",)))
    assert _usb_ports.at("/dev/ttyACM0").name == "/dev/ttyACM0 (usb:A1)"
    assert _usb_ports.at("/dev/ttyS9").name == "/dev/ttyS9"


def test_a_board_alone_needs_a_target_that_knows_its_usb_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, tmp_path)
    with pytest.raises(UsageError) as caught:
        _usb_ports.choose(board("bare"), None)
    assert caught.value.message == "bare is reached over a serial line, at an address"
    with pytest.raises(UnreachableError) as caught_too:
        _usb_ports.choose(L4, None)
    assert caught_too.value.message == "no serial port of a l4 (0483:374b) is on this machine's USB"


def test_hello_is_not_asked_at_a_guessed_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, tmp_path, Plugged(usb_id=NUCLEO, serial_number="A1", ports=("/dev/ttyACM0",)))
    slow = board("slow", NUCLEO, baud=9600)
    with pytest.raises(UsageError) as caught:
        _attached.say_hello("serial://usb:A1", None, [L4, slow])
    assert caught.value.message == (
        "/dev/ttyACM0 (usb:A1) could be one of l4 (115200), slow (9600), at different rates"
    )
    with pytest.raises(UsageError) as caught_too:
        _attached.say_hello("ssh://pi", None, [])
    assert caught_too.value.message == "'ssh://pi' is no serial port"
