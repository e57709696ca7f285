"""Flash through any server of the GDB remote protocol: QEMU, OpenOCD, pyOCD, J-Link, Black Magic Probe.

The address is `host:port` of the server, or the path of a probe's own serial port (`/dev/ttyBmpGdb`).
"""

from __future__ import annotations

import contextlib

from edgecompress.core.errors import EdgecompressError, TransferError, UsageError
from edgecompress.core.target import Region, Target
from edgecompress.core.values import Progress
from edgecompress.deploy import _chip, _firmware_image, _gdb_memory_map, _gdb_servers, _usb_ports
from edgecompress.deploy._gdb_memory_map import FlashRegion
from edgecompress.deploy._gdb_remote import GdbRemote
from edgecompress.deploy._gdb_servers import Dialect
from edgecompress.deploy._serial_line import SerialLine
from edgecompress.deploy._tcp_stream import ClosableStream, TcpStream
from edgecompress.deploy.flashers import ChipFacts, FlashOptions, Image, Segment

PROBE_BAUD = 115_200
ERASE_S = 60.0
WRITE_S = 30.0
FINISH_S = 120.0
CHUNK_BYTES = 16_384

# The numbers of the registers in GDB's description of Armv6-M to Armv8-M (org.gnu.gdb.arm.m-profile).
STACK_POINTER, PROGRAM_COUNTER, STATUS = 13, 15, 25
THUMB_STATE = 1 << 24


class GdbFlasher:
    """A connection to one debug server, its core halted from the beginning."""

    def __init__(self, remote: GdbRemote, dialect: Dialect, target: Target, options: FlashOptions) -> None:
        self.emulated = dialect is _gdb_servers.QEMU
        self._remote = remote
        self._dialect = dialect
        self._target = target
        self._options = options
        self._runs_on = not _gdb_servers.never_ran(remote, dialect)
        self._image: Image | None = None
        remote.description = f"{remote.description} ({_gdb_servers.version(remote, dialect)})"

    @property
    def description(self) -> str:
        """The server, with its address, name and version."""
        return self._remote.description

    def identify(self) -> ChipFacts:
        """Read the core's and the vendor's identification words, and ask an emulator which machine it is."""
        machine = _gdb_servers.machine(self._remote, self._dialect)
        return _chip.read(self._remote.read_word, self._target, machine=machine)

    def write(self, image: Image, progress: Progress) -> None:
        """Write what the memory does not hold yet; flash in whole blocks.

        An emulated chip is reset first, for its reset restores the firmware that the emulator was started with.
        """
        self._runs_on = False
        self._image = image
        if self.emulated:
            _gdb_servers.reset_and_halt(self._remote, self._dialect)
        if self._options.mass_erase:
            self._erase_all()
        flash = self._flash_regions()
        missing = [part for part in _chunks(image) if not self._holds(part)]
        blocks = _gdb_memory_map.blocks_of(flash, [part.region for part in missing])
        again = [part for part in _chunks(image) if part in missing or _any_overlap(part.region, blocks)]
        for block in blocks:
            self._remote.erase_flash(block.origin, block.length, timeout_s=ERASE_S)
        for count, part in enumerate(again):
            progress("write", count, len(again))
            self._write_part(part, flash)
        if blocks:
            self._remote.finish_flash(timeout_s=FINISH_S)

    def read_back(self, region: Region) -> bytes:
        """Read memory. Raises TransferError where the server reads nothing."""
        return self._remote.read_memory(region.origin, region.length)

    def matches(self, segment: Segment) -> bool | None:  # noqa: ARG002
        """Say nothing: what can be read need not be hashed."""
        return None

    def reset(self) -> None:
        """Start the firmware. An emulated chip was reset before it was written: it begins where its vectors say."""
        if self.emulated and self._image is not None:
            stack, start = _firmware_image.vectors(self._image, self._target.boot_bytes)
            self._remote.read_object("features", "target.xml")  # QEMU takes single registers from those who read it
            self._remote.write_register(STACK_POINTER, stack)
            self._remote.write_register(PROGRAM_COUNTER, start & ~1)
            self._remote.write_register(STATUS, THUMB_STATE)
        else:
            _gdb_servers.reset_and_halt(self._remote, self._dialect)
        self._remote.go()
        self._runs_on = False

    def console(self) -> str | None:
        """Where an emulated board's first serial line goes; None on a real one."""
        return _gdb_servers.serial_line(self._remote, self._dialect)

    def close(self) -> None:
        """Let a firmware that was only looked at run on, and drop the connection."""
        if self._runs_on:
            self._runs_on = False
            with contextlib.suppress(EdgecompressError):  # whatever made this end says more
                self._remote.go()  # not every server lets a core go that is detached from
        self._remote.close()

    def _erase_all(self) -> None:
        if self._dialect.mass_erase is None:
            raise UsageError(
                f"{self.description} has no command that erases the whole chip", hint="leave out --mass-erase"
            )
        self._remote.monitor(self._dialect.mass_erase, timeout_s=_gdb_servers.MASS_ERASE_S)

    def _flash_regions(self) -> tuple[FlashRegion, ...]:
        if not self._remote.has("qXfer:memory-map:read"):
            return ()
        return _gdb_memory_map.parse(self._remote.read_object("memory-map"))

    def _holds(self, part: Segment) -> bool:
        try:
            return self._remote.read_memory(part.address, len(part.data)) == part.data
        except TransferError:
            return False

    def _write_part(self, part: Segment, flash: tuple[FlashRegion, ...]) -> None:
        if any(region.region.overlaps(part.region) for region in flash):
            self._remote.write_flash(part.address, part.data, timeout_s=WRITE_S)
        else:
            self._remote.write_memory(part.address, part.data)


def connect(target: Target, address: str | None, *, options: FlashOptions) -> GdbFlasher:
    """Connect to a debug server; that halts the core.

    Raises UsageError without an address, UnreachableError when no server answers there.
    """
    if address is None:
        raise UsageError("gdb:// names no server", hint="--device gdb://127.0.0.1:3333, or gdb:///dev/ttyBmpGdb")
    stream: ClosableStream
    if address.startswith(("/", _usb_ports.BY_USB)):
        stream = SerialLine(_usb_ports.choose(target, address), PROBE_BAUD)
    else:
        stream = TcpStream(address, what="the debug server")
    remote = GdbRemote(stream, f"gdb://{address}")
    try:
        remote.begin()
        dialect = _gdb_servers.recognise(remote)
        _gdb_servers.attach(remote, dialect)
        return GdbFlasher(remote, dialect, target, options)
    except BaseException:
        remote.close()
        raise


def _chunks(image: Image) -> list[Segment]:
    return [
        Segment(address=segment.address + start, data=segment.data[start : start + CHUNK_BYTES])
        for segment in image.segments
        for start in range(0, len(segment.data), CHUNK_BYTES)
    ]


def _any_overlap(part: Region, blocks: tuple[Region, ...]) -> bool:
    return any(block.overlaps(part) for block in blocks)
