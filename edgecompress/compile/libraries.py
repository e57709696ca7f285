"""The network as libraries for a program of the user's own: lib/libmodel.a and lib/libmodel.so of a bundle.

Both are made of the objects of the device's program; device_runtime/ports/library/edgecompress.h is their interface.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from edgecompress.compile import link
from edgecompress.compile.objects import Objects
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


def build(objects: Objects, network: link.Network, target: Target, compiler: Compiler) -> None:
    """Write both libraries, their header and an example; objects that are there already are used."""
    runtime, variant = link.find_runtime(link.LIBRARY_PORT), link.device_variant(target, compiler)
    paths = [*link.start_network(objects, variant, network), *link.start_runtime(objects, variant, runtime)]
    (objects.folder / FOLDER).mkdir()
    for name in SHOWN_FILES:
        shutil.copyfile(runtime.folder / "ports" / runtime.port / name, objects.folder / FOLDER / name)
    objects.wait(paths)
    objects.run([*compiler.archiver, "rcsD", str(FOLDER / "libmodel.a"), *paths])
    objects.run([*compiler.command, *SHARED_FLAGS, *paths, "-o", str(FOLDER / "libmodel.so")])
