"""pyOCD as a library, the extra `pyocd`: ST-LINK, J-Link and CMSIS-DAP probes (pyocd.io/docs/python_api_examples).

[probe.pyocd]
target_type = "stm32l4r5zitx"    # as `pyocd list --targets` prints it; many come by `pyocd pack install`
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from edgecompress.core import flash_tools, toml_file
from edgecompress.core.errors import EdgecompressError, MissingToolError, TransferError, UnreachableError, UsageError
from edgecompress.core.target import Region, Target
from edgecompress.core.values import FileValue, Progress
from edgecompress.deploy import _chip, _usb_ports
from edgecompress.deploy._usb_devices import same_number
from edgecompress.deploy.flashers import ChipFacts, Flasher, FlashOptions, Image, Segment

OPEN_S = 30.0
RESET_S = 20.0
WORD_S = 10.0
SLOWEST_BYTES_PER_S = 4_000
LISTED_S = 20.0

T = TypeVar("T")


class Options(FileValue):
    """`target_type`: the chip's name in pyOCD."""

    target_type: str


class PyOcdFlasher:
    """An open pyOCD session (see `Flasher`). Its calls run in threads that are given up at a deadline."""

    emulated = False

    def __init__(self, session: Any, target: Target, options: FlashOptions) -> None:
        self.description = f"{target.name} at {session.probe.unique_id} (pyocd)"
        self._session: Any | None = session
        self._target = target
        self._options = options
        self._serial_number: str = session.probe.unique_id

    def identify(self) -> ChipFacts:
        """Read the core's and the chip's identification. Raises UnreachableError when not even the first word comes."""
        return _chip.read(self._read_word, self._target)

    def write(self, image: Image, progress: Progress) -> None:
        """Write what differs; sectors that are touched are erased. Raises TransferError when pyOCD fails."""
        from pyocd.flash.loader import FlashLoader

        erase = "chip" if self._options.mass_erase else "sector"

        def show(part: float) -> None:
            progress("write", round(part * image.bytes), image.bytes)

        def program() -> None:
            loader = FlashLoader(self._opened, progress=show, chip_erase=erase, trust_crc=False)
            for segment in image.segments:
                loader.add_data(segment.address, segment.data)
            loader.commit()

        seconds = OPEN_S + image.bytes / SLOWEST_BYTES_PER_S
        self._must(program, seconds, "writing")

    def read_back(self, region: Region) -> bytes | None:
        """Read memory. Raises TransferError when pyOCD fails."""
        seconds = OPEN_S + region.length / SLOWEST_BYTES_PER_S
        return self._must(
            lambda: bytes(self._opened.target.read_memory_block8(region.origin, region.length)), seconds, "reading"
        )

    def matches(self, segment: Segment) -> bool | None:  # noqa: ARG002
        """Return None: what can be read needs no hash."""
        return None

    def reset(self) -> None:
        """Reset and run. Raises UnreachableError when pyOCD fails."""
        _within(RESET_S, lambda: self._opened.target.reset(), f"{self.description}: the reset")

    def console(self) -> str | None:
        """The probe's own serial port, when it has exactly one."""
        alike = [port for port in _usb_ports.ports() if same_number(port.serial_number, self._serial_number)]
        return _usb_ports.address_of(alike[0]) if len(alike) == 1 else None

    def close(self) -> None:
        """Close the session; harmless twice."""
        session, self._session = self._session, None
        if session is not None:
            with suppress(EdgecompressError):  # whatever made this end says more
                _within(RESET_S, session.close, f"{self.description}: the end of the session")

    @property
    def _opened(self) -> Any:
        if self._session is None:
            raise UnreachableError(f"{self.description} was closed")
        return self._session

    def _read_word(self, address: int) -> int | None:
        try:
            return _within(
                WORD_S, lambda: int(self._opened.target.read32(address)), f"{self.description}: reading {address:#x}"
            )
        except UnreachableError:
            if address == _chip.CPUID:
                raise
            return None

    def _must(self, call: Callable[[], T], seconds: float, what: str) -> T:
        try:
            return _within(seconds, call, f"{self.description}: {what}")
        except UnreachableError as error:
            raise TransferError(error.message, hint=error.hint) from error


def connect(target: Target, address: str | None, *, options: FlashOptions) -> Flasher:
    """Find the probe by its USB serial number, or the only one, and open a session.

    pyOCD unlocks protected chips by itself, which erases them: only `mass_erase` lets it.
    """
    table = toml_file.parse(dict(target.probe.get("pyocd", {})), Options, where=f"{target.name}: probe.pyocd")
    if importlib.util.find_spec("pyocd") is None:
        tool = flash_tools.tool_of("pyocd")
        raise MissingToolError("the Python package pyocd is not installed", hint=tool.install)
    from pyocd.core.session import Session

    probe = _choose(address)
    settings = {
        "target_override": table.target_type,
        "auto_unlock": options.mass_erase,
        "cache.enable_memory": False,  # what is read back must come from the chip
        "connect_mode": "attach",
        "resume_on_disconnect": True,
        "hide_programming_progress": True,
        "no_config": True,
    }
    session = _within(OPEN_S, lambda: Session(probe, options=settings), f"the probe {probe.unique_id}")
    _within(OPEN_S, session.open, f"{target.name} behind the probe {probe.unique_id}")
    return PyOcdFlasher(session, target, options)


def _choose(serial_number: str | None) -> Any:
    from pyocd.core.helpers import ConnectHelper

    there = _within(LISTED_S, lambda: ConnectHelper.get_all_connected_probes(blocking=False), "pyocd's list of probes")
    listed = f"there are: {', '.join(probe.unique_id for probe in there) or 'none'}"
    fitting = [probe for probe in there if serial_number is None or same_number(probe.unique_id, serial_number)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise UsageError(f"{len(fitting)} debug probes could be meant: which one?", hint=listed)
    which = f" has the USB serial number {serial_number}" if serial_number is not None else " is connected"
    raise UnreachableError(f"no debug probe{which}", hint=f"{listed}; is it plugged in?")


def _within(seconds: float, call: Callable[[], T], what: str) -> T:
    """Call in a thread; raise UnreachableError when it fails, or has not returned in time: then it is given up."""
    done: list[T] = []
    failed: list[Exception] = []

    def work() -> None:
        try:
            done.append(call())
        except Exception as error:  # pyOCD's, libusb's and the probe drivers' errors have no base in common
            failed.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise UnreachableError(f"{what} failed: {failed[0]}") from failed[0]
    if not done:
        raise UnreachableError(f"{what} did not end within {seconds:g} s")
    return done[0]
