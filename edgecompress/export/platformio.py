"""A PlatformIO library with an example project that runs the test vectors: here (`native`) or on a board.

PlatformIO's documentation: "library.json", "platformio.ini", "lib_deps" (local folders).
"""

from __future__ import annotations

import json
from pathlib import Path

from edgecompress.export import _flags, _readme, _sources, _templates, _vectors
from edgecompress.export._project import VERSION, Project

HOW = """\
    pio run -d examples/{name}_example -e native -t exec          run the example on this machine

In a project of your own: `lib_deps = {name}=symlink://PATH_OF_THIS_FOLDER`."""


def write(project: Project, folder: Path) -> None:
    """Write the library into an empty folder. Raises ConfigError for a Linux target."""
    project.require_microcontroller("platformio")
    example = f"examples/{project.name}_example"
    written = _sources.write(project, header=folder / "include", sources=folder / "src")
    checks = _vectors.write(project, folder / example / "src")
    files = {f"{example}/platformio.ini": "platformio.ini", f"{example}/src/main.cpp": "platformio_main.cpp"}
    _templates.write(project, folder, files)
    manifest = _manifest(project, written.header, example, ("main.cpp", *checks))
    _templates.write_text(folder / "library.json", json.dumps(manifest, indent=2) + "\n")
    _readme.write(project, folder, words=" as a PlatformIO library", how=HOW.format(name=project.name))


def _manifest(project: Project, header: str, example: str, sources: tuple[str, ...]) -> dict[str, object]:
    return {
        "name": project.name.replace("_", "-"),
        "version": VERSION,
        "description": f"{project.sentence}. Build id {project.manifest.build_id}",
        "keywords": ["machine-learning", "neural-network"],
        "authors": [{"name": "edgecompress", "maintainer": True}],
        "frameworks": "*",
        "platforms": "*",
        "headers": header,
        "build": {"flags": list(_flags.network(project)), "includeDir": "include", "srcDir": "src"},
        "examples": [{"name": "Test vectors", "base": example, "files": [f"src/{name}" for name in sources]}],
    }
