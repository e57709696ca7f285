"""Networks in slots: installed over the line of a running firmware, proved, taken back; refusals write nothing."""

from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import slot_boards
from slot_boards import SlotRuns

from edgecompress import compile as compiler
from edgecompress import models
from edgecompress.compile import fit
from edgecompress.core import files, slot_image, wire
from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import Device
from edgecompress.core.errors import ConfigError, DoesNotFitError, TransferError, UsageError, WrongDeviceError
from edgecompress.core.session import RefusedError
from edgecompress.core.slot_image import SlotImage
from edgecompress.core.target import Region
from edgecompress.core.wire import SlotState, Status
from edgecompress.deploy import _signing_key, _slot_update, qemu, serial
from edgecompress.deploy._slot_update import Installed, Signer

UNDEFINED = b"\xff\xde"
"""UDF #255, Armv7-M Architecture Reference Manual, A7.7.191."""

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def board(tmp_path: Path, runs: SlotRuns) -> Path:
    """A board that runs the first network, which its firmware was built with."""
    folder = tmp_path / "board"
    with slot_boards.board(folder) as device:
        device.install(runs.all[0].bundle())
    return folder


def memory_of(board: Path) -> str:
    return files.sha256(board / "memory.bin")


def install(board: Path, runs: SlotRuns, number: int) -> Installed:
    with slot_boards.board(board) as device:
        device.join()
        return _slot_update.install(device, runs.all[number].bundle(), runs.signer)


def signed(runs: SlotRuns, image: SlotImage, **changes: object) -> bytes:
    """The header of an image of the second network, with changes, and a good signature of it."""
    manifest = runs.all[1].bundle().manifest
    target = str(changes.pop("target", manifest.target))
    header = slot_image.unsigned_header(image.model_copy(update=changes), manifest.build_id, target)
    return header + runs.key.sign(header)


def other_version(header: bytes, runs: SlotRuns) -> bytes:
    changed = header[:4] + struct.pack("<H", slot_image.INTERFACE + 1) + header[6 : slot_image.SIGNED_BYTES]
    return changed + runs.key.sign(changed)


def flipped(header: bytes, bit: int) -> bytes:
    changed = bytearray(header)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def with_fault(bundle: Bundle, folder: Path) -> Bundle:
    """A bundle whose image for slot a begins with an undefined instruction, all hashes as they should be."""
    assert bundle.manifest.slots is not None
    image = bundle.manifest.slots.a
    payload = bytearray((bundle.folder / image.file).read_bytes())
    entry = image.entry - 1 - image.address - slot_image.HEADER_BYTES
    payload[entry : entry + 2] = UNDEFINED
    (folder / "slots").mkdir(parents=True)
    (folder / image.file).write_bytes(payload)
    changed = image.model_copy(update={"sha256": files.sha256(folder / image.file)})
    slots = bundle.manifest.slots.model_copy(update={"a": changed})
    return Bundle(folder=folder, manifest=bundle.manifest.model_copy(update={"slots": slots}))


def test_a_network_is_replaced_profiled_and_brought_back_by_commands(
    runs: SlotRuns, board: Path, edgecompress: Command
) -> None:
    address = f"qemu://{board}"
    run, key = runs.all[1].folder, runs.key_path

    edgecompress("deploy", run, "--slot", "--key", key, "--device", address)
    deployed = json.loads((run / "deployment.json").read_text())
    edgecompress("profile", run, "--device", address, "--repeat", "1")

    build_id = runs.all[1].bundle().manifest.build_id
    assert (deployed["build_id"], deployed["slot"], deployed["sequence"]) == (build_id, "a", 1)
    assert slot_boards.serve(board, runs) == (build_id, SlotState.CONFIRMED)
    install(board, runs, 0)
    done = edgecompress("devices", "rollback", address, "--target", slot_boards.TARGET, "--json")
    assert json.loads(done.stdout) == {"slot": "a", "build_id": build_id, "replaced": "b"}
    assert slot_boards.serve(board, runs) == (build_id, SlotState.CONFIRMED)


def test_what_runs_already_is_not_written_again(runs: SlotRuns, board: Path) -> None:
    assert install(board, runs, 1) == Installed(slot="a", sequence=1)
    before = memory_of(board)

    assert install(board, runs, 1) == Installed(slot="a", sequence=1)

    assert memory_of(board) == before


def test_the_network_of_the_firmware_needs_no_slot(runs: SlotRuns, board: Path) -> None:
    before = memory_of(board)
    assert install(board, runs, 0) == Installed(slot=None, sequence=0)
    assert memory_of(board) == before


def test_who_expects_the_firmware_s_network_is_told_which_slot_runs(runs: SlotRuns, board: Path) -> None:
    install(board, runs, 1)
    with slot_boards.board(board) as device, pytest.raises(WrongDeviceError) as caught:
        device.install(runs.all[0].bundle())
    assert caught.value.hint == "the network in its slot a runs: deploy this bundle with --slot (docs/slots.md)"


def test_updates_take_turns_between_the_slots(runs: SlotRuns, board: Path) -> None:
    assert [install(board, runs, number).slot for number in (1, 0, 1)] == ["a", "b", "a"]


def test_another_key_is_refused_before_anything_is_sent(runs: SlotRuns, board: Path, tmp_path: Path) -> None:
    _signing_key.create(tmp_path / "other", None, replace=False)
    other = _signing_key.load(tmp_path / "other", lambda: "")
    before = memory_of(board)
    with slot_boards.board(board) as device:
        device.join()
        with pytest.raises(WrongDeviceError) as caught:
            _slot_update.install(device, runs.all[1].bundle(), Signer(public=other.public, sign=other.sign))
    assert runs.key.public.fingerprint in caught.value.message
    assert other.public.fingerprint in caught.value.message
    assert memory_of(board) == before


def test_the_device_itself_refuses_whatever_is_not_signed_for_it(runs: SlotRuns, board: Path, tmp_path: Path) -> None:
    _signing_key.create(tmp_path / "other", None, replace=False)
    other = _signing_key.load(tmp_path / "other", lambda: "")
    images = runs.all[1].bundle().manifest.slots
    assert images is not None
    good = signed(runs, images.a)
    unsigned = good[: slot_image.SIGNED_BYTES]
    install(board, runs, 1)  # slot a runs: only an image for slot b may come
    before = memory_of(board)
    good_b = signed(runs, images.b)
    wrong = {
        "signed by another key": (good_b[: slot_image.SIGNED_BYTES], other.sign, Status.SLOT_BAD_SIGNATURE),
        "for the slot that runs": (unsigned, runs.key.sign, Status.SLOT_WRONG_ADDRESS),
    }
    cases = {name: (header + sign(header), status) for name, (header, sign, status) in wrong.items()}
    cases |= {
        f"bit {bit} flipped": (flipped(good_b, bit), status)
        for bit, status in (
            (8 * 28, Status.SLOT_BAD_SIGNATURE),  # the build id
            (8 * 44 + 3, Status.SLOT_BAD_SIGNATURE),  # the payload's hash
            (8 * slot_image.SIGNED_BYTES, Status.SLOT_BAD_SIGNATURE),
            (8 * slot_image.HEADER_BYTES - 9, Status.SLOT_BAD_SIGNATURE),
            (0, Status.SLOT_BAD_HEADER),
        )
    }
    cases |= {
        "another target": (signed(runs, images.b, target="mps2-an500"), Status.SLOT_WRONG_TARGET),
        "another version": (other_version(good_b, runs), Status.SLOT_WRONG_VERSION),
        "too large": (signed(runs, images.b, payload_bytes=1 << 22), Status.SLOT_BAD_SIZE),
        "an entry outside": (signed(runs, images.b, entry=images.a.entry), Status.SLOT_BAD_ENTRY),
        "RAM of the firmware": (signed(runs, images.b, ram_origin=0x2000_0000), Status.SLOT_WRONG_RAM),
    }
    with slot_boards.board(board) as device:
        device.join()
        for name, (header, status) in cases.items():
            with pytest.raises(RefusedError) as caught:
                device.ask(wire.Command.SLOT_BEGIN, header, timeout_s=60)
            assert caught.value.status == status, name
    assert memory_of(board) == before


def test_a_payload_that_was_not_signed_never_starts(runs: SlotRuns, board: Path) -> None:
    bundle = runs.all[1].bundle()
    assert bundle.manifest.slots is not None
    image = bundle.manifest.slots.a
    payload = bytearray((bundle.folder / image.file).read_bytes())
    payload[len(payload) // 2] ^= 1
    with slot_boards.board(board) as device:
        device.join()
        device.ask(wire.Command.SLOT_BEGIN, signed(runs, image), timeout_s=60)
        for at in range(0, len(payload), 248):
            device.ask(wire.Command.SLOT_WRITE, struct.pack("<I", at) + payload[at : at + 248])
        with pytest.raises(RefusedError, match="SLOT_BAD_HASH"):
            device.ask(wire.Command.SLOT_FINISH, timeout_s=60)
    assert slot_boards.serve(board, runs) == (runs.all[0].bundle().manifest.build_id, None)
    assert install(board, runs, 1) == Installed(slot="a", sequence=1)


def test_a_model_that_computes_other_bytes_is_taken_back(
    runs: SlotRuns, board: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = (run.bundle().manifest.build_id for run in runs.all[:2])

    def differ(*_: object) -> None:
        raise TransferError("other bytes")

    monkeypatch.setattr(Device, "_compare_output", differ)
    with slot_boards.board(board) as device:
        device.join()
        with pytest.raises(TransferError) as caught:
            _slot_update.install(device, runs.all[1].bundle(), runs.signer)
    monkeypatch.undo()
    assert caught.value.hint == f"the new model failed its test vectors; build {old} serves again"
    assert slot_boards.serve(board, runs) == (old, None)
    install(board, runs, 1)
    assert slot_boards.serve(board, runs)[0] == new


def test_a_model_that_was_left_on_trial_is_taken_back_by_the_next_one(
    runs: SlotRuns, board: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def leave(*_: object) -> None:
        raise KeyboardInterrupt

    with slot_boards.board(board) as device:
        device.join()
        monkeypatch.setattr(Device, "adopt", leave)
        with pytest.raises(KeyboardInterrupt):
            _slot_update.install(device, runs.all[1].bundle(), runs.signer)
        monkeypatch.undo()
        assert _slot_update.read_info(device).on_trial
        _slot_update.install(device, runs.all[2].bundle(), runs.signer)
    assert "another model was left on trial, and is taken back" in caplog.text
    assert slot_boards.serve(board, runs) == (runs.all[2].bundle().manifest.build_id, SlotState.CONFIRMED)


def test_a_deployment_that_was_left_on_trial_goes_on(
    runs: SlotRuns, board: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = runs.all[1].bundle()
    with slot_boards.board(board) as device:
        device.join()
        monkeypatch.setattr(_slot_update, "_prove", lambda *_: None)
        _slot_update.install(device, bundle, runs.signer)
        monkeypatch.undo()
        before = memory_of(board)
        assert _slot_update.install(device, bundle, runs.signer) == Installed(slot="a", sequence=1)
    assert memory_of(board) != before
    assert slot_boards.serve(board, runs) == (bundle.manifest.build_id, SlotState.CONFIRMED)


def test_a_model_that_faults_when_it_starts_is_left(runs: SlotRuns, board: Path, tmp_path: Path) -> None:
    old, bundle = runs.all[0].bundle().manifest.build_id, with_fault(runs.all[1].bundle(), tmp_path / "faulty")
    with slot_boards.board(board) as device:
        device.join()
        with pytest.raises(TransferError, match=rf"did not keep running build .*; build {old} serves"):
            _slot_update.install(device, bundle, runs.signer)
        fault = device.read_fault()
    assert fault is not None
    assert bundle.manifest.slots is not None
    assert bundle.manifest.slots.a.holds(fault.pc)
    assert slot_boards.serve(board, runs) == (old, None)


def test_a_changed_image_in_the_bundle_is_refused_by_the_command(
    runs: SlotRuns, board: Path, edgecompress: Command
) -> None:
    bundle = runs.all[1].bundle()
    image = bundle.folder / "slots" / "a.bin"
    whole = image.read_bytes()
    before = memory_of(board)
    image.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        words = ("deploy", runs.all[1].folder, "--slot", "--key", runs.key_path, "--device", f"qemu://{board}")
        done = edgecompress(*words, code=3)
    finally:
        image.write_bytes(whole)
    assert "a.bin changed since the bundle was compiled" in done.stderr
    assert memory_of(board) == before


def test_there_is_nothing_to_go_back_to_before_the_first_model(board: Path) -> None:
    with slot_boards.board(board) as device:
        device.join()
        with pytest.raises(UsageError, match="has no model before the one that runs"):
            _slot_update.revert(device)


def test_a_folder_that_nothing_was_flashed_to_is_no_board(tmp_path: Path) -> None:
    with slot_boards.board(tmp_path) as device, pytest.raises(ConfigError, match="is no board that anything"):
        device.join()


def test_a_board_is_switched_on_once_at_a_time(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecompress.deploy._kept_board.LOCK_TIMEOUT_S", 0.1)
    with slot_boards.board(board) as device, slot_boards.board(board) as second:
        device.join()
        with pytest.raises(Exception, match="is switched on by another process"):
            second.join()


def test_a_firmware_without_slots_says_so(tmp_path: Path, runs: SlotRuns) -> None:
    plain = slot_boards.make_run(tmp_path, 0, None)
    bundle = plain.bundle()
    assert bundle.manifest.slots is None
    assert not (bundle.folder / "slots").exists()
    assert "slots" not in json.loads((bundle.folder / "manifest.json").read_text())
    assert not any(name.startswith("runtime/src/slots/") for name in bundle.manifest.files)
    with slot_boards.board(tmp_path / "board") as device:
        device.install(bundle)
        with pytest.raises(WrongDeviceError, match="has no slots"):
            _slot_update.install(device, runs.all[1].bundle(), runs.signer)


def test_the_images_are_the_same_wherever_they_are_linked(runs: SlotRuns, tmp_path: Path) -> None:
    again = slot_boards.make_run(tmp_path, 1, runs.key.public, width=8)
    assert again.bundle().manifest == runs.all[1].bundle().manifest


def test_the_bounds_are_never_below_what_is_linked_with_slots(runs: SlotRuns) -> None:
    bundle = runs.all[0].bundle().manifest
    model = models.load(runs.all[0].folder / "model" / "model.onnx")
    bounds = compiler.check(model, targets.load(slot_boards.TARGET), slots=True)
    assert bundle.slots is not None
    assert bounds.slot is not None
    assert bundle.sizes.firmware_flash_bytes <= bounds.flash_bytes
    assert bundle.sizes.firmware_static_ram_bytes <= bounds.ram_bytes - bounds.stack_bytes
    assert bundle.slots.a.payload_bytes <= bounds.slot.flash_bytes
    assert bundle.slots.a.ram_bytes <= bounds.slot.ram_bytes


def test_the_signature_check_s_stack_is_below_what_a_firmware_keeps(runs: SlotRuns, board: Path) -> None:
    install(board, runs, 1)
    with slot_boards.board(board) as device:
        device.join()
        device.adopt(runs.all[1].bundle())
        stack_bytes = device.read_stats().stack_bytes
    assert stack_bytes is not None
    assert stack_bytes <= fit.STACK_ROOM_BYTES


def test_what_does_not_fit_a_slot_is_refused_before_a_compiler_runs(tmp_path: Path, runs: SlotRuns) -> None:
    target = targets.load(slot_boards.TARGET)
    assert target.slots is not None
    small = target.slots.model_copy(update={"a": Region(origin=0x2100_0000, length=8192)})
    profile = target.model_copy(
        update={"slots": small.model_copy(update={"b": Region(origin=0x2101_0000, length=8192)})}
    )
    model = models.load(runs.all[0].folder / "model" / "model.onnx")
    with pytest.raises(DoesNotFitError, match=r"bytes of flash; a slot of mps2-an386 has 7,712"):
        compiler.build(model, profile, tmp_path / "bundle", slot_key=runs.key.public)


def test_a_linux_system_has_versions_instead_of_slots(edgecompress: Command, tmp_path: Path) -> None:
    done = edgecompress("devices", "rollback", "ssh://pi@board", "--target", "rpi4", code=2)
    assert "rpi4 is a Linux system: it has no slots" in done.stderr


def test_the_microbit_takes_networks_into_its_own_flash(tmp_path: Path) -> None:
    runs = slot_boards.make_runs(tmp_path, 2, "microbit", width=8)
    with qemu.connect(targets.load("microbit")) as device:
        device.install(runs.all[0].bundle())
        assert _slot_update.install(device, runs.all[1].bundle(), runs.signer) == Installed(slot="a", sequence=1)
        assert device.reset(60).build_id == runs.all[1].bundle().manifest.build_id
        assert _slot_update.install(device, runs.all[0].bundle(), runs.signer) == Installed(slot="b", sequence=2)
        assert _slot_update.revert(device)[0] == "b"
        assert device.greet().build_id == runs.all[1].bundle().manifest.build_id


def test_a_network_goes_over_a_serial_port(runs: SlotRuns, board: Path) -> None:
    target = targets.load(slot_boards.TARGET)
    with slot_boards.switched_on(board) as port, serial.connect(target, port) as device:
        device.join()
        done = _slot_update.install(device, runs.all[1].bundle(), runs.signer)
        device.close()
        with serial.connect(target, port) as again:
            again.install(runs.all[1].bundle())
    assert done == Installed(slot="a", sequence=1)
    assert slot_boards.serve(board, runs)[0] == runs.all[1].bundle().manifest.build_id
