"""Become another program that ends when this one's parent does, even when that is killed.

Called as `python _parent_death.py PARENT_PID PROGRAM ARGUMENTS…`. Linux sends the signal (prctl(2), PR_SET_PDEATHSIG)
and keeps the request across execve; it comes when the thread that started this program ends. Elsewhere the program only
ends when the link is closed.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Ask for the signal and for no core dump, then execute the command in this process."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(1)
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
