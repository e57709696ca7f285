"""A board is looked at before the upload; one that cannot run the program is refused, with what it is and lacks."""

from __future__ import annotations

import fake_boards
import pytest
from fake_boards import FakeBoard

from edgecompress.core.errors import DoesNotFitError, StorageError, UnreachableError, WrongDeviceError
from edgecompress.core.target import Target, Toolchain
from edgecompress.deploy._probe import Facts, probe, refuse_wrong_board

HOME = "/home/pi"


def target(machine: str | None, *features: str) -> Target:
    return Target(
        name="wanted", description="wanted", system="linux", cpu="generic", features=features, port="posix", link="ssh",
        machine=machine, toolchain=Toolchain(),
    )  # fmt: skip


def facts(board: FakeBoard) -> Facts:
    return probe(board, HOME)


def test_a_raspberry_pi_4_tells_all_that_it_is() -> None:
    found = facts(fake_boards.pi4())

    assert found == Facts(
        machine="aarch64",
        user_bits=64,
        kernel="6.6.31+rpt-rpi-v8",
        model="Raspberry Pi 4 Model B Rev 1.4",
        cpu="cortex-a72",
        features=frozenset({"fp", "asimd", "evtstrm", "crc32", "cpuid"}),
        cores=4,
        libc="glibc 2.36",
        governors=("performance",),
        lowest_khz=600_000,
        highest_khz=1_800_000,
        ram_bytes=3_884_000 * 1024,
        available_ram_bytes=2_913_000 * 1024,
        folder="/home/pi",
        free_disk_bytes=23_779_676 * 1024,
    )
    assert found.name == "Raspberry Pi 4 Model B Rev 1.4 (aarch64, 64-bit programs)"


@pytest.mark.parametrize(
    ("board", "machine", "cpu"),
    [
        (fake_boards.pi5(), "aarch64", "cortex-a76"),
        (fake_boards.pi3(), "aarch64", "cortex-a53"),
        (fake_boards.pi2(), "armv7l", "cortex-a7"),
        (fake_boards.pi_zero(), "armv6l", "arm1176jzf-s"),
        (fake_boards.pc(), "x86_64", "13th Gen Intel(R) Core(TM) i5-1345U"),
    ],
)
def test_every_board_tells_its_machine_and_core(board: FakeBoard, machine: str, cpu: str) -> None:
    assert (facts(board).machine, facts(board).cpu) == (machine, cpu)


def test_a_silent_board_leaves_everything_open_and_is_not_refused() -> None:
    silent = facts(FakeBoard())

    known = {name for name, value in vars(silent).items() if value not in (None, ())}
    assert known == {"folder"}
    refuse_wrong_board(silent, target("aarch64", "neon", "fma"), 10**12)


def test_features_are_those_that_every_core_has() -> None:
    cores = "processor : 0\nFeatures : fp asimd asimddp\n\nprocessor : 1\nFeatures : fp asimd\n"
    found = facts(FakeBoard(files={"/proc/cpuinfo": cores}))

    assert (found.cores, found.features) == (2, {"fp", "asimd"})


def test_busybox_and_musl_tell_their_word_size_by_the_shell() -> None:
    found = facts(FakeBoard(files={"/bin/sh": "\x7fELF\x01\x01", "/lib/ld-musl-armhf.so.1": ""}))

    assert (found.user_bits, found.libc) == (32, "musl")


def test_a_system_without_getconf_tells_its_c_library_by_its_loader() -> None:
    assert facts(FakeBoard(files={"/lib64/ld-linux-x86-64.so.2": ""})).libc == "glibc"
    assert facts(FakeBoard(files={"/lib/libc.so": ""})).libc is None


def test_the_disk_is_that_of_the_nearest_folder_that_is_there() -> None:
    assert probe(fake_boards.pi4(), f"{HOME}/new/inner").free_disk_bytes == 23_779_676 * 1024


def test_a_folder_is_never_read_as_an_option() -> None:
    board = fake_boards.pi4()
    probe(board, "--total")

    assert ("df", "-P", "-k", "./--total") in board.asked


def test_a_lost_connection_is_no_missing_file() -> None:
    with pytest.raises(UnreachableError):
        probe(FakeBoard(lost=True), HOME)


@pytest.mark.parametrize(
    ("board", "machine", "features"),
    [
        (fake_boards.pi5(), "aarch64", ("neon", "fma", "dotprod", "fp16")),
        (fake_boards.pi4(), "aarch64", ("neon", "fma")),
        (fake_boards.pi4_with_32_bit_programs(), "aarch64", ("neon", "fma")),
        (fake_boards.pi4_with_32_bit_programs(), "armv7l", ("neon", "fma")),
        (fake_boards.pi2(), "armv7l", ("neon", "fma")),
        (fake_boards.pi2(), "armv6l", ()),
        (fake_boards.pi_zero(), "armv6l", ()),
        (fake_boards.pc(), "x86_64", ("avx2", "fma", "vnni")),
        (fake_boards.pc(), None, ("dsp",)),
    ],
)
def test_a_board_that_has_all_is_accepted(board: FakeBoard, machine: str | None, features: tuple[str, ...]) -> None:
    refuse_wrong_board(facts(board), target(machine, *features), 1_000_000)


@pytest.mark.parametrize(
    ("board", "machine", "words"),
    [
        (fake_boards.pi2(), "aarch64", "Raspberry Pi 2 Model B Rev 1.1 (armv7l, 32-bit programs)"),
        (fake_boards.pi4(), "armv7l", "Raspberry Pi 4 Model B Rev 1.4 (aarch64, 64-bit programs)"),
        (fake_boards.pi_zero(), "armv7l", "Raspberry Pi Zero W Rev 1.1 (armv6l, 32-bit programs)"),
        (fake_boards.pc(), "aarch64", "13th Gen Intel(R) Core(TM) i5-1345U (x86_64, 64-bit programs)"),
        (fake_boards.pi5(), "x86_64", "Raspberry Pi 5 Model B Rev 1.0 (aarch64, 64-bit programs)"),
    ],
)
def test_another_machine_is_refused(board: FakeBoard, machine: str, words: str) -> None:
    with pytest.raises(WrongDeviceError) as refused:
        refuse_wrong_board(facts(board), target(machine), 1)

    assert refused.value.message == f"{words} does not run programs for {machine}, which wanted is compiled for"
    assert refused.value.exit_code == 8


@pytest.mark.parametrize(
    ("board", "machine", "features", "words"),
    [
        (fake_boards.pi4(), "aarch64", ("neon", "dotprod"), "lacks dotprod"),
        (fake_boards.pi5(), "aarch64", ("i8mm",), "lacks i8mm"),
        (fake_boards.pi2(), "armv7l", ("dotprod",), "lacks dotprod"),
        (fake_boards.pc(), "x86_64", ("avx2", "avx512"), "lacks avx512"),
        (fake_boards.pi_zero(), "armv6l", ("neon", "fma"), "lacks neon, fma"),
    ],
)
def test_a_missing_vector_feature_is_refused_before_it_traps(
    board: FakeBoard, machine: str, features: tuple[str, ...], words: str
) -> None:
    with pytest.raises(WrongDeviceError) as refused:
        refuse_wrong_board(facts(board), target(machine, *features), 1)

    assert f" {words}, which wanted is compiled for: its program would stop there" in refused.value.message


def test_a_refused_feature_names_what_the_kernel_would_list() -> None:
    with pytest.raises(WrongDeviceError) as refused:
        refuse_wrong_board(facts(fake_boards.pi4()), target("aarch64", "dotprod"), 1)

    assert refused.value.message.endswith("illegal instruction (/proc/cpuinfo does not list asimddp)")


def test_too_small_a_disk_is_refused_with_both_sizes() -> None:
    board = fake_boards.pi4()
    board.programs["df", "-P", "-k", HOME] = (
        "Filesystem 1024-blocks Used Available Capacity Mounted on\nx 9 9 2 99% /\n"
    )

    refuse_wrong_board(facts(board), target("aarch64"), 2_048)
    with pytest.raises(StorageError) as refused:
        refuse_wrong_board(facts(board), target("aarch64"), 2_049)

    assert refused.value.message == (
        "the program takes 2,049 bytes; /home/pi on Raspberry Pi 4 Model B Rev 1.4 (aarch64, 64-bit programs) "
        "has 2,048 free"
    )


def test_too_little_memory_is_refused_with_both_sizes() -> None:
    board = fake_boards.pi3()
    board.files["/proc/meminfo"] = "MemTotal: 900000 kB\nMemAvailable: 20000 kB\n"

    with pytest.raises(DoesNotFitError) as refused:
        refuse_wrong_board(facts(board), target("aarch64"), 1_000, ram_bytes=30_000_000)

    assert refused.value.message == (
        "the program takes 30,000,000 bytes of memory; Raspberry Pi 3 Model B Plus Rev 1.3 (aarch64, 64-bit programs) "
        "has 20,480,000 available"
    )


@pytest.mark.parametrize(
    ("board", "hint"),
    [
        (fake_boards.pi5(), "for this board, compile for rpi5"),
        (fake_boards.pi4(), "for this board, compile for rpi4"),
        (fake_boards.pi3(), "for this board, compile for rpi3"),
        (fake_boards.pi_zero2(), "for this board, compile for rpi-zero2"),
        (fake_boards.pi2(), "for this board, compile for rpi2"),
        (fake_boards.pi_zero(), "for this board, compile for rpi-zero"),
        (fake_boards.pc(), "for this board, compile for x86-64-v3"),
        (
            FakeBoard(programs={("uname", "-m"): "riscv64\n"}),
            "no shipped target fits this board: write a profile of its own, or use another board",
        ),
    ],
)
def test_the_hint_names_the_shipped_target_that_fits_the_board(board: FakeBoard, hint: str) -> None:
    with pytest.raises(WrongDeviceError) as refused:
        refuse_wrong_board(facts(board), target("sparc64"), 1)

    assert refused.value.hint == hint
