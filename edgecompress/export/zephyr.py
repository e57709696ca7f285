"""A Zephyr module with a sample application that runs the test vectors.

Zephyr's documentation: "Modules" (zephyr/module.yml), "Kconfig", "Test Runner (Twister)" (sample.yaml).
"""

from __future__ import annotations

from pathlib import Path

from edgecompress.export import _flags, _readme, _sources, _templates, _vectors
from edgecompress.export._project import Project

KIB = 1024
OTHER_RAM, OTHER_FLASH = 16 * KIB, 64 * KIB
"""About what Zephyr and the sample take beside the network."""

HOW = """\
Add this folder to your west manifest, or name it in EXTRA_ZEPHYR_MODULES, and set
`CONFIG_EDGECOMPRESS_{upper}=y`. The sample:

    west build -b YOUR_BOARD samples/{name} && west flash"""


def write(project: Project, folder: Path) -> None:
    """Write the module into an empty folder. Raises ConfigError for a Linux target."""
    project.require_microcontroller("zephyr")
    sample = f"samples/{project.name}"
    written = _sources.write(project, header=folder / "include", sources=folder / "src")
    checks = _vectors.write(project, folder / sample / "src")
    files = {
        "zephyr/module.yml": "zephyr_module.yml",
        "CMakeLists.txt": "zephyr_CMakeLists.txt",
        "Kconfig": "zephyr_Kconfig",
        f"{sample}/CMakeLists.txt": "zephyr_sample.txt",
        f"{sample}/prj.conf": "zephyr_prj.conf",
        f"{sample}/sample.yaml": "zephyr_sample.yaml",
        f"{sample}/src/main.c": "zephyr_main.c",
    }
    sizes = project.manifest.sizes
    _templates.write(
        project,
        folder,
        files,
        written=written,
        checks=checks,
        flags=_flags.network(project),
        ram_kib=-(-(sizes.static_ram_bytes + OTHER_RAM) // KIB),
        flash_kib=-(-(sizes.flash_bytes + OTHER_FLASH) // KIB),
    )
    how = HOW.format(name=project.name, upper=project.name.upper())
    _readme.write(project, folder, words=" as a Zephyr module", how=how)
