"""What a fault record says in words, and what it advises."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from edgecompress.core import fault_text, source_line
from edgecompress.core.answers import Fault

REGISTERS = tuple(range(16))
LAYERS = (SimpleNamespace(name="conv"),)
BUNDLE = SimpleNamespace(
    program=Path("none.elf"), manifest=SimpleNamespace(build_id="a5010203" + "0" * 24, layers=LAYERS, slots=None)
)


def fault(**told: object) -> Fault:
    known = {"kind": "usage fault", "layer": 0, "detail": 0, "pc": 0, "address": 0, "program": "a5010203"}
    return Fault(**{**known, **told})  # type: ignore[arg-type]


def test_the_bits_of_the_status_are_named() -> None:
    text = fault_text.describe(fault(detail=1 << 25, pc=0x100, registers=REGISTERS, stack_bytes=1234), BUNDLE)
    assert text == (
        "usage fault in layer 0 (conv), at pc 0x100, address 0x0, status 0x2000000 (division by zero), "
        "1,234 bytes of stack taken"
    )


def test_the_record_of_another_program_names_no_layer_and_no_line() -> None:
    text = fault_text.describe(fault(pc=0x100, program="01020304"), BUNDLE)
    assert text == (
        "usage fault in layer 0, at pc 0x100, address 0x0, status 0x0, in another program (build 01020304…)"
    )


def test_a_reset_tells_no_addresses() -> None:
    assert fault_text.describe(fault(kind="a reset"), BUNDLE) == "a reset in layer 0 (conv)"


@pytest.mark.parametrize(
    ("told", "advice"),
    [
        ({"kind": "watchdog fault"}, "a layer did not end"),
        ({"kind": "a reset"}, "something outside reset the board"),
        ({"detail": 1 << 20}, "give the stack more RAM"),
        ({"detail": 1 << 16, "registers": REGISTERS}, "compile again"),
    ],
)
def test_every_kind_has_its_advice(told: dict[str, object], advice: str) -> None:
    assert fault_text.advise(fault(**told)).startswith(advice)


def test_a_file_that_is_no_elf_tells_no_line(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program")
    assert source_line.find(tmp_path / "text", 0x100) is None
    assert source_line.find(tmp_path / "none", 0x100) is None
