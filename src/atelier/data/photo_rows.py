"""Files of rows of pixels: written from many threads, and usable after any interruption."""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

Shape = tuple[int, ...]
# SHA-256 of a file's content -> the array and the row that hold its pixels.
Known = dict[bytes, tuple[npt.NDArray[np.uint8], int]]

_ENTRY = np.dtype([("row", "<i8"), ("checksum", "V32"), ("crc", "<u4")])


class Rows:
    """A file of rows. Written, not mapped: a full disk is then an error and no dead process."""

    def __init__(self, path: Path, shape: Shape) -> None:
        self.path = path
        self.row_bytes = int(np.prod(shape))
        self._file = path.open("w+b", buffering=0)
        self._lock = threading.Lock()

    def write(self, row: int, pixels: npt.NDArray[np.uint8]) -> None:
        """Put (N, C, H, W) into N rows from `row` on."""
        left = np.ascontiguousarray(pixels).reshape(-1).data
        with self._lock:
            self._file.seek(row * self.row_bytes)
            while left:
                left = left[self._file.write(left) :]

    def move(self, row: int, to: int) -> None:
        """Copy a row to another place."""
        with self._lock:
            self._file.seek(row * self.row_bytes)
            data = self._file.read(self.row_bytes)
        self.write(to, np.frombuffer(data, np.uint8))

    def truncate(self, rows: int) -> None:
        """Leave so many rows."""
        self._file.truncate(rows * self.row_bytes)

    def sync(self) -> None:
        """Wait until all is on the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class RowsFolder(Rows):
    """Rows in a folder of their own, with a journal of what is in them.

    The journal has an entry for each row that is written, with a check of its bytes, so that one
    that never reached the disk, or was moved since, is not taken for good.
    """

    def __init__(self, folder: Path, shape: Shape) -> None:
        folder.mkdir()
        super().__init__(folder / "pixels", shape)
        self.folder = folder
        self._journal = (folder / "journal").open("ab")

    def note(self, entries: Sequence[tuple[int, bytes, int]]) -> None:
        """Tell of rows that are written: (row, SHA-256 of its file, CRC-32 of its pixels)."""
        with self._lock:
            self._journal.write(np.array(entries, _ENTRY).tobytes())
            self._journal.flush()

    def close(self) -> None:
        super().close()
        self._journal.close()


def map_rows(path: Path, count: int, shape: Shape) -> npt.NDArray[np.uint8] | None:
    """(count, *shape) uint8, read-only; None if there is no file, or it has another size."""
    try:
        if path.stat().st_size == count * int(np.prod(shape)):
            return _mapped(path, count, shape)
    except FileNotFoundError:
        pass
    return None


def known_rows(folders: Iterable[Path], shape: Shape) -> Known:
    """All good rows of folders whose writers were stopped."""
    known: Known = {}
    for folder in folders:
        try:
            journal = (folder / "journal").read_bytes()
            whole_rows = (folder / "pixels").stat().st_size // int(np.prod(shape))
        except FileNotFoundError:
            continue
        array = _mapped(folder / "pixels", whole_rows, shape)
        for entry in np.frombuffer(journal, _ENTRY, len(journal) // _ENTRY.itemsize):
            row = int(entry["row"])
            if 0 <= row < whole_rows and zlib.crc32(array[row].data) == entry["crc"]:
                known[entry["checksum"].tobytes()] = array, row
    return known


def _mapped(path: Path, count: int, shape: Shape) -> npt.NDArray[np.uint8]:
    if count == 0:
        return np.empty((0, *shape), np.uint8)  # nothing cannot be mapped
    return np.memmap(path, np.uint8, "r", shape=(count, *shape))
