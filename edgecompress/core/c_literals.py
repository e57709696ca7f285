"""Any text inside of C: as a string, in a comment."""

from __future__ import annotations


def string_literal(text: str) -> str:
    """The C literal of a string in UTF-8; anything but plain ASCII as octal escapes, and no trigraphs."""
    plain = set(range(0x20, 0x7F)) - set(b'"\\?')
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode()) + '"'


def comment(text: str) -> str:
    """Any text as the inside of a block comment, on one line: it cannot end the comment."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in text)
    return printable.replace("*/", "* /").replace("/*", "/ *")
