"""A command string for SSH's exec that every login shell reads the same way.

sshd hands the string to the user's login shell: sh, bash, zsh, fish, csh. They disagree on quotes, `!`, backslashes and
newlines, so no word is quoted at all. The string is one constant script and, after it, words of the letters `\\`, `0`
to `7` and nothing else: each byte in octal, which the script decodes with `printf %b` and never evaluates.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

NOT_EXECUTABLE, NOT_FOUND = 126, 127
"""The exit codes of `exec` for a file that cannot be executed and one that is not there (POSIX, 2.8.2)."""

Words = Sequence[str | bytes]

# For each word: decode it and put it back at the end. The `_` keeps newlines that a substitution would drop. The
# process id on stderr is that of the program: each `exec` keeps it.
EXECUTE = (
    'LC_ALL=C; for w do shift; w=$(printf "%b_" "$w"); set -- "$@" "${w%_}"; done; unset LC_ALL; '
    'echo "edgecompress: process $$" >&2; exec "$@"'
)
TOLD_PID = re.compile(rb"edgecompress: process (\d+)\n")
KILL_GROUP = 'kill -9 "-$1"'


def command(words: Words) -> str:
    """Return the string that executes the words, the first of them a program's path or a name on PATH."""
    return script_command(EXECUTE, *(octal(word).decode() for word in words))


def script_command(script: str, *words: str) -> str:
    """Return the string that runs one of our constant scripts with `$1` and so on from `words`."""
    return f"exec /bin/sh -c '{script}' sh " + " ".join(f"'{word}'" for word in words)


def octal(word: str | bytes) -> bytes:
    """Write each byte of a word as `printf %b` reads it."""
    return b"".join(b"\\0%03o" % byte for byte in os.fsencode(word))
