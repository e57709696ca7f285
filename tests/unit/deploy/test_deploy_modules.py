"""Every module of the deploy stage keeps to the stage's contract."""

from __future__ import annotations

import inspect

import pytest

from edgecompress.core import plugins
from edgecompress.core import target as targets
from edgecompress.core.device import Device
from edgecompress.core.errors import ConfigError, UsageError

CONTRACT = "(target: 'Target', address: 'str | None' = None, *, emulator_args: 'tuple[str, ...]' = ()) -> 'Device'"


@pytest.mark.parametrize("name", plugins.names("deploy"))
def test_a_deploy_module_connects_a_target_and_an_address_to_a_device(name: str) -> None:
    module = plugins.find("deploy", name, where="test")
    assert str(inspect.signature(module.connect)) == CONTRACT
    assert module.__doc__


@pytest.mark.parametrize("name", targets.names())
def test_connecting_starts_nothing(name: str) -> None:
    target = targets.load(name)
    address = "pi@board" if target.link == "ssh" else None
    device = plugins.find("deploy", target.link, where=name).connect(target, address)
    assert isinstance(device, Device)
    assert device.emulated == (target.emulator is not None)
    assert target.name in device.description
    device.close()


def test_a_board_behind_ssh_needs_an_address() -> None:
    with pytest.raises(UsageError) as caught:
        plugins.find("deploy", "ssh", where="test").connect(targets.load("rpi4"))
    assert caught.value.message == "rpi4 is reached over SSH, at an address"
    assert caught.value.hint == "give it: --device ssh://pi@HOST"


def test_a_target_without_an_emulator_cannot_be_emulated() -> None:
    with pytest.raises(ConfigError) as caught:
        plugins.find("deploy", "qemu", where="test").connect(targets.load("host"))
    assert caught.value.message == "the target host names no emulator"
    assert caught.value.hint == "add an [emulator] table to its profile"
