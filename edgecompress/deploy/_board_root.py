"""The virtual board's root: what is taken out of Debian's packages, and the few files that are ours."""

from __future__ import annotations

import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgecompress.core.errors import ToolFailedError

PACKAGES = ("busybox-static", "linux-image-cloud-arm64", "openssh-server", "openssh-sftp-server")
PROGRAMS = {
    "bin/busybox": ("bin/busybox", "usr/bin/busybox"),
    "usr/sbin/sshd": ("usr/sbin/sshd",),
    "usr/lib/openssh/sftp-server": ("usr/lib/openssh/sftp-server",),
}
"""Where a program lies on the board, and where Debian's releases have it."""
LOADER = "lib/ld-linux-aarch64.so.1"
LIBRARY_FOLDERS = ("lib/aarch64-linux-gnu", "usr/lib/aarch64-linux-gnu", "lib", "usr/lib")
MODULES = ("virtio_mmio", "virtio_net", "virtio_rng")
KERNEL = "vmlinuz"

SSHD_CONFIG = """\
HostKey /etc/ssh/host_key
AuthorizedKeysFile /etc/ssh/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
AllowUsers pi
UseDNS no
LogLevel ERROR
MaxStartups 100
Subsystem sftp /usr/lib/openssh/sftp-server
"""
TEXTS = {
    "etc/passwd": "root:x:0:0::/:/bin/sh\nsshd:x:100:65534::/run/sshd:/bin/false\npi:x:1000:1000::/home/pi:/bin/sh\n",
    "etc/shadow": "root:*:::::::\nsshd:!:::::::\npi:*:::::::\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\npi:x:1000:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\n",
    "etc/shells": "/bin/sh\n",
    "etc/ssh/sshd_config": SSHD_CONFIG,
    # Files that only stand for their folder.
    **{f"{folder}/.keep": "" for folder in ("proc", "sys", "dev", "tmp", "home", "run/sshd", "var/empty")},
}

Files = dict[str, tuple[int, bytes]]


def collect(packages: Path) -> Files:
    """Choose the board's files out of the folder that holds the packages' content: path -> (permissions, content).

    Raises ToolFailedError when a file is not where this Debian release should have it.
    """
    init = Path(__file__).with_name("_board_init.sh")
    programs = {name: _first(packages, places) for name, places in PROGRAMS.items()}
    modules = _modules(packages)
    return {
        **{path: (0o644, text.encode()) for path, text in TEXTS.items()},
        **{path: (0o755, source.read_bytes()) for path, source in programs.items()},
        **_libraries(packages, list(programs.values())),
        **{f"lib/modules/{name}": (0o644, content) for name, content in modules.items()},
        "etc/modules": (0o644, "".join(f"{name}\n" for name in modules).encode()),
        "init": (0o755, init.read_bytes()),
    }


def kernel(packages: Path) -> bytes:
    """Read the kernel out of the packages."""
    return _only(packages.glob(f"boot/{KERNEL}-*"), "kernel").read_bytes()


def _libraries(packages: Path, programs: list[Path]) -> Files:
    """Take every library that the programs ask for, and that those ask for, and the loader."""
    found = {LOADER: (0o755, _first(packages, (LOADER, f"usr/{LOADER}")).read_bytes())}
    waiting = [name for program in programs for name in _needed(program)]
    while waiting:
        name = waiting.pop()
        path = f"{LIBRARY_FOLDERS[0]}/{name}"
        if path not in found and name != Path(LOADER).name:
            source = _first(packages, tuple(f"{folder}/{name}" for folder in LIBRARY_FOLDERS))
            found[path] = (0o755, source.read_bytes())
            waiting += _needed(source)
    return found


def _needed(path: Path) -> list[str]:
    """The libraries that a program or library names (DT_NEEDED)."""
    from elftools.elf.dynamic import DynamicSection
    from elftools.elf.elffile import ELFFile

    with path.open("rb") as file:
        dynamic = ELFFile(file).get_section_by_name(".dynamic")
        tags: list[Any] = list(dynamic.iter_tags("DT_NEEDED")) if isinstance(dynamic, DynamicSection) else []
        return [str(tag.needed) for tag in tags]


def _modules(packages: Path) -> dict[str, bytes]:
    """Take the drivers of the machine's network and of its random numbers, each behind those that it builds on."""
    files = {
        path.name.split(".ko")[0].replace("-", "_"): path
        for root in ("lib/modules", "usr/lib/modules")
        for path in (packages / root).glob("*/kernel/**/*.ko*")
    }
    ordered: dict[str, bytes] = {}

    def take(name: str) -> None:
        if name not in files:
            raise _absent(f"kernel module {name}")
        content = files[name].read_bytes()
        content = lzma.decompress(content) if files[name].suffix == ".xz" else content
        for other in _depends(content):
            take(other)
        ordered.setdefault(f"{name}.ko", content)

    for module in MODULES:
        take(module)
    return ordered


def _depends(module: bytes) -> list[str]:
    """The modules named by the field `depends=` of a module's .modinfo section."""
    from io import BytesIO

    from elftools.elf.elffile import ELFFile

    section = ELFFile(BytesIO(module)).get_section_by_name(".modinfo")
    fields = section.data().split(b"\0") if section is not None else []
    listed = next((field[len(b"depends=") :] for field in fields if field.startswith(b"depends=")), b"")
    return [name.replace("-", "_") for name in listed.decode().split(",") if name]


def _first(packages: Path, places: tuple[str, ...]) -> Path:
    for place in places:
        path = packages / place
        if path.is_file():
            return path
    raise _absent(places[0])


def _only(found: Iterator[Path], what: str) -> Path:
    path = next(found, None)
    if path is None:
        raise _absent(what)
    return path


def _absent(what: str) -> ToolFailedError:
    return ToolFailedError(
        f"Debian's packages hold no {what}", hint="the release has changed: this is a bug in edgecompress"
    )
