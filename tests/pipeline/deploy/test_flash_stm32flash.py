"""The real stm32flash against a boot ROM that speaks AN3155 on a pty, through the whole sequence of a flash."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from stm32_bootloader import Stm32Bootloader

from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle
from edgecompress.core.errors import TransferError, WrongDeviceError
from edgecompress.core.values import no_progress
from edgecompress.deploy import _firmware_image, _flashing
from edgecompress.deploy.flashers import FlashOptions, stm32flash

ToyBundle = Callable[..., Bundle]
TARGET = "nucleo-l4r5zi"
L4R5, F746 = 0x470, 0x449
PAGE_BYTES = 4096
FLASH_ORIGIN = 0x0800_0000


@pytest.fixture
def boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Stm32Bootloader]]:
    """Start boot ROMs. A pty has no parity bit, and stm32flash ends where it cannot set one: it is told 8n1 here."""
    program = shutil.which("stm32flash")
    assert program is not None, "stm32flash is not installed: see tools/system_packages.sh"
    wrapper = tmp_path / "bin" / "stm32flash"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec {program} -m 8n1 "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}")
    with ExitStack() as stack:

        def start(device_id: int = L4R5, *, writes: bool = True) -> Stm32Bootloader:
            rom = Stm32Bootloader(
                device_id=device_id, origin=FLASH_ORIGIN, flash_bytes=1 << 21, page_bytes=PAGE_BYTES, writes=writes
            )
            stack.callback(rom.close)
            return rom

        yield start


def flash(bundle: Bundle, rom: Stm32Bootloader) -> _flashing.Flashed:
    target = targets.load(TARGET)
    return _flashing.flash(
        bundle, target, lambda: stm32flash.connect(target, rom.path, options=FlashOptions()), None, no_progress
    )


def test_a_firmware_is_written_read_back_and_started(
    boot: Callable[..., Stm32Bootloader], toy_bundle: ToyBundle
) -> None:
    rom, bundle = boot(), toy_bundle(TARGET)
    done = flash(bundle, rom)
    done.stream.close()
    image = _firmware_image.read(bundle.program, targets.load(TARGET)).flat()
    assert bytes(rom.flash[: len(image.data)]) == image.data
    assert set(rom.flash[len(image.data) :]) == {0xFF}
    assert rom.started == FLASH_ORIGIN
    assert (done.proof, done.facts.id_word, done.facts.name) == ("read back", L4R5, "STM32L4Rxx/4Sxx")
    assert done.console == f"serial://{rom.path}"
    erased = len(rom.erased)
    flash(bundle, rom).stream.close()
    assert len(rom.erased) == erased, "what is there already is not written again"


def test_a_chip_of_another_family_is_refused_before_anything_is_erased(
    boot: Callable[..., Stm32Bootloader], toy_bundle: ToyBundle
) -> None:
    rom = boot(F746)
    with pytest.raises(WrongDeviceError) as caught:
        flash(toy_bundle(TARGET), rom)
    assert caught.value.message == "the chip's id at 0xe0042000 is 0x449; a STM32L4R5 has 0x470"
    assert (rom.erased, rom.started) == ([], None)


def test_a_chip_that_acknowledges_and_keeps_nothing_is_found_out(
    boot: Callable[..., Stm32Bootloader], toy_bundle: ToyBundle
) -> None:
    rom = boot(writes=False)
    with pytest.raises(TransferError, match="holds something else than was written"):
        flash(toy_bundle(TARGET), rom)
    assert rom.started is None
