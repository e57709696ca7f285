from __future__ import annotations

import pytest

from edgecompress.compile.kernels import tuning
from edgecompress.compile.kernels.tuning import Tuning
from edgecompress.core import target as targets

WAYS = (("4x2", 8), ("2x4", 9), ("1x1", 1))


@pytest.mark.parametrize(("rank", "way"), [(0, 8), (1, 9), (2, 1), (3, 1)])
def test_a_rank_takes_the_way_at_its_place_or_the_last(rank: int, way: int) -> None:
    assert Tuning(rank=rank).pick("tile", WAYS) == way


def test_a_way_that_was_measured_to_be_the_fastest_is_taken_where_it_is_one() -> None:
    asked = Tuning(measured={"tile": "1x1", "other tile": "9x9"})

    assert asked.pick("tile", WAYS) == 1
    assert asked.pick("other tile", WAYS) == 8


def test_what_a_kernel_took_is_noted_under_its_name() -> None:
    asked = Tuning()
    with asked.writing("kernel"):
        asked.pick("tile", WAYS)

    assert asked.taken == {"kernel": {"tile": "4x2"}}


def test_no_way_at_all_is_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"^there is no way for tile$"):
        Tuning().pick("tile", ())


def test_a_tuning_holds_inside_of_its_context_only() -> None:
    target = targets.load("rpi5")
    assert target.caches is not None

    with tuning.using(tuning.of(target)) as asked:
        assert tuning.current() is asked
        assert asked.l1_bytes == target.caches.l1_data_bytes == 65_536
    assert tuning.current().l1_bytes == tuning.DEFAULT_L1_BYTES
