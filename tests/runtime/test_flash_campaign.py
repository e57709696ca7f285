"""Updates of model slots survive power cuts and faults of the flash; the short campaign would find planted errors."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.campaign import flash
from benchmarks.campaign.flash import SMALL, Campaign

# Each is an error that somebody could make: file, what stands there, what would stand there.
PLANTED = {
    "a trial is not marked": ("state.c", "return edgert_mark_write(", "return EDGERT_MARK_TRIED == ("),
    "a rejected slot starts": ("state.c", "if (edgert_marks_say_rejected(slot)) {", "if (false) {"),
    "the hash is not compared": ("state.c", "|| !edgert_image_holds(header, slot)", ""),
    "the older one starts": ("state.c", "newest ^ turn", "newest ^ turn ^ 1u"),
    "it goes on where it was cut off": ("install.c", "last - last % edgert_flash_geometry()->sector_bytes", "last"),
    "the fallback of a trial is overwritten": ("state.c", "|| is_surely_confirmed(running)", "|| true"),
}


@pytest.mark.parametrize(("file", "right", "wrong"), PLANTED.values(), ids=PLANTED)
def test_a_planted_error_is_found(tmp_path: Path, file: str, right: str, wrong: str) -> None:
    folder = tmp_path / "slots"
    shutil.copytree(flash.SLOTS, folder)
    text = (folder / file).read_text()
    assert text.count(right) == 1
    (folder / file).write_text(text.replace(right, wrong))
    program = flash.build(tmp_path, ("-O1", "-Wno-error"), folder)
    words = (("singles",), ("random", "1", "200", "1"), ("faults", "50", "1"))
    campaigns = [Campaign(title="planted", layout=SMALL, unit=32, words=mode) for mode in words]
    assert any(not flash.run(program, campaign).holds for campaign in campaigns)


def test_the_short_campaign_has_no_violation() -> None:
    totals = flash.run_all(flash.short_form(), flash.SANITIZE)
    assert {title: counts for title, counts in totals.items() if not counts.holds} == {}
    assert totals["every cut"].cuts > 3000
    assert totals["faults of the flash"].detected > 300
