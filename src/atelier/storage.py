"""Writing that never leaves half a file and never loses what was there."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import StorageError

_FIXES = {
    errno.ENOSPC: "Free some space, or choose another folder",
    errno.EDQUOT: "Free some space, or choose another folder",
    errno.EACCES: "Choose a folder that you may write to",
    errno.EPERM: "Choose a folder that you may write to",
    errno.EROFS: "Choose a folder that you may write to",
    errno.ENOTDIR: "A file stands where a folder is needed: choose another path",
    errno.EISDIR: "A folder stands where a file is needed: choose another path",
}


@contextmanager
def explained(path: Path, action: str = "write") -> Iterator[None]:
    """Turn an `OSError` about `path` into a `StorageError` that says how to mend it."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(
            f"cannot {action} {path}: {reason}",
            fix=_FIXES.get(error.errno or 0, "Check the path and the disk"),
        ) from error


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it if the block succeeds, removed if not.

    Raises:
        StorageError: no space, no permission, or a folder stands at `path`.
    """
    path = Path(path)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Ends as `path` does, for libraries that choose a format by the suffix.
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.stem}-", suffix=f".part{path.suffix}"
        )
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)  # mkstemp makes files private; a result is not a secret
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary folder beside `path`, renamed to it if the block succeeds, removed if not.

    Raises:
        StorageError: `path` exists and `overwrite` is false, no space, or no permission.
    """
    path = Path(path)
    refuse_existing(path, overwrite=overwrite)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-", suffix=".part"))
        try:
            temporary.chmod(0o755)
            yield temporary
            if path.exists():
                remove(path)
            temporary.replace(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Raise `StorageError` if something stands at `path` and it may not be overwritten."""
    if not overwrite and (path.is_symlink() or path.exists()):
        empty_folder = path.is_dir() and not path.is_symlink() and not any(path.iterdir())
        if not empty_folder:
            raise StorageError(
                f"{path} exists already, and nothing was overwritten",
                fix="Pass --overwrite to replace it, or choose another path with --out",
            )


def remove(path: Path) -> None:
    """Remove a file, a link or a whole folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
