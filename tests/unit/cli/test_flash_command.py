"""What `edgecompress flash` prints when a limit of the recipe was missed on the board."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgecompress.cli import main
from edgecompress.core.flash_record import ChipRecord, FlashRecord
from edgecompress.core.report import Report
from edgecompress.pipeline import flashing

GOLDEN_REPORT = Path(__file__).parents[1] / "report" / "golden_report.json"
RECORD = FlashRecord(
    name="double",
    target="mps2-an386",
    build_id="00" * 16,
    created="2026-01-01T00:00:00+00:00",
    flasher="gdb",
    device="mps2-an386 behind gdb://127.0.0.1:3333",
    emulated=True,
    chip=ChipRecord(),
    image_bytes=1,
    segments=1,
    proof="read back",
    console="tcp://127.0.0.1:4444",
    verified_vectors=1,
    seconds=0.1,
)


def test_a_missed_limit_is_in_the_one_json_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = Report.model_validate_json(GOLDEN_REPORT.read_text())
    outcome = flashing.Outcome(record=RECORD, record_path=tmp_path / "flash.json", report=report)
    monkeypatch.setattr(flashing, "flash", lambda *_: outcome)
    with pytest.raises(SystemExit) as ended:
        main(["flash", str(tmp_path), "-t", "mps2-an386", "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert ended.value.code == printed["error"]["exit_code"] == 6
    assert printed["flash"]["build_id"] == RECORD.build_id
    assert printed["report"]["candidates"]
