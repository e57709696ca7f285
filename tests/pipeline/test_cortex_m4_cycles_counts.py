"""The emulator's plugin counts what the board's timer counts, and the smallest network keeps its bar."""

from __future__ import annotations

from pathlib import Path

from benchmarks import cortex_m4_cycles


def test_the_autoencoder_is_counted_like_the_timer_does_and_estimated_below_the_best_board(tmp_path: Path) -> None:
    plugin = cortex_m4_cycles.build_plugin(tmp_path)

    figures = cortex_m4_cycles.estimate("ad", plugin, tmp_path / "ad", "speed")

    assert cortex_m4_cycles.miscounted([figures]) == []
    assert cortex_m4_cycles.not_below([figures], cortex_m4_cycles.read_best_published(cortex_m4_cycles.PUBLISHED)) == []
    assert figures.instructions < figures.cycles < figures.pessimistic_cycles
