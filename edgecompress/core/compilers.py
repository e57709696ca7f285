"""Which compiler builds for a target: the GNU one of its toolchain, or zig's clang where that is missing."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from dataclasses import dataclass
from typing import Literal

from edgecompress.core import tools
from edgecompress.core.errors import MissingToolError
from edgecompress.core.target import Target, Toolchain

HOST_PREFIX = ""
ZIG = (sys.executable, "-m", "ziglang")
ZIG_INSTALL = "pip install 'edgecompress[zig]'"


@dataclass(frozen=True, kw_only=True)
class Compiler:
    """How a C compiler and what belongs to it are called, the flags of the CPU included.

    `about` names it with its version.
    """

    kind: Literal["gnu", "zig"]
    words: tuple[str, ...]
    archiver: tuple[str, ...]
    copier: tuple[str, ...]
    cpu_flags: tuple[str, ...]

    @property
    def command(self) -> tuple[str, ...]:
        """The compiler with the flags that choose the CPU."""
        return (*self.words, *self.cpu_flags)

    @property
    def name(self) -> str:
        """What it is called in a manifest."""
        return "zig" if self.kind == "zig" else self.words[0]

    def version(self) -> str:
        """Ask it for its version. Raises MissingToolError and ToolFailedError."""
        if self.kind == "gnu":
            return tools.version(self.words[0])
        return tools.run([*ZIG, "version"], timeout_s=tools.VERSION_TIMEOUT_S).decode().strip()


def gnu(toolchain: Toolchain) -> Compiler:
    """Name the GNU compiler of a toolchain, installed or not."""
    prefix = toolchain.prefix
    return Compiler(
        kind="gnu",
        words=(f"{prefix}gcc",),
        archiver=(f"{prefix}ar",),
        copier=(f"{prefix}objcopy",),
        cpu_flags=toolchain.cpu_flags,
    )


def has_zig() -> bool:
    """True when the package ziglang is there."""
    return importlib.util.find_spec("ziglang") is not None


def choose(target: Target) -> Compiler:
    """Choose the compiler for a target's programs.

    Raises MissingToolError, whose hint names every package that would do.
    """
    compiler = gnu(target.toolchain)
    if shutil.which(compiler.words[0]) is not None:
        return compiler
    if target.toolchain.zig_target is None:
        tools.locate(compiler.words[0])
    if has_zig():
        return zig(target.toolchain)
    raise MissingToolError(
        f"{compiler.words[0]} is not installed or not on PATH, and neither is zig",
        hint=f"on Debian or Ubuntu: sudo apt-get install {tools.debian_packages(compiler.words[0])}; "
        f"or anywhere: {ZIG_INSTALL}",
    )


def zig(toolchain: Toolchain) -> Compiler:
    """Name zig's clang for a toolchain, installed or not."""
    return Compiler(
        kind="zig",
        words=(*ZIG, "cc"),
        archiver=(*ZIG, "ar"),
        copier=(*ZIG, "objcopy"),
        cpu_flags=("-target", toolchain.zig_target or "native", *toolchain.zig_flags),
    )
