from __future__ import annotations

from typing import Any

from edgecompress.core.values import Evidence
from edgecompress.measure import memory


def test_ram_is_the_static_part_and_the_stack(board: Any, bundle: Any, evidence: Evidence) -> None:
    found = {m.metric: m for m in memory.read(board, bundle, evidence).metrics}

    assert {name: m.value for name, m in found.items()} == {
        "flash_bytes": 400,
        "ram_bytes": 48 + 640,
        "arena_bytes": 28,
        "stack_bytes": 640,
        "firmware_flash_bytes": 5_400,
        "firmware_static_ram_bytes": 1_048,
    }
    assert {m.unit for m in found.values()} == {"bytes"}
    assert (found["flash_bytes"].how, found["stack_bytes"].how, found["arena_bytes"].how) == (
        "measured",
        "emulated",
        "computed",
    )


def test_the_stack_is_read_after_an_inference(board: Any, bundle: Any, evidence: Evidence) -> None:
    memory.read(board, bundle, evidence)

    assert board.runs == 1


def test_a_stack_that_is_not_counted_is_missing_and_so_is_ram(process: Any, bundle: Any, evidence: Evidence) -> None:
    found = {m.metric: m for m in memory.read(process, bundle, evidence).metrics}

    assert found["stack_bytes"].value is None
    assert found["stack_bytes"].missing == "the port board does not count its stack"
    assert found["ram_bytes"].value is None
    assert found["ram_bytes"].missing == "the port board does not count its stack; the static part is 48 bytes"


def test_a_process_tells_its_resident_set_and_a_bare_board_has_none(
    board: Any, process: Any, bundle: Any, evidence: Evidence
) -> None:
    on_host = {m.metric: m for m in memory.read(process, bundle, evidence).metrics}
    on_board = {m.metric: m for m in memory.read(board, bundle, evidence).metrics}

    assert (on_host["resident_bytes"].value, on_host["resident_bytes"].how) == (1_400_000, "measured")
    assert (on_host["proportional_bytes"].value, on_host["proportional_bytes"].how) == (900_000, "measured")
    assert not {"resident_bytes", "proportional_bytes"} & set(on_board)


def test_the_memory_of_an_emulator_of_programs_is_not_the_programs(
    process: Any, bundle: Any, evidence: Evidence
) -> None:
    process.emulated, process.description = True, "loop://rpi4 (emulated by qemu-user)"

    found = {m.metric: m for m in memory.read(process, bundle, evidence).metrics}

    why = "on loop://rpi4 (emulated by qemu-user), the process that has memory is the emulator"
    assert [found[name].missing for name in ("resident_bytes", "proportional_bytes")] == [why, why]


def test_a_largest_set_below_the_one_of_now_is_void(process: Any, bundle: Any, evidence: Evidence) -> None:
    process.resident_bytes = 4_096

    found = {m.metric: m for m in memory.read(process, bundle, evidence).metrics}

    assert (found["resident_bytes"].value, found["resident_bytes"].void) == (
        4_096,
        "the kernel's rough count is below the 900,000 bytes that the process holds now (Pss)",
    )
    assert found["proportional_bytes"].void is None


def test_an_emulated_system_tells_its_own_processes_memory(process: Any, bundle: Any, evidence: Evidence) -> None:
    process.emulated, process.instructions_per_tick = True, 1.0

    found = {m.metric: m for m in memory.read(process, bundle, evidence).metrics}

    assert (found["resident_bytes"].value, found["resident_bytes"].how) == (1_400_000, "emulated")
