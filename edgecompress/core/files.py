"""Write files and folders so that nothing half-written ever stands under a final name."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edgecompress.core.errors import StorageError

SHOWN_NAMES = 3


@contextlib.contextmanager
def whole_folder(final: Path) -> Iterator[Path]:
    """Give a new empty folder beside `final`; on success it takes `final`'s name, on any failure it is gone.

    A folder that was there before is replaced when it looks like an earlier one: it is empty, or holds a name that the
    new one holds too. Raises StorageError when it does not, and when the file system refuses (full, read-only, not
    permitted).
    """
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale_drafts(final)
        draft = _new_draft(final)
        draft.chmod(0o755)
    except OSError as error:
        raise _storage_error(final, error) from error
    try:
        yield draft
        _replace_folder(draft, final)
    except OSError as error:
        raise _storage_error(final, error) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file under a temporary name, then rename it. Raises StorageError when the file system refuses."""
    data = content.encode() if isinstance(content, str) else content
    draft = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(data)
        draft.replace(path)
    except OSError as error:
        raise _storage_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _new_draft(final: Path) -> Path:
    """Make a hidden folder beside `final` whose name says which process it belongs to."""
    return Path(tempfile.mkdtemp(prefix=f".{final.name}-{os.getpid()}-", dir=final.parent))


def _remove_stale_drafts(final: Path) -> None:
    """Remove the drafts of `final` whose process has ended: a killed one leaves them behind."""
    pattern = re.compile(re.escape(f".{final.name}-") + r"(\d+)-\w+")
    for path in final.parent.iterdir():
        match = pattern.fullmatch(path.name)
        if match and not _is_running(int(match[1])):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(process: int) -> bool:
    """True when there is such a process, ours or somebody else's."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _replace_folder(draft: Path, final: Path) -> None:
    if not final.exists():
        draft.rename(final)
        return
    _check_replaceable(draft, final)
    old = _new_draft(final)
    try:
        final.rename(old / "was")
        draft.rename(final)
    finally:
        if not final.exists():
            (old / "was").rename(final)
        shutil.rmtree(old, ignore_errors=True)


def _check_replaceable(draft: Path, final: Path) -> None:
    """Refuse to replace what no earlier run wrote: `-o src` must not delete somebody's sources."""
    hint = "choose another folder with -o"
    if not final.is_dir():
        raise StorageError(f"{final} is a file", hint=hint)
    there = {path.name for path in final.iterdir()}
    if there and there.isdisjoint(path.name for path in draft.iterdir()):
        shown = ", ".join(sorted(there)[:SHOWN_NAMES])
        raise StorageError(f"{final} holds something else ({shown}) and is not replaced", hint=hint)


def _storage_error(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"cannot write {path}: {error.strerror or error}", hint="free some space or choose another folder with -o"
    )
