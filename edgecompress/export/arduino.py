"""An Arduino library with an example sketch that runs the test vectors.

Arduino's "Library specification", format 1.5, revision 2.2.
"""

from __future__ import annotations

from pathlib import Path

from edgecompress.export import _readme, _sources, _templates, _vectors
from edgecompress.export._project import Project

OWN_PREFIX = "arduino"
"""Only Arduino's own libraries are called so."""

HOW = """\
Put this folder into your sketchbook's `libraries` folder (or import it as a ZIP file), then open the example
{sketch}. The sources bring along what they need of the compiler's flags."""


def write(project: Project, folder: Path) -> None:
    """Write the library into an empty folder. Raises ConfigError for a Linux target."""
    project.require_microcontroller("arduino")
    sketch = f"{project.name}_example"
    _sources.write(project, header=folder / "src", sources=folder / "src")
    _vectors.write(project, folder / "examples" / sketch)
    files = {"library.properties": "library.properties", f"examples/{sketch}/{sketch}.ino": "arduino.ino"}
    _templates.write(project, folder, files, library=_library_name(project.name))
    _readme.write(project, folder, words=" as an Arduino library", how=HOW.format(sketch=sketch))


def _library_name(name: str) -> str:
    return f"network_{name}" if name.startswith(OWN_PREFIX) else name
