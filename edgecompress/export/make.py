"""A Makefile for GNU make: a library and an example, for the target and for this machine."""

from __future__ import annotations

from pathlib import Path

from edgecompress.export import _example, _readme, _templates
from edgecompress.export._project import Project

HOW = """\
    make               the library and the example for {target}: build/device
    make check         run the example there, under an emulator where it needs one
    make host          the same for this machine: build/host
    make check-host    run that"""


def write(project: Project, folder: Path) -> None:
    """Write the project into an empty folder."""
    values = _example.values(project, _example.write(project, folder))
    suffix = "" if project.target.system == "linux" else ".elf"
    _templates.write(project, folder, {"Makefile": "Makefile"}, suffix=suffix, **values)
    _readme.write(project, folder, words=" with a Makefile", how=HOW.format(target=project.target.name))
