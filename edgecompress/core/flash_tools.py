"""The tools that write a microcontroller's flash: which program each is, and what brings it."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass

from edgecompress.core.errors import MissingToolError
from edgecompress.core.target import Target

DEBIAN = "on Debian or Ubuntu: sudo apt-get install "


@dataclass(frozen=True, kw_only=True)
class FlashTool:
    """A module of deploy/flashers/ and the program, or else the Python package, that it calls; neither for our own."""

    flasher: str
    install: str = ""
    program: str | None = None
    package: str | None = None

    @property
    def name(self) -> str:
        """The program or package, as one looks for it; our own flashers have their own name."""
        return self.program or self.package or self.flasher

    @property
    def is_there(self) -> bool:
        """True when what it needs is installed."""
        if self.program is not None:
            return shutil.which(self.program) is not None
        return self.package is None or importlib.util.find_spec(self.package) is not None


TOOLS = (
    FlashTool(flasher="gdb"),
    FlashTool(flasher="uf2"),
    FlashTool(flasher="pyocd", package="pyocd", install="pip install 'edgecompress[pyocd]'"),
    FlashTool(flasher="openocd", program="openocd", install=DEBIAN + "openocd"),
    FlashTool(flasher="probe_rs", program="probe-rs", install="see https://probe.rs/docs/getting-started/installation"),
    FlashTool(flasher="st_flash", program="st-flash", install=DEBIAN + "stlink-tools"),
    FlashTool(flasher="jlink", program="JLinkExe", install="see https://www.segger.com/downloads/jlink"),
    FlashTool(flasher="esptool", program="esptool", install="pip install 'esptool>=5'"),
    FlashTool(flasher="picotool", program="picotool", install="see https://github.com/raspberrypi/picotool/releases"),
    FlashTool(flasher="dfu_util", program="dfu-util", install=DEBIAN + "dfu-util"),
    FlashTool(flasher="stm32flash", program="stm32flash", install=DEBIAN + "stm32flash"),
)
"""All of them, as doctor lists them; a test compares them with the modules."""


def known_to(target: Target) -> tuple[FlashTool, ...]:
    """Return the tools that can flash a target as its profile stands, the one that it names itself first.

    Any microcontroller is flashed through a debug server; another tool takes its table `[probe.NAME]` in the profile.
    """
    if target.system != "bare":
        return ()
    fitting = [tool for tool in TOOLS if tool.flasher == "gdb" or tool.flasher in target.probe]
    chosen = [tool for tool in TOOLS if tool.flasher == target.flasher]
    return tuple(dict.fromkeys([*chosen, *fitting]))


def tool_of(flasher: str) -> FlashTool:
    """Return the tool of a flasher's module."""
    return next(tool for tool in TOOLS if tool.flasher == flasher)


def require(flasher: str) -> str:
    """Return the name of a flasher's program. Raises MissingToolError, whose hint says what brings it."""
    tool = tool_of(flasher)
    if tool.program is None or not tool.is_there:
        raise MissingToolError(f"{tool.name} is not installed or not on PATH", hint=tool.install)
    return tool.program
