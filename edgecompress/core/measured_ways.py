"""Ways of computing layers that were measured to be the fastest, kept in the user's cache for the next network.

A file holds those of one target, built by one compiler with one version of this program, and measured in one unit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from edgecompress import __version__
from edgecompress.core import files
from edgecompress.core.target import Target
from edgecompress.core.values import FileValue

KEY_LETTERS = 12


class MeasuredWays(FileValue):
    """One file: what it was measured with, and signature of a choice -> label of the fastest way."""

    target: str
    compiler: str
    version: str
    unit: str
    ways: dict[str, str] = {}


def load(target: Target, compiler: str, unit: str) -> MeasuredWays:
    """Read what was measured; nothing where there is no file, or one that is damaged: it is measured again."""
    empty = MeasuredWays(target=target.name, compiler=compiler, version=__version__, unit=unit)
    try:
        return MeasuredWays.model_validate_json(_path(target, empty).read_bytes())
    except (FileNotFoundError, ValidationError):
        return empty


def save(target: Target, measured: MeasuredWays, ways: Mapping[str, str]) -> None:
    """Add ways to what was measured before. Raises StorageError when the cache cannot be written."""
    together = measured.model_copy(update={"ways": dict(sorted({**measured.ways, **ways}.items()))})
    files.write_whole(_path(target, measured), together.model_dump_json(indent=2) + "\n")


def _path(target: Target, about: MeasuredWays) -> Path:
    from platformdirs import user_cache_path

    words = (target.model_dump_json(), about.compiler, about.version, about.unit)
    key = hashlib.sha256("\n".join(words).encode()).hexdigest()[:KEY_LETTERS]
    return user_cache_path("edgecompress", appauthor=False) / "ways" / f"{target.name}-{key}.json"
