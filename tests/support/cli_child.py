"""Command lines in processes that may be killed: `python cli_child.py LOG`.

Imports what `deploy --slot` needs once, then forks for each line on stdin, a JSON list of words: the child runs
`edgecompress WORDS…`. Writes the child's pid, and when it has ended its exit code, or the signal's number below zero.
What the children print goes to LOG.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from edgecompress.cli import commands, main
from edgecompress.deploy import _signing_key, _slot_update, qemu
from edgecompress.pipeline import slots

IMPORTED = (commands, _signing_key, _slot_update, qemu, slots)


def serve(log: Path) -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            with log.open("ab") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            _run(json.loads(line))
        _tell(child)
        _tell(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def _run(words: list[str]) -> None:
    try:
        main(words)
    except SystemExit as end:
        os._exit(end.code if isinstance(end.code, int) else 1)
    finally:
        os._exit(0)


def _tell(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
