"""A command string for SSH's exec that every login shell reads the same way.

sshd hands the string to the user's login shell: sh, bash, zsh, fish, csh. They disagree on quotes, `!`, backslashes and
newlines, so no word is quoted at all. The string is one constant script and, after it, words of the letters `\\`, `0`
to `7` and nothing else: each byte in octal, which the script decodes with `printf %b` and never evaluates.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

NOT_EXECUTABLE, NOT_FOUND = 126, 127
"""The exit codes of `exec` for a file that cannot be executed and one that is not there (POSIX, 2.8.2)."""

# For each word: decode it and put it back at the end. The `_` keeps newlines that a substitution would drop.
DECODE = 'LC_ALL=C; for w do shift; w=$(printf "%b_" "$w"); set -- "$@" "${w%_}"; done; unset LC_ALL; '


def command(words: Sequence[str | bytes]) -> str:
    """Return the string that executes the words, the first of them a program's path or a name on PATH."""
    return _string(DECODE + 'exec "$@"', words)


def quiet_command(words: Sequence[str | bytes]) -> str:
    """The same with stderr thrown away, so that nobody has to read it."""
    return _string(DECODE + 'exec "$@" 2>/dev/null', words)


def _string(script: str, words: Sequence[str | bytes]) -> str:
    encoded = " ".join("'" + "".join(rf"\0{byte:03o}" for byte in os.fsencode(word)) + "'" for word in words)
    return f"exec /bin/sh -c '{script}' sh {encoded}"
