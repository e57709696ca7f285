"""Flash a bundle's firmware through a GDB server, as deploy/_flashing.py says, and speak to the board it is behind.

The address is that of deploy/flashers/gdb.py. What the flash holds already is not written again. This link finds the
board's serial line only where the server tells it (QEMU); `edgecompress flash --console` says it for others.
"""

from __future__ import annotations

from edgecompress.core.device import Device
from edgecompress.core.errors import UsageError
from edgecompress.core.target import Target
from edgecompress.deploy._flash_link import FlashLink, Tool
from edgecompress.deploy.flashers import FlashOptions


def connect(target: Target, address: str | None = None, *, emulator_args: tuple[str, ...] = ()) -> Device:
    """Return the board behind the server as a device; it is flashed when a bundle is installed there.

    Raises UsageError when emulator arguments are given: whoever started the server started it with its own.
    """
    if emulator_args:
        raise UsageError("--emulator-args means nothing for a server that runs already")
    return Device(FlashLink(target, Tool(flasher="gdb", address=address, options=FlashOptions())), target)
