"""A small ELF file for a bare profile: a vector table and an endless loop, with the build attributes of its flags."""

from __future__ import annotations

from pathlib import Path

from edgecompress.core import tools
from edgecompress.core.target import Target

SOURCE = """
extern const unsigned stack_top;
float scaled(float number);
double doubled(double number);
float scaled(float number) { return number * 2.0f; }
double doubled(double number) { return number * 2.0; }
void start(void);
void start(void) { for (;;) { } }
__attribute__((section(".vectors"), used)) static const void *const vectors[2] = {&stack_top, (const void *)start};
"""
SCRIPT = """
ENTRY(start)
MEMORY {{ FLASH (rx) : ORIGIN = {flash:#x}, LENGTH = {length} }}
SECTIONS {{ .text : {{ . = {boot}; KEEP(*(.vectors)) *(.text*) }} > FLASH  /DISCARD/ : {{ *(.ARM.exidx*) }} }}
stack_top = {stack:#x};
"""


def build(target: Target, folder: Path) -> Path:
    """Compile and link the image for a profile."""
    assert target.memory is not None
    folder.mkdir(parents=True)
    flash, ram = target.memory.flash, target.memory.ram
    (folder / "image.c").write_text(SOURCE)
    (folder / "image.ld").write_text(
        SCRIPT.format(boot=target.boot_bytes, flash=flash.origin, length=flash.length, stack=ram.end)
    )
    output = folder / "firmware.elf"
    words = [f"{target.toolchain.prefix}gcc", *target.toolchain.cpu_flags, "-Os", "-nostdlib"]
    tools.run([*words, "-T", "image.ld", "image.c", "-lgcc", "-o", output], timeout_s=60, folder=folder)
    tools.run(["arm-none-eabi-objcopy", "-O", "binary", output, folder / "firmware.bin"], timeout_s=60)
    (folder / "firmware.origin").write_text(str(flash.origin))
    return output
