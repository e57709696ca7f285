"""Write files and folders so that nothing half-written ever stands under a final name."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgecompress.core.errors import StorageError


@contextmanager
def whole_folder(final: Path) -> Iterator[Path]:
    """Give a new empty folder beside `final`; on success it takes `final`'s name, on any failure it is gone.

    Raises StorageError when the file system refuses (full, read-only, not permitted).
    """
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=final.parent))
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
        draft.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _replace_folder(draft: Path, final: Path) -> None:
    if not final.exists():
        draft.rename(final)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{final.name}-old-", dir=final.parent))
    try:
        final.rename(old / "was")
        draft.rename(final)
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _storage_error(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"cannot write {path}: {error.strerror or error}", hint="free some space or choose another folder with -o"
    )
