"""Writing that never leaves half a file and never loses what was there."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import AtelierError, StorageError

_FIXES = {
    errno.ENOSPC: "Free some space, or choose another folder",
    errno.EDQUOT: "Free some space, or choose another folder",
    errno.EACCES: "Choose a folder that you may write to",
    errno.EPERM: "Choose a folder that you may write to",
    errno.EROFS: "Choose a folder that you may write to",
    errno.ENOTDIR: "A file stands where a folder is needed: choose another path",
    errno.EEXIST: "A file stands where a folder is needed: choose another path",
    errno.EISDIR: "A folder stands where a file is needed: choose another path",
    errno.ENAMETOOLONG: "Choose a shorter name",
}


@contextmanager
def explained(path: Path, action: str = "write") -> Iterator[None]:
    """Turn an `OSError` about `path` into a `StorageError` that says how to mend it."""
    try:
        yield
    except OSError as error:
        raise _storage_error(path, action, error) from error
    except Exception as error:
        # safetensors, as libraries in Rust do, tells the system's error in its text alone.
        found = re.search(r"\(os error (\d+)\)", str(error))
        if found is None or isinstance(error, AtelierError):
            raise
        number = int(found[1])
        raise _storage_error(path, action, OSError(number, os.strerror(number))) from error


def _storage_error(path: Path, action: str, error: OSError) -> StorageError:
    return StorageError(
        f"cannot {action} {path}: {error.strerror or error}",
        fix=_FIXES.get(error.errno or 0, "Check the path and the disk"),
    )


@contextmanager
def atomic_path(path: str | Path, *, private: bool = False) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it if the block succeeds, removed if not.

    Args:
        path: of what is to be written.
        private: whether its owner alone may read it, from the first byte on.

    Raises:
        StorageError: no space, no permission, or a folder stands at `path`.
    """
    path = Path(path)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Ends as `path` does, for libraries that choose a format by the suffix.
        temporary = _beside(path, f".part{path.suffix}")
        temporary.touch(0o600 if private else 0o666, exist_ok=False)
        mode = stat.S_IMODE(temporary.stat().st_mode)
        try:
            yield temporary
            # safetensors puts a file of its own here, readable by its owner alone.
            temporary.chmod(mode)
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
        temporary = _beside(path, ".part")
        temporary.mkdir()
        try:
            yield temporary
            _swap(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _beside(path: Path, suffix: str) -> Path:
    """A new hidden name in the folder of `path`, for a rename works within one file system only."""
    return path.with_name(f".{path.stem[:64]}-{secrets.token_hex(4)}{suffix}")


def _swap(new: Path, path: Path) -> None:
    """Put the folder `new` at `path`, and what stood there back if that fails."""
    if not (path.exists() or path.is_symlink()):
        new.replace(path)
        return
    old = _beside(path, ".old")
    path.rename(old)
    try:
        new.replace(path)
    except BaseException:
        old.rename(path)
        raise
    remove(old)


def refuse_existing(path: Path, *, overwrite: bool, option: str = "--out") -> None:
    """Raise `StorageError` if something stands at `path` and it may not be overwritten.

    Args:
        path: of what is to be written.
        overwrite: whether it may be.
        option: of the command line that has set the path.
    """
    with explained(path):
        if overwrite or not (path.is_symlink() or path.exists()):
            return
        empty_folder = path.is_dir() and not path.is_symlink() and not any(path.iterdir())
    if not empty_folder:
        raise StorageError(
            f"{path} exists already, and nothing was overwritten",
            fix=f"Pass --overwrite to replace it, or choose another path with {option}",
        )


@contextmanager
def exclusive(path: Path, holder: str, *, say: bool = True) -> Iterator[None]:
    """One process at a time; the system lets go of the lock of a process that dies.

    Args:
        path: of the lock's file, which is made and stays.
        holder: who has it where one must wait, as "another process that reads these photos".
        say: whether to say so on standard error.

    Raises:
        StorageError: no space or no permission.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    with file:
        try:
            import fcntl
        except ImportError:  # not on Windows, where two processes do the work twice
            yield
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if say:
                print(f"waiting for {holder}", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


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
