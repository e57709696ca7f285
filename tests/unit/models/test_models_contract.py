"""Every module of models and of compress keeps its stage's contract."""

from __future__ import annotations

import inspect

import pytest

from edgecompress.core import plugins


@pytest.mark.parametrize("name", plugins.names("models"))
def test_a_model_format_says_its_suffixes_and_loads(name: str) -> None:
    module = plugins.find("models", name, where="test")

    assert module.SUFFIXES
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in module.SUFFIXES)
    assert list(inspect.signature(module.load).parameters) == ["path", "name", "shapes"]


def test_no_two_model_formats_share_a_suffix() -> None:
    modules = [plugins.find("models", name, where="test") for name in plugins.names("models")]
    suffixes = [suffix for module in modules for suffix in module.SUFFIXES]

    assert len(suffixes) == len(set(suffixes))


@pytest.mark.parametrize("name", plugins.names("compress"))
def test_a_compression_method_applies(name: str) -> None:
    module = plugins.find("compress", name, where="test")

    assert list(inspect.signature(module.apply).parameters) == ["model", "options", "context"]
    assert module.__doc__
