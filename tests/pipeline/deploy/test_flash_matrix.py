"""Profile x image x chip: whatever does not belong together is refused, by the check that is there for it."""

from __future__ import annotations

import dataclasses
import itertools
import struct
import subprocess
from pathlib import Path

import isa_images
import pytest

from edgecompress.core import target as targets
from edgecompress.core.bundle import Arena, Manifest, Sizes, Vectors
from edgecompress.core.errors import WrongDeviceError
from edgecompress.core.target import Target
from edgecompress.deploy import _chip_identity, _firmware_image, _instruction_set
from edgecompress.deploy._instruction_set import CORES
from edgecompress.deploy.flashers import ChipFacts

BARE = {name: targets.load(name) for name in targets.names() if targets.load(name).system == "bare"}
PAIRS = [(image, board) for image, board in itertools.product(BARE, BARE) if image != board]
LINUX = ("rpi4", "rpi-zero", "host")

SINGLE, SINGLE_AND_DOUBLE, MVE_FLOAT = 0x1011_0021, 0x1011_0221, 0x200
MVFR1 = 0x1100_0011


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("images")
    return {name: isa_images.build(target, folder / name) for name, target in BARE.items()}


def manifest_of(target: Target) -> Manifest:
    zeros = {name: 0 for name in Sizes.model_fields if name != "sections"}
    return Manifest(
        name="image",
        build_id="00" * 16,
        target=target.name,
        port=target.port,
        inputs=(),
        outputs=(),
        steps=(),
        model_sha256="",
        layers=(),
        arena=Arena(bytes=0, bound=0, peak_layer=0, placements=()),
        sizes=Sizes(sections={}, **zeros),
        vectors=Vectors(count=0, origin="seeded"),
        program="firmware.elf",
        files={},
        tools={},
    )


def flags_of(target: Target) -> tuple[str, ...]:
    """What code for the target needs, by its compiler's flags alone."""
    flags = dict(word.removeprefix("-m").split("=") for word in target.toolchain.cpu_flags if "=" in word)
    architecture = CORES[flags["cpu"]].architecture
    default = "fpv5-d16" if flags["float-abi"] == "hard" else "none"
    return architecture, flags["float-abi"], flags.get("fpu", default)


def needs_no_more(image: Target, board: Target) -> bool:
    """True when code for the one runs on the other: the same flags, or doubles as the only difference.

    Whether the board's unit has doubles only the chip tells: MVFR0.
    """
    architecture, abi, unit = flags_of(image)
    return (architecture, abi, unit.replace("-sp", "")) == (*flags_of(board)[:2], flags_of(board)[2].replace("-sp", ""))


def lies_within(image: Path, board: Target) -> bool:
    """True when image, stack and start lie in the board's memory, by what objcopy makes of the file."""
    assert board.memory is not None
    binary, origin = image.with_suffix(".bin"), int(image.with_suffix(".origin").read_text())
    data = binary.read_bytes()
    stack, start = struct.unpack_from("<II", data, board.boot_bytes) if len(data) >= board.boot_bytes + 8 else (0, 0)
    flash, ram = board.memory.flash, board.memory.ram
    whole = flash.origin <= origin and origin + len(data) <= flash.end
    return whole and ram.origin < stack <= ram.end and start % 2 == 1 and flash.origin <= start < flash.end


def facts_of(target: Target, asked: Target) -> ChipFacts:
    """What a chip of `target` says when the tool asks by the profile `asked`."""
    mvfr0 = mvfr1 = 0
    if "fpu" in target.features:
        doubles = any(flag == "-mfpu=fpv5-d16" for flag in target.toolchain.cpu_flags) or "mve" in target.features
        mvfr0, mvfr1 = (SINGLE_AND_DOUBLE if doubles else SINGLE), MVFR1
    word = None
    if asked.chip is not None and asked.chip.id_address is not None:
        same_place = target.chip is not None and target.chip.id_address == asked.chip.id_address
        word = target.chip.id_values[0] if same_place and target.chip is not None and target.chip.id_values else 0
    return ChipFacts(
        cpuid=0x410F_0001 | CORES[target.cpu].part << 4,
        mvfr0=mvfr0,
        mvfr1=mvfr1 | (MVE_FLOAT if "mve" in target.features else 0),
        id_word=word,
        machine=target.emulator.machine if target.emulator is not None else None,
    )


def look_alike(real: Target, meant: Target) -> bool:
    """True for chips that nothing tells apart: one core, and no id of the vendor's, or the same one."""
    if real.cpu != meant.cpu or (meant.emulator is not None and (real.emulator is not None or meant.chip is None)):
        return False
    facts = facts_of(real, meant)
    return (
        meant.chip is None
        or not meant.chip.id_values
        or (facts.id_word or 0) & meant.chip.id_mask in meant.chip.id_values
    )


def test_the_documentation_says_how_many_pairs_there_are() -> None:
    said = (Path(__file__).parents[3] / "docs" / "flashing.md").read_text()
    assert f"With {len(BARE)} profiles these are {len(PAIRS)} pairs, three times over." in said


def test_every_image_belongs_to_its_own_profile_and_chip(images: dict[str, Path]) -> None:
    for name, target in BARE.items():
        _chip_identity.check_bundle(manifest_of(target), target)
        _firmware_image.read(images[name], target)
        needs = _instruction_set.read(images[name])
        _chip_identity.check_code(needs, target)
        _chip_identity.check_chip(facts_of(target, target), needs, target)


def test_every_bundle_for_another_profile_is_refused_by_its_manifest() -> None:
    for image, board in PAIRS:
        with pytest.raises(WrongDeviceError) as caught:
            _chip_identity.check_bundle(manifest_of(BARE[image]), BARE[board])
        assert caught.value.message == f"the bundle was compiled for {image}, not for {board}"


def test_nothing_is_flashed_onto_linux_systems() -> None:
    for image, board in itertools.product(BARE, LINUX):
        with pytest.raises(WrongDeviceError) as caught:
            _chip_identity.check_bundle(manifest_of(BARE[image]), targets.load(board))
        assert caught.value.message == f"{board} is a Linux system: nothing is flashed there"


def test_every_image_under_a_wrong_label_is_refused_by_its_code_or_its_addresses(images: dict[str, Path]) -> None:
    passed = set()
    for image, board in PAIRS:
        try:
            _firmware_image.read(images[image], BARE[board])
            _chip_identity.check_code(_instruction_set.read(images[image]), BARE[board])
        except WrongDeviceError:
            continue
        passed.add((image, board))
    fit = {
        (image, board)
        for image, board in PAIRS
        if needs_no_more(BARE[image], BARE[board]) and lies_within(images[image], BARE[board])
    }
    assert passed == fit


def test_every_chip_of_another_kind_is_refused(images: dict[str, Path]) -> None:
    passed = set()
    for real, meant in PAIRS:
        needs = _instruction_set.read(images[meant])
        try:
            _chip_identity.check_chip(facts_of(BARE[real], BARE[meant]), needs, BARE[meant])
        except WrongDeviceError:
            continue
        passed.add((real, meant))
    assert passed == {(real, meant) for real, meant in PAIRS if look_alike(BARE[real], BARE[meant])}
    assert all(BARE[real].chip == BARE[meant].chip is not None for real, meant in passed), "one chip on two boards"


def test_a_chip_that_has_nothing_where_the_id_is_expected_is_refused(images: dict[str, Path]) -> None:
    for real, meant in PAIRS:
        chip = BARE[meant].chip
        if chip is None or BARE[real].cpu != BARE[meant].cpu:
            continue
        facts = dataclasses.replace(facts_of(BARE[real], BARE[meant]), mvfr0=None, mvfr1=None, id_word=None)
        with pytest.raises(WrongDeviceError) as caught:
            _chip_identity.check_chip(facts, _instruction_set.read(images[meant]), BARE[meant])
        assert caught.value.message == (
            f"the chip's id cannot be read: a {chip.family} has it at {chip.id_address:#010x}"
        )


def test_a_chip_without_the_code_s_floating_point_or_vectors_is_refused(images: dict[str, Path]) -> None:
    for name, target in BARE.items():
        needs = _instruction_set.read(images[name])
        facts = facts_of(target, target)
        bare_core = ChipFacts(cpuid=facts.cpuid, mvfr0=0, mvfr1=0, id_word=facts.id_word, machine=facts.machine)
        if needs.floats is None:
            _chip_identity.check_chip(bare_core, needs, target)
            continue
        with pytest.raises(WrongDeviceError) as caught:
            _chip_identity.check_chip(bare_core, needs, target)
        assert caught.value.message == (
            f"the firmware for {name} uses floating point ({needs.floats}), which the chip lacks (MVFR0 0x00000000)"
        )
        if needs.mve is not None:
            scalar = ChipFacts(cpuid=facts.cpuid, mvfr0=facts.mvfr0, mvfr1=MVFR1, machine=facts.machine)
            with pytest.raises(WrongDeviceError) as caught:
                _chip_identity.check_chip(scalar, needs, target)
            assert "uses vectors (MVE, float), which the chip lacks (MVFR1 0x11000011)" in caught.value.message


def test_programs_for_other_machines_are_refused(tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text("int main(void) { return 0; }")
    for compiler, message in (
        ("gcc", "is a program for x86_64"),
        ("aarch64-linux-gnu-gcc", "is a program for aarch64"),
    ):
        output = tmp_path / compiler
        subprocess.run([compiler, "-c", tmp_path / "main.c", "-o", output], check=True)
        with pytest.raises(WrongDeviceError) as caught:
            _instruction_set.read(output)
        assert message in caught.value.message
    output = tmp_path / "armv7.o"
    subprocess.run(["arm-linux-gnueabihf-gcc", "-c", tmp_path / "main.c", "-o", output], check=True)
    for target in BARE.values():
        with pytest.raises(WrongDeviceError) as caught:
            _chip_identity.check_code(_instruction_set.read(output), target)
        assert "the firmware's code is for armv7, vfpv3" in caught.value.message
