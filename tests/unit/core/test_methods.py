"""core/methods: a method is described by its own module, in the words of a recipe."""

from __future__ import annotations

import pytest

from edgecompress.core import methods
from edgecompress.core.errors import ConfigError


def test_an_option_is_told_with_its_values_and_its_default() -> None:
    described = methods.describe("static_int8")

    told = {option.name: (option.values, option.default) for option in described.options}
    assert described.summary.startswith("Static int8 quantization")
    assert told["ranges"] == ("minmax | percentile | entropy | mse", "minmax")
    assert told["percentile"] == ("number > 50 <= 100", "99.99")
    assert told["symmetric"] == ("true | false", "false")


def test_an_unknown_method_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no compress module is called 'static_int9'") as caught:
        methods.describe("static_int9")

    assert (caught.value.hint or "").startswith("did you mean 'static_int8'?")
