"""What model slots cost a microcontroller: instructions of checking a signature and of hashing, flash, and stack.

    python -m benchmarks.signature_check

Counted by QEMU (-icount shift=0) on a Cortex-M4 and a Cortex-M0, built as a firmware with slots is.
"""

from __future__ import annotations

import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.campaign._slot_images import SECRET
from edgecompress.compile import link
from edgecompress.core import target as targets
from edgecompress.core import tools
from edgecompress.core.errors import UsageError
from edgecompress.core.session import Session
from edgecompress.core.target import Target
from edgecompress.core.wire import Command
from edgecompress.deploy._child import Child
from edgecompress.deploy.qemu import COUNT_INSTRUCTIONS, HEADLESS, UART_ON_STDIN_SOCKET

BOARDS = ("mps2-an386", "microbit")
SIGNED_BYTES = 192
HASHED_BYTES = 4096
CRYPTO = ("sha2", "sha256", "sha512", "field25519", "ed25519")
HERE = Path(__file__).parent
TIMEOUT_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Instructions of one signature check and of hashing a byte; bytes of code; most bytes of stack."""

    cpu: str
    verify_instructions: int
    hash_instructions: float
    code_bytes: int
    stack_bytes: int


def measure(board: str, folder: Path) -> Cost:
    """Build the firmware for a board, run it there and ask. Raises UsageError when the signature did not hold."""
    target = targets.load(board)
    program, code_bytes = _build(target, folder)
    child = _emulate(target, program)
    try:
        session = Session(child, board)
        session.greet()
        verify, hashing = struct.unpack("<QQ", session.ask(Command.PROFILE, bytes(4), timeout_s=TIMEOUT_S))
        verdict = session.ask(Command.READ_OUTPUT, struct.pack("<III", 0, 0, 1))
        statistics = session.ask(Command.STATS)
    finally:
        child.close()
    if verdict != b"\1":
        raise UsageError(f"{board} refused a good signature")
    numbers = {statistics[at]: int.from_bytes(statistics[at + 1 : at + 9], "little") for at in range(0, 18, 9)}
    per_tick = target.emulator.instructions_per_tick if target.emulator else 1.0
    return Cost(
        cpu=target.cpu,
        verify_instructions=round(verify * per_tick),
        hash_instructions=hashing * per_tick / HASHED_BYTES,
        code_bytes=code_bytes,
        stack_bytes=numbers[1],
    )


def _build(target: Target, folder: Path) -> tuple[Path, int]:
    runtime = link.find_runtime(target.port)
    key = Ed25519PrivateKey.from_private_bytes(SECRET)
    values = {"KEY": key.public_key().public_bytes_raw(), "SIGNATURE": key.sign(bytes(SIGNED_BYTES))}
    defines = [f"-D{name}={','.join(map(str, value))}" for name, value in values.items()]
    parts = ("include", "src", "src/slots", f"ports/{target.port}")
    flags = (*link.COMMON_FLAGS, *link.RUNTIME_FLAGS, *defines, *(f"-I{runtime.folder / part}" for part in parts))
    crypto = [runtime.folder / "src" / "slots" / f"{name}.c" for name in CRYPTO]
    sources = [*(runtime.folder / name for name in runtime.sources), *crypto, HERE / "signature_network.c"]
    if target.memory is None or target.toolchain is None or runtime.linker_script is None:
        raise UsageError(f"{target.name} is no microcontroller")
    (folder / "memory.ld").write_text(link.memory_script(target.memory))
    script = ("-nostartfiles", "--specs=nano.specs", "-L", folder, "-T", runtime.folder / runtime.linker_script)
    compiler = (f"{target.toolchain.prefix}gcc", *target.toolchain.cpu_flags, *flags)
    program = folder / f"{target.name}.elf"
    tools.run([*compiler, *sources, "-Wl,--gc-sections", *script, "-o", program], timeout_s=TIMEOUT_S)
    code = 0
    for source in crypto:
        tools.run([*compiler, "-c", source, "-o", folder / "part.o"], timeout_s=TIMEOUT_S)
        size = tools.run([f"{target.toolchain.prefix}size", folder / "part.o"], timeout_s=TIMEOUT_S)
        code += int(size.splitlines()[1].split()[0])
    return program, code


def _emulate(target: Target, program: Path) -> Child:
    if target.emulator is None:
        raise UsageError(f"{target.name} is not emulated")
    machine = ("-machine", target.emulator.machine, "-kernel", str(program))
    words = [
        str(tools.locate(target.emulator.program)),
        *machine,
        *HEADLESS,
        *UART_ON_STDIN_SOCKET,
        *COUNT_INSTRUCTIONS,
    ]
    return Child(words, name="the emulator", stdout_is_stream=False)


def main() -> None:
    """Print what it costs on each board."""
    print("| core | a signature check, instructions | a hashed byte | code, bytes | stack, bytes |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for board in BOARDS:
            cost = measure(board, Path(folder))
            instructions = f"{cost.verify_instructions:,} | {cost.hash_instructions:.0f}"
            print(f"| {cost.cpu} | {instructions} | {cost.code_bytes:,} | {cost.stack_bytes:,} |")


if __name__ == "__main__":
    main()
