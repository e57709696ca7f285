"""README.md of an export: what the network is, and how this format is built."""

from __future__ import annotations

from pathlib import Path

from edgecompress.export import _sources, _templates
from edgecompress.export._project import Project


def write(project: Project, folder: Path, *, words: str, how: str) -> None:
    """Write it; `words` end the sentence that says what it is, `how` is Markdown."""
    _templates.write(
        project,
        folder,
        {"README.md": "readme.md"},
        inputs=_sources.tensors(project, "input"),
        outputs=_sources.tensors(project, "output"),
        format_words=words,
        how=how,
    )
