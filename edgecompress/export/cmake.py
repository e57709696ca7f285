"""A CMake project: a library target, an example, CTest, and a toolchain file for the target."""

from __future__ import annotations

from pathlib import Path

from edgecompress.export import _example, _readme, _templates
from edgecompress.export._project import Project

HOW = """\
    cmake -B build && cmake --build build && ctest --test-dir build          on this machine
    cmake -B build-device -DCMAKE_TOOLCHAIN_FILE=toolchain.cmake             for {target}
    cmake --build build-device && ctest --test-dir build-device

Tests for {target} run in an emulator where one is installed. In a project of your own:
`add_subdirectory({name})`, then `target_link_libraries(YOURS PRIVATE {name})`."""


def write(project: Project, folder: Path) -> None:
    """Write the project into an empty folder."""
    example = _example.write(project, folder)
    languages = ["C", "ASM"] if any(name.endswith(".s") for name in example.written.sources) else ["C"]
    files = {"CMakeLists.txt": "CMakeLists.txt", "toolchain.cmake": "toolchain.cmake"}
    _templates.write(project, folder, files, languages=languages, **_example.values(project, example))
    how = HOW.format(name=project.name, target=project.target.name)
    _readme.write(project, folder, words=" as a CMake project", how=how)
