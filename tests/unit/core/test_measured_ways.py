from __future__ import annotations

from pathlib import Path

import pytest

from edgecompress.core import measured_ways
from edgecompress.core import target as targets


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "edgecompress" / "ways"


def test_what_was_measured_is_known_again_for_the_same_target_compiler_and_unit_only() -> None:
    pi, other = targets.load("rpi4"), targets.load("rpi3")
    measured_ways.save(pi, measured_ways.load(pi, "gcc 12", "time"), {"tile": "4x2"})
    measured_ways.save(pi, measured_ways.load(pi, "gcc 12", "time"), {"another": "1x1"})

    assert measured_ways.load(pi, "gcc 12", "time").ways == {"another": "1x1", "tile": "4x2"}
    assert measured_ways.load(pi, "gcc 13", "time").ways == {}
    assert measured_ways.load(pi, "gcc 12", "instructions").ways == {}
    assert measured_ways.load(other, "gcc 12", "time").ways == {}


def test_a_damaged_file_is_as_good_as_none(cache: Path) -> None:
    pi = targets.load("rpi4")
    measured_ways.save(pi, measured_ways.load(pi, "gcc 12", "time"), {"tile": "4x2"})
    (path,) = cache.iterdir()
    path.write_text(path.read_text()[:20])

    assert measured_ways.load(pi, "gcc 12", "time").ways == {}
