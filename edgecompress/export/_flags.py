"""The compiler flags of an exported network: those that keep its bytes, and how much it is optimized.

They are those of compile/link.py, but for what only the device runtime needs; a test compares them.
"""

from __future__ import annotations

from edgecompress.core.target import Target
from edgecompress.export._project import Project

KEEPING_BYTES = ("-ffp-contract=off", "-fno-strict-aliasing", "-fno-math-errno")
SECTIONS = ("-ffunction-sections", "-fdata-sections")
LINUX = ("-fno-trapping-math",)
GNU_LINUX = ("-fno-schedule-insns", "-fno-gcse", "-fno-move-loop-invariants")
QUIET = ("-Wno-psabi",)
"""Vectors that this CPU lacks are passed otherwise than by one that has them: nobody else calls these functions."""


def network(project: Project) -> tuple[str, ...]:
    """The flags of the network's own sources, for GCC."""
    optimization = "-O2" if project.manifest.optimize == "size" else "-O3"
    linux = (*LINUX, *GNU_LINUX, *QUIET) if project.target.system == "linux" else ()
    return (optimization, *KEEPING_BYTES, *SECTIONS, *linux)


def cpu(target: Target) -> tuple[str, ...]:
    """The flags that choose the target's CPU."""
    return target.toolchain.cpu_flags


def for_clang(flags: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the flags that clang knows."""
    return tuple(flag for flag in flags if flag not in GNU_LINUX)
