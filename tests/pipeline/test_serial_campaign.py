"""The short form of the campaign against the serial protocol: nothing it promises is violated."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.campaign import _frames, serial
from edgecompress.core.wire import Frame


def test_nothing_is_violated(tmp_path: Path) -> None:
    outcomes = list(serial.run_all(serial.SHORT, tmp_path))
    assert [outcome for outcome in outcomes if outcome.violations] == []
    assert {outcome.name.split()[0] for outcome in outcomes} == {"A1", "A2", "A3", "A4", "A5", "A6"}


def test_a_parser_that_takes_damaged_frames_is_found_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    parser = _frames.build_parser(tmp_path)
    honest = _frames.mutated(50, parser).violations
    monkeypatch.setattr(_frames, "_take", lambda *_: [Frame(command=1, sequence=1, payload=b"made up")])
    assert honest == 0
    assert _frames.mutated(50, parser).violations > 0
