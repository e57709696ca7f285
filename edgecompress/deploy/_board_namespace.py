"""Become an SSH server under which another machine's programs start by themselves, where the kernel lets us.

Called as `python _board_namespace.py RUNNER MACHINE SSHD ARGUMENTS…`. In a user and a mount namespace of its own the
process registers RUNNER with a binfmt_misc of its own (Linux 6.7; Documentation/admin-guide/binfmt-misc.rst) and
becomes SSHD; nothing outside sees that registration. Where the kernel or a container forbids it, and where MACHINE is
this one's own, SSHD runs without: a program that is started by RUNNER runs all the same, but cannot start itself anew.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import sys
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
BINFMT = "/proc/sys/fs/binfmt_misc"

# Offsets of a System V ELF header: class and data at 4, type at 16, machine at 18. The mask lets ET_EXEC and ET_DYN in.
ELF_CLASS = {"aarch64": 2, "arm": 1, "x86_64": 2}
ELF_MACHINE = {"aarch64": 183, "arm": 40, "x86_64": 62}
MASK = b"\xff" * 7 + b"\x00" + b"\xff" * 8 + b"\xfe\xff\xff\xff"


def magic(machine: str) -> bytes:
    """The first twenty bytes of a little-endian program of that machine."""
    header = b"\x7fELF" + bytes([ELF_CLASS[machine], 1, 1]) + bytes(9)
    return header + (2).to_bytes(2, "little") + ELF_MACHINE[machine].to_bytes(2, "little")


def register(runner: str, machine: str) -> None:
    """Enter the namespaces and register the runner. Raises OSError where that is not allowed."""
    if platform.machine() == machine:
        raise OSError("its programs are this machine's own")
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        _enter_as_root()
    else:
        _enter(CLONE_NEWUSER | CLONE_NEWNS, f"0 {user} 1", f"0 {group} 1")
    _call("mount", b"binfmt_misc", BINFMT.encode(), b"binfmt_misc", 0, None)
    fields = ("", "edgecompress", "M", "", _escape(magic(machine)), _escape(MASK), runner, "")
    Path(BINFMT, "register").write_text("|".join(fields))
    if user != 0:  # only root may register; the server is to be who we are
        _enter(CLONE_NEWUSER, f"{user} 0 1", f"{group} 0 1")


def _enter(kinds: int, users: str, groups: str) -> None:
    """Enter new namespaces with these maps of numbers (user_namespaces(7)): new, present, how many."""
    _call("unshare", kinds)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(users)
    Path("/proc/self/gid_map").write_text(groups)


def _enter_as_root() -> None:
    """Keep all users' numbers: sshd needs its own. Only a process outside may write such a map, so one stays there."""
    waits, tells = os.pipe()
    process = os.getpid()
    writer = os.fork()
    if writer == 0:
        os.close(tells)
        os.read(waits, 1)
        os._exit(_write_maps(process))
    os.close(waits)
    try:
        _call("unshare", CLONE_NEWUSER | CLONE_NEWNS)
    finally:
        os.close(tells)
        _, status = os.waitpid(writer, 0)
    if status != 0:
        raise OSError("the users' numbers cannot be kept in a namespace")


def _write_maps(process: int) -> int:
    """Map every number that this process has to itself; return the exit code."""
    try:
        for kind in ("uid_map", "gid_map"):
            ranges = [line.split() for line in Path(f"/proc/self/{kind}").read_text().splitlines()]
            same = "".join(f"{first} {first} {count}\n" for first, _, count in ranges)
            Path(f"/proc/{process}/{kind}").write_text(same)
    except OSError:
        return 1
    return 0


def _call(name: str, *arguments: object) -> None:
    """Call a function of the C library that returns 0. Raises OSError with its reason otherwise."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _escape(data: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in data)


def can_register(runner: str, machine: str) -> bool:
    """Try it in a child, and say on stderr why it cannot be: a process cannot leave a namespace that it entered."""
    child = os.fork()
    if child == 0:
        try:
            register(runner, machine)
        except OSError as error:
            sys.stderr.write(f"programs of {machine} cannot start themselves: {error}\n")
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return status == 0


def main(runner: str, machine: str, server: list[str]) -> None:
    """Register if that can be, and become the server, to end with the parent."""
    parent = os.getppid()
    if can_register(runner, machine):
        register(runner, machine)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)
    os.execv(server[0], server)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
