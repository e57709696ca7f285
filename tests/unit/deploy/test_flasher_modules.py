"""Every flasher keeps to the contract, and every shipped profile gives each tool the table that it takes."""

from __future__ import annotations

import inspect

import pytest

from edgecompress.core import plugins, toml_file
from edgecompress.core import target as targets
from edgecompress.core.errors import ConfigError
from edgecompress.deploy.flashers import FlashOptions

FLASHERS = plugins.names("deploy.flashers")
TABLES = [(name, flasher) for name in targets.names() for flasher in targets.load(name).probe]


@pytest.mark.parametrize("name", FLASHERS)
def test_a_flasher_connects_a_target_and_an_address(name: str) -> None:
    module = plugins.find("deploy.flashers", name, where="test")
    signature = str(inspect.signature(module.connect))
    assert signature.startswith("(target: 'Target', address: 'str | None', *, options: 'FlashOptions') -> ")
    assert module.__doc__


@pytest.mark.parametrize(("target", "flasher"), TABLES)
def test_a_shipped_profile_gives_a_flasher_its_table(target: str, flasher: str) -> None:
    module = plugins.find("deploy.flashers", flasher, where=target)
    table = dict(targets.load(target).probe[flasher])
    if hasattr(module, "Options"):
        toml_file.parse(table, module.Options, where=target)
    else:
        assert table == {}


@pytest.mark.parametrize("name", [n for n in targets.names() if targets.load(n).flasher])
def test_the_flasher_that_a_profile_names_has_its_table(name: str) -> None:
    target = targets.load(name)
    assert target.flasher in (*target.probe, "gdb")


def test_without_its_table_a_flasher_says_which_key_is_missing() -> None:
    board = targets.load("mps2-an386").model_copy(update={"probe": {}})
    with pytest.raises(ConfigError) as caught:
        plugins.find("deploy.flashers", "openocd", where="test").connect(board, None, options=FlashOptions())
    assert caught.value.message == "mps2-an386: probe.openocd: the key 'config' is missing"
