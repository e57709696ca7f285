"""core/extras: what training needs and is not installed is named, with the command that brings it."""

from __future__ import annotations

import pytest

from edgecompress.core import extras
from edgecompress.core.errors import MissingToolError


def test_a_missing_package_is_named_with_the_command_that_brings_it() -> None:
    with pytest.raises(MissingToolError) as caught:
        extras.require_training("no_such_package")

    assert caught.value.message == "training needs the Python package no_such_package, which is not installed"
    assert caught.value.hint == "pip install 'edgecompress[train]'"


def test_what_is_installed_passes() -> None:
    extras.require_training("json")
