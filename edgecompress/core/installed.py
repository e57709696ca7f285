"""What is installed here: compilers, emulators, flashers, packages; and which targets can be built and run with it."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Iterable
from dataclasses import dataclass

from edgecompress.core import compilers, flash_tools, tools
from edgecompress.core import target as targets
from edgecompress.core.compilers import ZIG_INSTALL
from edgecompress.core.errors import EdgecompressError, MissingToolError
from edgecompress.core.target import Target

PACKAGE = "Python package"
SSHD = "sshd"
SSHD_FOLDERS = ("/usr/sbin", "/usr/local/sbin")
BOARD_BUILDER = "mmdebstrap"
QEMU_USER = {"aarch64": "qemu-aarch64", "armv7l": "qemu-arm", "armv6l": "qemu-arm", "x86_64": "qemu-x86_64"}
QEMU_SYSTEM = {"aarch64": "qemu-system-aarch64"}

PYTHON_PACKAGES = {
    "apache-tvm": "the compiler",
    "onnxruntime": "quantization, and the judge of accuracy",
    "paramiko": "boards behind SSH",
    "ziglang": "a C compiler for every Linux target",
}
OPTIONAL_INSTALL = {"ziglang": ZIG_INSTALL}


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A program or Python package: its version, or None and how to install it; and what it is good for."""

    name: str
    kind: str
    purpose: str
    version: str | None
    install: str


@dataclass(frozen=True, kw_only=True)
class Prospect:
    """What can be done for a target here: what builds for it, on what its programs run, what to install for the rest.

    `compiler` is None when nothing builds for it; `runs_on` are addresses for `--device`, or links in words;
    `flashed_by` are names for `--flasher`.
    """

    target: str
    compiler: str | None
    runs_on: tuple[str, ...]
    install: tuple[str, ...]
    flashed_by: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Survey:
    """All tools and all targets."""

    tools: tuple[Tool, ...]
    targets: tuple[Prospect, ...]

    @property
    def to_install(self) -> dict[str, list[str]]:
        """Everything that could be installed: the command, and for which targets or for what."""
        wanted: dict[str, list[str]] = {}
        for prospect in self.targets:
            for install in prospect.install:
                wanted.setdefault(install, []).append(prospect.target)
        for tool in self.tools:
            if tool.kind == PACKAGE and tool.version is None:
                wanted.setdefault(tool.install, []).append(tool.purpose)
        return wanted


def survey(chosen: Iterable[Target]) -> Survey:
    """Look for everything that the targets can be built and run with. Starts compilers to ask for their versions."""
    listed = tuple(chosen)
    return Survey(
        tools=(*_compilers(listed), *_emulators(listed), *_flashers(listed), *map(_package, PYTHON_PACKAGES)),
        targets=tuple(_prospect(target) for target in listed),
    )


def _compilers(listed: tuple[Target, ...]) -> list[Tool]:
    used: dict[str, list[str]] = {"gcc": ["the host program of every bundle"]}
    for target in listed:
        used.setdefault(compilers.gnu(target.toolchain).words[0], []).append(target.name)
    return [_program(name, "compiler", ", ".join(purposes)) for name, purposes in used.items()]


def _emulators(listed: tuple[Target, ...]) -> list[Tool]:
    used: dict[str, list[str]] = {}
    for target in listed:
        for program in filter(None, (_board_emulator(target), _qemu_user(target), _qemu_system(target))):
            used.setdefault(program, []).append(target.name)
    found = [_program(name, "emulator", ", ".join(purposes)) for name, purposes in used.items()]
    return [*found, _program(SSHD, "emulator", "loop://"), _program(BOARD_BUILDER, "emulator", "vm://")]


def _flashers(listed: tuple[Target, ...]) -> list[Tool]:
    """The programs and packages that flash. They are not started: not every one says its version and ends."""
    outside = [tool for tool in flash_tools.TOOLS if tool.program or tool.package]
    found = []
    for tool in outside:
        users = [target.name for target in listed if tool in flash_tools.known_to(target)]
        version = "there" if tool.is_there else None
        purpose = ", ".join(users) or "boards of your own"
        found.append(Tool(name=tool.name, kind="flasher", purpose=purpose, version=version, install=tool.install))
    return found


def _prospect(target: Target) -> Prospect:
    builds: str | None
    try:
        compiler = compilers.choose(target)
        builds, install = compiler.name, []
    except MissingToolError as error:
        builds, install = None, [error.hint or error.message]
    ways = {way: _missing(programs) for way, programs in _ways(target).items()}
    missing = [program for programs in ways.values() for program in programs]
    if missing:
        packages = dict.fromkeys(tools.debian_packages(program) for program in missing)
        install.append(f"on Debian or Ubuntu: sudo apt-get install {' '.join(packages)}")
    flashers = flash_tools.known_to(target)
    if flashers and not flashers[0].is_there:
        install.append(flashers[0].install)
    return Prospect(
        target=target.name,
        compiler=builds,
        runs_on=tuple(way for way, programs in ways.items() if not programs),
        install=tuple(install),
        flashed_by=tuple(tool.flasher for tool in flashers if tool.is_there),
    )


def _ways(target: Target) -> dict[str, tuple[str, ...]]:
    """On what the target's programs can run, and the programs that this takes."""
    emulator, user, system = _board_emulator(target), _qemu_user(target), _qemu_system(target)
    if emulator is not None:
        return {emulator: (emulator,)}
    if target.link == "local":
        return {"this machine": ()}
    if target.link == "serial":
        return {"serial://": ()}
    ways: dict[str, tuple[str, ...]] = {"ssh://": ()}
    if user is not None:
        ways[f"loop://{target.name}"] = (user, SSHD)
    if system is not None:
        ways[f"vm://{target.name}"] = (system, BOARD_BUILDER)
    return ways


def _board_emulator(target: Target) -> str | None:
    return target.emulator.program if target.emulator is not None else None


def _qemu_user(target: Target) -> str | None:
    return QEMU_USER.get(target.machine or "") if target.link == "ssh" else None


def _qemu_system(target: Target) -> str | None:
    return QEMU_SYSTEM.get(target.machine or "") if target.link == "ssh" else None


def _missing(programs: Iterable[str]) -> tuple[str, ...]:
    return tuple(program for program in programs if _path(program) is None)


def _path(program: str) -> str | None:
    """Find a program; Debian names the static emulators apart, and an ordinary user's PATH lacks sshd's folder."""
    names = (program, f"{program}-static") if program in QEMU_USER.values() else (program,)
    found = [shutil.which(name) for name in names]
    found += [shutil.which(SSHD, path=folder) for folder in SSHD_FOLDERS if program == SSHD]
    return next(filter(None, found), None)


def _program(name: str, kind: str, purpose: str) -> Tool:
    install = f"on Debian or Ubuntu: sudo apt-get install {tools.debian_packages(name)}"
    return Tool(name=name, kind=kind, purpose=purpose, version=_version(name), install=install)


def _version(name: str) -> str | None:
    path = _path(name)
    if path is None:
        return None
    try:
        return "there" if name == SSHD else tools.version(path)
    except EdgecompressError:
        return "there, but it does not say its version"


def _package(name: str) -> Tool:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        version = None
    install = OPTIONAL_INSTALL.get(name, "pip install edgecompress")
    return Tool(name=name, kind=PACKAGE, purpose=PYTHON_PACKAGES[name], version=version, install=install)


def shipped() -> Survey:
    """Survey every shipped target."""
    return survey(targets.load(name) for name in targets.names())
