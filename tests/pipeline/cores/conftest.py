"""Every Cortex-M target: a test that takes `core` runs on each of them."""

from __future__ import annotations

import pytest

from edgecompress.core import target as targets

CORES = tuple(name for name in targets.names() if targets.load(name).system == "bare")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "core" in metafunc.fixturenames:
        metafunc.parametrize("core", CORES)
