"""The network as libraries for a program of the user's own: lib/libmodel.a and lib/libmodel.so of a bundle.

Both are made of the objects of the device's program; device_runtime/ports/library/edgecompress.h is their interface.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from edgecompress.compile import link
from edgecompress.core.compilers import Compiler
from edgecompress.core.target import Target

FOLDER = Path("lib")
SHARED_FLAGS = (
    "-shared",
    "-nostdlib",  # memcpy and its like are those of the program that loads it, whichever C library it has
    "-Wl,-soname,libmodel.so",
    "-Wl,--gc-sections",
    "-Wl,--build-id=none",
    "-Wl,-z,noexecstack",
)
SHOWN_FILES = ("edgecompress.h", "example.py")


def build(bundle_folder: Path, network: link.Network, target: Target, compiler: Compiler) -> None:
    """Write both libraries, their header and an example; objects that are there already are used."""
    runtime = link.find_runtime(link.LIBRARY_PORT)
    link.copy_runtime(runtime, bundle_folder)
    objects = link.compile_for_device(bundle_folder, network, target, compiler, runtime)
    (bundle_folder / FOLDER).mkdir()
    link.run_tool(bundle_folder, [*compiler.archiver, "rcsD", str(FOLDER / "libmodel.a"), *objects])
    link.run_tool(bundle_folder, [*compiler.command, *SHARED_FLAGS, *objects, "-o", str(FOLDER / "libmodel.so")])
    for name in SHOWN_FILES:
        shutil.copyfile(runtime.folder / "ports" / runtime.port / name, bundle_folder / FOLDER / name)
