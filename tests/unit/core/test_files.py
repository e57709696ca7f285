"""core/files: nothing half-written stands under a final name, whatever happens."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgecompress.core import files
from edgecompress.core.errors import StorageError

HINT = "free some space or choose another folder with -o"
OTHER_FOLDER = "choose another folder with -o"


@pytest.fixture
def little_room() -> Iterator[int]:
    """Let files grow to 4096 bytes only: a write beyond that fails as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    yield 4096
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, ignored)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], check=False).returncode:
        pytest.skip("mounting needs root")
    yield place
    subprocess.run(["umount", place], check=True)


def write_and_fail(folder: Path, failure: type[BaseException]) -> None:
    with files.whole_folder(folder) as draft:
        (draft / "a").write_text("new")
        raise failure


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    final = tmp_path / "deep" / "bundle"

    with files.whole_folder(final) as draft:
        (draft / "a").write_text("1")
        assert not final.exists()

    assert [path.name for path in final.iterdir()] == ["a"]
    assert [path.name for path in final.parent.iterdir()] == ["bundle"]
    assert final.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_nothing_behind(tmp_path: Path, failure: type[BaseException]) -> None:
    with pytest.raises(failure):
        write_and_fail(tmp_path / "bundle", failure)

    assert list(tmp_path.iterdir()) == []


def test_a_failure_keeps_the_folder_that_was_there(tmp_path: Path) -> None:
    with files.whole_folder(tmp_path / "bundle") as draft:
        (draft / "a").write_text("old")

    with pytest.raises(KeyError):
        write_and_fail(tmp_path / "bundle", KeyError)

    assert (tmp_path / "bundle" / "a").read_text() == "old"


def test_an_earlier_folder_is_replaced_not_merged(tmp_path: Path) -> None:
    for name in ("first", "second"):
        with files.whole_folder(tmp_path / "bundle") as draft:
            (draft / "manifest.json").touch()
            (draft / name).touch()

    assert sorted(path.name for path in (tmp_path / "bundle").iterdir()) == ["manifest.json", "second"]
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_the_draft_of_a_killed_process_is_removed_and_that_of_a_running_one_kept(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    (tmp_path / f".bundle-{ended.pid}-abc_1234").mkdir()
    (tmp_path / f".bundle-{os.getppid()}-abc_1234").mkdir()
    (tmp_path / f".other-{ended.pid}-abc_1234").mkdir()

    with files.whole_folder(tmp_path / "bundle") as draft:
        (draft / "a").touch()

    kept = {f".bundle-{os.getppid()}-abc_1234", f".other-{ended.pid}-abc_1234", "bundle"}
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_a_folder_with_other_content_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "thesis.tex").touch()

    with pytest.raises(StorageError) as caught, files.whole_folder(tmp_path / "src") as draft:
        (draft / "manifest.json").touch()

    assert caught.value.message == f"{tmp_path}/src holds something else (thesis.tex) and is not replaced"
    assert caught.value.hint == OTHER_FOLDER
    assert (tmp_path / "src" / "thesis.tex").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["src"]


def test_a_file_is_not_replaced_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")

    with pytest.raises(StorageError) as caught, files.whole_folder(tmp_path / "notes") as draft:
        (draft / "manifest.json").touch()

    assert caught.value.message == f"{tmp_path}/notes is a file"
    assert (tmp_path / "notes").read_text() == "mine"


def test_a_rename_that_fails_brings_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with files.whole_folder(tmp_path / "bundle") as draft:
        (draft / "a").write_text("old")
    rename = Path.rename

    def fail_for_drafts(self: Path, target: Path) -> Path:
        if target == tmp_path / "bundle" and self.parent == tmp_path:
            raise OSError(5, os.strerror(5))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_for_drafts)
    with pytest.raises(StorageError) as caught, files.whole_folder(tmp_path / "bundle") as draft:
        (draft / "a").write_text("new")

    assert caught.value.message == f"cannot write {tmp_path}/bundle: Input/output error"
    assert (tmp_path / "bundle" / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_full_disk_leaves_no_folder(full_disk: Path) -> None:
    with pytest.raises(StorageError) as caught, files.whole_folder(full_disk / "bundle") as draft:
        (draft / "weights").write_bytes(bytes(100_000))

    assert caught.value.message == f"cannot write {full_disk}/bundle: No space left on device"
    assert caught.value.hint == HINT
    assert caught.value.exit_code == 1
    assert list(full_disk.iterdir()) == []


def test_a_full_disk_leaves_no_file(full_disk: Path) -> None:
    with pytest.raises(StorageError) as caught:
        files.write_whole(full_disk / "model.onnx", bytes(100_000))

    assert caught.value.message == f"cannot write {full_disk}/model.onnx: No space left on device"
    assert list(full_disk.iterdir()) == []


def test_a_file_that_may_not_grow_keeps_its_old_content(tmp_path: Path, little_room: int) -> None:
    path = tmp_path / "report.json"
    files.write_whole(path, "old")

    with pytest.raises(StorageError) as caught:
        files.write_whole(path, bytes(little_room + 1))

    assert caught.value.message == f"cannot write {path}: File too large"
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_written_whole_and_its_folder_made(tmp_path: Path) -> None:
    files.write_whole(tmp_path / "deep" / "a.txt", "µ")

    assert (tmp_path / "deep" / "a.txt").read_bytes() == b"\xc2\xb5"


def test_a_path_below_a_file_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StorageError) as caught:
        files.write_whole(tmp_path / "file" / "a.txt", "1")
    with pytest.raises(StorageError), files.whole_folder(tmp_path / "file" / "bundle"):
        pass

    assert caught.value.message == f"cannot write {tmp_path}/file/a.txt: File exists"


def test_sha256_is_the_one_of_the_standard(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")

    # FIPS 180-4, the example for "abc"
    assert files.sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
