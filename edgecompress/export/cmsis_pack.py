"""A CMSIS-Pack: the description (.pdsc), the files that it names, and all of them as one .pack.

Open-CMSIS-Pack specification, "Package Description (*.PDSC) Format" and "Pack File Name".
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from edgecompress.export import _readme, _sources, _templates, _vectors
from edgecompress.export._project import VERSION, Project

VENDOR = "edgecompress"
CORES = (
    "Cortex-M0",
    "Cortex-M0+",
    "Cortex-M3",
    "Cortex-M4",
    "Cortex-M7",
    "Cortex-M23",
    "Cortex-M33",
    "Cortex-M55",
    "Cortex-M85",
)
"""Where a kernel's instructions are missing, its C stands in for them."""
EXAMPLE = ("main.c", "console.h", "console_stdio.c")
EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the archive: the same bundle gives the same bytes."""
PERMISSIONS = 0o100644 << 16
UNIX = 3

HOW = """\
    cpackget add {pack}

then select the component Machine Learning:Network:{name} for your project. "Run the test vectors" is a user code
template; its line goes to stdout, which your project leads to a UART or to the debugger."""


def write(project: Project, folder: Path) -> None:
    """Write the pack and what it holds into an empty folder. Raises ConfigError for a Linux target."""
    project.require_microcontroller("cmsis-pack")
    stem = f"{VENDOR}.{project.name}"
    written = _sources.write(project, header=folder / "include", sources=folder / "src")
    checks = _vectors.write(project, folder / "example")
    _templates.write(project, folder / "example", {file: file for file in EXAMPLE})
    example = sorted((*EXAMPLE, *checks, *(f"{project.name}_{file}" for file in _vectors.HEADERS)))
    files = {f"{stem}.pdsc": "package.pdsc"}
    _templates.write(project, folder, files, vendor=VENDOR, cores=CORES, written=written, example=example)
    pack = f"{stem}.{VERSION}.pack"
    _readme.write(project, folder, words=" as a CMSIS-Pack", how=HOW.format(pack=pack, name=project.name))
    _zip(folder, folder / pack)


def _zip(folder: Path, archive: Path) -> None:
    """Write an archive of all files of a folder, not compressed: its bytes depend on no library's version."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        for path in paths:
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), EARLIEST)
            entry.create_system, entry.external_attr = UNIX, PERMISSIONS
            file.writestr(entry, path.read_bytes())
