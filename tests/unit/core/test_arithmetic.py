"""The arithmetic of float networks that a target is asked for."""

from __future__ import annotations

import pytest

from edgecompress.core import target as targets
from edgecompress.core.errors import ConfigError


def test_a_core_with_half_precision_is_asked_to_multiply_halves() -> None:
    target = targets.load("rpi5")
    assert target.arithmetic == "float"
    assert target.computing_in("half") == target.model_copy(update={"arithmetic": "half"})


def test_nothing_asked_for_leaves_the_profiles_arithmetic() -> None:
    half = targets.load("rpi5").computing_in("half")
    assert half.computing_in(None) is half
    assert half.computing_in("float").arithmetic == "float"


def test_a_core_without_half_precision_is_refused() -> None:
    with pytest.raises(ConfigError) as error:
        targets.load("rpi4").computing_in("half")
    assert error.value.message == "rpi4 (cortex-a72) has no arithmetic in half precision"
    assert error.value.hint == "leave out --arithmetic half, or choose a target with the feature fp16: rpi5"


def test_exact_floats_and_half_precision_exclude_each_other() -> None:
    exact = targets.load("rpi5").model_copy(update={"exact_float": True})
    with pytest.raises(ConfigError) as error:
        exact.computing_in("half")
    assert error.value.message == "rpi5 says exact_float = true, which asks for 1e-5; half precision keeps 1e-3"
    assert error.value.hint == "leave out --arithmetic half, or exact_float in the target profile"
