"""The bars cover every network on every core, and a figure over its bar is missed."""

from benchmarks import cortex_m, cortex_m_bars
from benchmarks.cortex_m_bars import Bar, Held

BAR = Bar(network="kws_dscnn", target="mps2-an386", metric="instructions", ratio=0.55, core="cortex-m4")


def test_every_network_has_bars_on_every_core() -> None:
    bars = list(cortex_m_bars.all_bars(cortex_m_bars.BARS))
    assert {bar.network for bar in bars} == set(cortex_m.NETWORKS)
    for network in cortex_m.NETWORKS:
        kinds = [(bar.target, bar.metric) for bar in bars if bar.network == network]
        assert len(kinds) == len(set(kinds)) == 4 * 3 + 1


def test_every_bar_has_a_baseline() -> None:
    for bar in cortex_m_bars.all_bars(cortex_m_bars.BARS):
        baselines = cortex_m.read_baselines(cortex_m.BASELINE, bar.variant)
        assert (f"{bar.network}_int8", bar.core) in baselines


def test_a_ratio_at_the_bar_is_held_and_one_above_is_missed() -> None:
    assert not Held(bar=BAR, value=55, baseline=100).is_missed
    assert Held(bar=BAR, value=56, baseline=100).is_missed


def test_the_table_says_which_bars_are_missed() -> None:
    table = cortex_m_bars.as_table([Held(bar=BAR, value=55, baseline=100), Held(bar=BAR, value=99, baseline=100)])
    assert list(table.columns[-1].cells) == ["held", "missed"]
