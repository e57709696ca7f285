"""Disks that are full, read-only or noexec, and damaged files: the old model serves, nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ssh_server import SshServer

from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import Device
from edgecompress.core.errors import ConfigError, EdgecompressError, StorageError, TransferError
from edgecompress.core.values import Progress, no_progress
from edgecompress.deploy.ssh import SshLink

Mount = Callable[[str], None]


@pytest.fixture
def mount(ssh_server: SshServer) -> Iterator[Mount]:
    """Mount a small file system where the server's clients deploy to, or mount it anew with other options."""
    if os.getuid() != 0 or subprocess.run(tmpfs(ssh_server.board, "size=3m"), check=False).returncode:
        pytest.skip("only root may mount a small file system")

    def remount(options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", ssh_server.board], check=True)

    yield remount
    subprocess.run(["umount", "-l", ssh_server.board], check=True)


def tmpfs(folder: Path, options: str) -> list[str]:
    return ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]


def deploy(server: SshServer, bundle: Bundle, progress: Progress = no_progress, **changes: object) -> None:
    target = targets.load("host")
    with Device(SshLink(target, server.endpoint(**changes)), target) as device:
        device.install(bundle, progress)


def refusal(server: SshServer, bundle: Bundle, progress: Progress = no_progress) -> EdgecompressError:
    with pytest.raises(EdgecompressError) as caught:
        deploy(server, bundle, progress)
    return caught.value


def everything_below(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(path.relative_to(folder)), path.lstat().st_size) for path in folder.rglob("*"))


def test_a_disk_that_is_too_full_is_refused_before_the_upload(
    ssh_server: SshServer, mount: Mount, two_builds: tuple[Bundle, Bundle]
) -> None:
    old, new = two_builds
    deploy(ssh_server, old)
    (ssh_server.board / "other").write_bytes(bytes(1_500_000))
    before = everything_below(ssh_server.board)
    error = refusal(ssh_server, new)
    room = os.statvfs(ssh_server.board)
    need = new.program.stat().st_size + 64 * 1024
    assert isinstance(error, StorageError)
    assert error.message == (
        f"{ssh_server.board}/toy on {ssh_server.endpoint().shown} has {room.f_bavail * room.f_frsize:,} bytes free; "
        f"the program needs {need:,}"
    )
    assert error.hint == "free some space there, or deploy to another folder: ssh://HOST/FOLDER"
    assert everything_below(ssh_server.board) == before


def test_a_disk_that_fills_up_during_the_upload_loses_only_the_upload(
    ssh_server: SshServer, mount: Mount, two_builds: tuple[Bundle, Bundle]
) -> None:
    old, new = two_builds
    deploy(ssh_server, old)
    before = everything_below(ssh_server.board)
    hog = ssh_server.board / "hog"

    def fill(what: str, done: int, total: int) -> None:
        if done and not hog.exists():
            with contextlib.suppress(OSError), hog.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))

    error = refusal(ssh_server, new, fill)
    assert isinstance(error, StorageError)
    assert error.exit_code == 1
    assert error.message.startswith(f"{ssh_server.endpoint().shown} cannot write {ssh_server.board}/toy/staged/")
    assert error.message.endswith(": the board refused; 0 bytes are free there")
    hog.unlink()
    assert everything_below(ssh_server.board) == before


@pytest.mark.parametrize(
    ("option", "meaning"), [("ro", "it cannot be written"), ("noexec", "no program there can be executed")]
)
def test_a_folder_on_which_no_program_can_lie_or_run_is_refused(
    option: str, meaning: str, ssh_server: SshServer, mount: Mount, two_builds: tuple[Bundle, Bundle]
) -> None:
    old, new = two_builds
    deploy(ssh_server, old)
    before = everything_below(ssh_server.board)
    mount(option)
    error = refusal(ssh_server, new)
    assert isinstance(error, StorageError)
    where = f"{ssh_server.board}/toy on {ssh_server.endpoint().shown}"
    assert error.message == f"{where} is mounted {option}: {meaning}"
    assert error.hint == "deploy to another folder: ssh://HOST/FOLDER"
    assert everything_below(ssh_server.board) == before


def test_a_folder_that_may_not_be_made_says_so(ssh_server: SshServer, two_builds: tuple[Bundle, Bundle]) -> None:
    with pytest.raises(StorageError) as caught:
        deploy(ssh_server, two_builds[0], folder="/proc/edgecompress")
    assert caught.value.message.startswith(f"{ssh_server.endpoint().shown} cannot make the folder /proc/edgecompress: ")


def test_a_byte_that_changes_on_the_way_is_noticed_on_the_board(
    ssh_server: SshServer, two_builds: tuple[Bundle, Bundle]
) -> None:
    old, new = two_builds
    deploy(ssh_server, old)
    before = everything_below(ssh_server.board)

    def damage(what: str, done: int, total: int) -> None:
        if what == "upload" and done == total:
            (staged,) = (ssh_server.board / "toy" / "staged").iterdir()
            with staged.open("r+b") as file:
                file.seek(total // 2)
                file.write(b"?")

    error = refusal(ssh_server, new, damage)
    assert isinstance(error, TransferError)
    assert error.exit_code == 9
    assert "has the SHA-256 " in error.message
    assert everything_below(ssh_server.board) == before


def test_without_sha256sum_the_program_is_read_back(
    ssh_server: SshServer, two_builds: tuple[Bundle, Bundle], tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("sh", "printf"):
        (tmp_path / "bin" / name).symlink_to(f"/bin/{name}")
    ssh_server.kill()
    ssh_server.write_config([f"SetEnv HOME={ssh_server.home} PATH={tmp_path}/bin"])
    ssh_server.start()
    deploy(ssh_server, two_builds[0])
    assert (ssh_server.board / "toy" / "current").is_symlink()


def test_a_part_that_is_not_the_beginning_of_the_program_is_not_continued(
    ssh_server: SshServer, two_builds: tuple[Bundle, Bundle]
) -> None:
    old, new = two_builds
    deploy(ssh_server, old)
    (version,) = (ssh_server.board / "toy" / "versions").iterdir()
    program = new.program.read_bytes()
    name = version.name.replace(old.manifest.build_id, new.manifest.build_id)
    staged = ssh_server.board / "toy" / "staged"
    for part in (program[:1000][::-1], program + b"more"):
        (staged / name).write_bytes(part)
        (staged / "of another build").write_bytes(b"")
    steps: list[tuple[str, int, int]] = []
    deploy(ssh_server, new, lambda *step: steps.append(step))
    assert steps[0] == ("upload", 0, len(program))
    assert list(staged.iterdir()) == []


def test_a_version_that_the_disk_damaged_is_replaced(ssh_server: SshServer, two_builds: tuple[Bundle, Bundle]) -> None:
    bundle = two_builds[0]
    deploy(ssh_server, bundle)
    current = ssh_server.board / "toy" / "current"
    with current.open("r+b") as file:
        file.write(b"not an ELF file")
    deploy(ssh_server, bundle)
    assert current.read_bytes() == bundle.program.read_bytes()
    assert list((ssh_server.board / "toy" / "staged").iterdir()) == []


def test_a_build_id_that_is_a_path_is_refused(ssh_server: SshServer, two_builds: tuple[Bundle, Bundle]) -> None:
    bundle = two_builds[0]
    manifest = bundle.manifest.model_copy(update={"build_id": "../../../tmp/x"})
    with pytest.raises(ConfigError) as caught:
        deploy(ssh_server, Bundle(folder=bundle.folder, manifest=manifest))
    assert caught.value.message == "'../../../tmp/x' is no build id: 32 hexadecimal digits"
    assert list(ssh_server.board.iterdir()) == []
