"""Every module of measure/, found by its name, keeps the stage's contract."""

from __future__ import annotations

from typing import Any

import pytest

from edgecompress.core import plugins
from edgecompress.core.values import Evidence


@pytest.mark.parametrize("name", plugins.names("measure"))
def test_a_module_gives_figures_that_say_where_they_come_from(
    name: str, board: Any, bundle: Any, evidence: Evidence
) -> None:
    found = plugins.find("measure", name, where="test").read(board, bundle, evidence)

    assert found.metrics or found.layers
    for metric in found.metrics:
        assert (metric.value is None) == (metric.missing is not None)
        assert metric.value is None or (metric.instrument and metric.samples)
