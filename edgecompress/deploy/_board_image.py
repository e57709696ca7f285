"""The kernel and root of a virtual board, built once out of Debian's packages and kept in the user's cache.

Nothing of another architecture is executed for it: packages are unpacked, never installed. The image holds no key.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgecompress.core import files, tools
from edgecompress.core.errors import ConfigError, StorageError
from edgecompress.core.values import Progress
from edgecompress.deploy import _board_cpio, _board_root

SUITE = "bookworm"
BUILD_TIMEOUT_S = 900.0
APT_TIMEOUT_S = 30.0
KEPT_S = 30 * 24 * 3600.0
MIRROR_VARIABLE = "EDGECOMPRESS_DEBIAN_MIRROR"
SOURCES = ("_board_cpio.py", "_board_image.py", "_board_init.sh", "_board_root.py")
BUILDING = "build the virtual board (once, about a minute)"


@dataclass(frozen=True, kw_only=True)
class Image:
    """What QEMU starts: an arm64 kernel and the archive of its root, not compressed."""

    folder: Path

    @property
    def kernel(self) -> Path:
        """The kernel's image."""
        return self.folder / "kernel"

    @property
    def root(self) -> Path:
        """The root as a cpio archive."""
        return self.folder / "root.cpio"


def cache_folder() -> Path:
    """The user's folder for what can be made again: `~/.cache/edgecompress` unless XDG_CACHE_HOME says otherwise."""
    from platformdirs import user_cache_path

    return user_cache_path("edgecompress", appauthor=False)


def find_or_build(progress: Progress) -> Image:
    """Return the image of this version of edgecompress; build it when the cache does not hold it.

    Two processes that want it at the same time build it once. Raises MissingToolError without mmdebstrap, ConfigError
    when no Debian mirror is known, ToolFailedError when the packages cannot be had, StorageError when the cache cannot
    be written.
    """
    image = Image(folder=cache_folder() / "virtual-board" / _key())
    if _is_whole(image):
        return image
    try:
        with _only_builder(image.folder.parent):
            if not _is_whole(image):
                _build(image, progress)
                _remove_old_versions(image)
    except StorageError as error:
        raise StorageError(error.message, hint="free some space, or set XDG_CACHE_HOME to another folder") from error
    return image


def mirror() -> str:
    """Name the Debian mirror: that of the environment, else the one that this machine's own apt uses.

    Raises ConfigError when apt knows none, as on another distribution.
    """
    chosen = os.environ.get(MIRROR_VARIABLE) or _mirror_of_apt()
    if chosen is None:
        raise ConfigError(
            "the virtual board is made of Debian's packages, and this machine's apt knows no Debian mirror",
            hint=f"set {MIRROR_VARIABLE} to the address of one",
        )
    return chosen


def _key() -> str:
    """A hash of everything that decides what is in the image, the mirror's state aside."""
    sources = b"".join(Path(__file__).with_name(name).read_bytes() for name in SOURCES)
    return hashlib.sha256(sources).hexdigest()[:16]


def _is_whole(image: Image) -> bool:
    return image.kernel.is_file() and image.root.is_file()


@contextmanager
def _only_builder(folder: Path) -> Iterator[None]:
    """Wait until no other process builds."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise StorageError(f"cannot write {folder}: {error.strerror}") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(image: Image, progress: Progress) -> None:
    progress(BUILDING, 0, 2)
    with files.whole_folder(image.folder) as draft:
        packages = draft / "packages"
        _unpack(packages)
        progress(BUILDING, 1, 2)
        built = Image(folder=draft)
        built.kernel.write_bytes(_board_root.kernel(packages))
        built.root.write_bytes(_board_cpio.archive(_board_root.collect(packages)))
        shutil.rmtree(packages)
    progress(BUILDING, 2, 2)


def _remove_old_versions(image: Image) -> None:
    """Remove the images of other versions of edgecompress that were built long ago; they can be built again."""
    for folder in image.folder.parent.iterdir():
        if folder != image.folder and folder.is_dir() and time.time() - folder.stat().st_mtime > KEPT_S:
            shutil.rmtree(folder, ignore_errors=True)


def _unpack(packages: Path) -> None:
    """Fetch the packages and what they depend on, checked against Debian's keys, and unpack them.

    Nothing of it needs a privilege: no package is installed, so the mode that runs no chroot serves root too.
    """
    program = tools.locate("mmdebstrap")
    unprivileged = ("--mode=chrootless", "--skip=check/chrootless")
    wanted = ("--variant=extract", "--architectures=arm64", f"--include={','.join(_board_root.PACKAGES)}")
    left_out = "--dpkgopt=path-exclude=/usr/share/*"
    command = [str(program), "--quiet", *unprivileged, *wanted, left_out, SUITE, str(packages), mirror()]
    tools.run(command, timeout_s=BUILD_TIMEOUT_S)


def _mirror_of_apt() -> str | None:
    """The first mirror in apt's own list that has Debian's main packages, security updates aside."""
    form = ("--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages")
    if not _is_debian():
        return None
    for line in tools.run(["apt-get", "indextargets", *form], timeout_s=APT_TIMEOUT_S).decode().splitlines():
        uri, release, component = (*line.split(" "), "", "")[:3]
        if component == "main" and "-" not in release and uri.rstrip("/").endswith("/debian"):
            return uri
    return None


def _is_debian() -> bool:
    try:
        return platform.freedesktop_os_release().get("ID") == "debian"
    except OSError:
        return False
