"""The short form of the campaign that cuts the power of a whole firmware."""

from __future__ import annotations

from pathlib import Path

from slot_boards import SlotRuns

from benchmarks.campaign import power


def test_a_working_network_serves_after_every_cut(runs: SlotRuns, tmp_path: Path) -> None:
    seen = power.run(runs, tmp_path / "board", power.SHORT, seed=1)
    assert seen["cuts"] == power.SHORT
    assert [name for name in +seen if name.startswith("violation")] == []
    assert seen["old serves"] + seen["new serves"] >= power.SHORT
