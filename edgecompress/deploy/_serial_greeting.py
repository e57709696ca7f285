"""The first words over a serial line: hello, and within three seconds why there is no answer to it."""

from __future__ import annotations

import time
from contextlib import suppress

from edgecompress.core import answers, wire
from edgecompress.core.answers import Hello
from edgecompress.core.errors import UnreachableError, WrongDeviceError
from edgecompress.core.session import Session
from edgecompress.deploy._serial_line import PortLostError, SerialLine

OTHER_BAUDS = (9_600, 57_600, 115_200, 230_400, 460_800, 921_600, 1_000_000)
"""Rates that firmwares are built with. Never 1200: native USB takes it as the order to start a bootloader."""

FIRST_S = 1.0
SEARCH_S = 0.15
CONFIRM_S = 0.5
GARBAGE_AFTER_S = 2.5
GREETING_S = 10.0
TEXT_SHARE = 0.9
SHOWN_CHARACTERS = 60


def greet(line: SerialLine, baud: int, description: str, timeout_s: float = GREETING_S) -> Hello:
    """Ask for hello over an open line.

    What boards print while they start is waited out, and so is silence. Raises UnreachableError when nothing answers
    within `timeout_s`, and after three seconds when text or garbage keeps coming or another rate is answered at;
    WrongDeviceError for another version of the protocol.
    """
    begin = time.monotonic()
    session = Session(line, description)
    with suppress(_NoAnswerError):
        return _ask(session, description, FIRST_S)
    if not _is_text(line.heard):
        hello = _try_other_bauds(session, line, baud, description)
        if hello is not None:
            return hello
    while (left := begin + timeout_s - time.monotonic()) > 0:
        heard = line.heard_bytes
        with suppress(_NoAnswerError):
            return _ask(session, description, min(CONFIRM_S, left))
        if line.heard_bytes > heard and time.monotonic() - begin >= GARBAGE_AFTER_S - CONFIRM_S:
            break
    raise _no_greeting(line, baud, description, time.monotonic() - begin)


class _NoAnswerError(Exception):
    """No answer yet."""


def _ask(session: Session, description: str, timeout_s: float) -> Hello:
    try:
        payload = session.greet(timeout_s)
    except PortLostError:
        raise
    except UnreachableError as error:
        raise _NoAnswerError from error
    hello = answers.read_hello(payload)
    if hello is None:
        raise WrongDeviceError(
            f"{description} does not speak protocol version {wire.PROTOCOL_VERSION}",
            hint="its firmware is of another edgecompress: compile and flash again",
        )
    return hello


def _try_other_bauds(session: Session, line: SerialLine, baud: int, description: str) -> Hello | None:
    """Raise UnreachableError when the board answers at another rate, and not at this one."""
    answered = _answered_baud(session, line, baud, description)
    line.use_baud(baud)
    if answered is None:
        return None
    with suppress(_NoAnswerError):  # what has no rate (native USB, a pty) answers late, whatever was set
        return _ask(session, description, CONFIRM_S)
    raise UnreachableError(
        f"{description} answers at {answered:,} baud, not at {baud:,}",
        hint=f"write `baud = {answered}` into the target's profile",
    )


def _answered_baud(session: Session, line: SerialLine, baud: int, description: str) -> int | None:
    for other in OTHER_BAUDS:
        if other == baud:
            continue
        line.use_baud(other)
        with suppress(_NoAnswerError):
            _ask(session, description, SEARCH_S)
            return other
    return None


def _no_greeting(line: SerialLine, baud: int, description: str, seconds: float) -> UnreachableError:
    if not line.heard_bytes:
        return UnreachableError(
            f"no answer from {description} within {seconds:.1f} s, at {baud:,} baud or another",
            hint="is the firmware on it (`edgecompress flash`), and is this its line? reset the board and try again",
        )
    if _is_text(line.heard):
        text = line.heard.decode("ascii", errors="replace").strip().splitlines()[-1][-SHOWN_CHARACTERS:]
        return UnreachableError(
            f"{description} prints text and answers nothing: {text!r}",
            hint="another program runs there: write the firmware with `edgecompress flash`",
        )
    return UnreachableError(
        f"{description} sent {line.heard_bytes:,} bytes in {seconds:.1f} s, but no frame, at {baud:,} baud or another",
        hint="it only repeats what it is sent: are TX and RX joined?"
        if line.is_echo
        else "another program runs there, or another rate than usual: see `baud` in the target's profile",
    )


def _is_text(heard: bytes) -> bool:
    """True when most of it is printable ASCII, which a wrong rate makes nothing of."""
    printable = sum(0x20 <= byte < 0x7F or byte in b"\r\n\t" for byte in heard)
    return bool(heard) and printable >= TEXT_SHARE * len(heard)
