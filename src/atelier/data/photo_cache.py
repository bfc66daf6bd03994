"""Photos decoded once, into one memory-mapped array that follows its files.

A source has a folder of the cache for each size. The index in it names a folder ``rows-...`` and
says of each file which row it has there. A change makes a new folder of rows, in which what is
known by its content is copied, and then replaces the index: a reader sees the old or the new.
Folders that no index names are of processes that were stopped; what they had decoded is used.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import secrets
import shutil
import threading
import time
import warnings
import zlib
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..cores import usable_cores
from ..errors import ImageError, StorageError
from ..progress import progress_bar
from ..storage import atomic_path, exclusive, explained
from .cache import cache_dir
from .images import read_file, read_image
from .photo_index import PhotoIndex
from .photo_rows import Rows, RowsFolder, known_rows, map_rows

_INDEX = "index.npz"
_CHUNK = 32  # photos that a thread takes at a time
_SHOW_FROM = 200  # photos; fewer take no two seconds
_BLOCK = 512
# A file that changes twice within one tick of its clock has the same times after the second change.
_TICK_NS = 2 * 10**9

_Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CachedPhotos:
    """What became of a list of files.

    Attributes:
        pixels: (M, C, H, W) uint8, memory-mapped: the files that could be read, in their order.
        positions: (M,) of these files in the list.
        checksums: (M, 32) uint8, SHA-256 of the bytes of each.
        hashes: (M,) uint64, perceptual hashes.
        bad: why the others could not be read, by their position.
        folder: of the cache, for what is kept beside.
        rows_folder: of `pixels`.
    """

    pixels: npt.NDArray[np.uint8]
    positions: _Positions
    checksums: npt.NDArray[np.uint8]
    hashes: npt.NDArray[np.uint64]
    bad: dict[int, str]
    folder: Path
    rows_folder: Path


def read_photos(
    root: Path,
    paths: Sequence[str],
    *,
    channels: int,
    image_size: int,
    progress: bool = False,
    workers: int | None = None,
) -> CachedPhotos:
    """Decode files into squares, once: what was read before and has not changed is only mapped.

    A file counts as unchanged while its size and times are the same; one of other times but known
    content is not decoded again. Stopped at any moment, what is done is used by the next call. A
    second process that wants the same photos waits for the first.

    Args:
        root: the folder or table that the files belong to.
        paths: absolute paths, in the order of the rows.
        channels: 1 or 3.
        image_size: side in pixels.
        progress: show a bar.
        workers: threads; None is one for each core.

    Raises:
        StorageError: the cache cannot be written; what it held is still there.
    """
    key = hashlib.sha256(os.fsencode(root) + f"\0{channels}\0{image_size}".encode()).hexdigest()
    folder = cache_dir() / "photos" / f"{root.stem[:40] or 'photos'}-{image_size}-{key[:16]}"
    shape = (channels, image_size, image_size)
    encoded = [os.fsencode(path) for path in paths]
    with explained(folder, "keep photos in"):
        status = _status_of(paths)
        if found := _unchanged(folder, encoded, status, shape):
            return found
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder / "lock", "another process that reads these photos", say=progress):
            # Another process may have done it while this one waited.
            if found := _unchanged(folder, encoded, status, shape):
                return found
            refresh = _Refresh(folder, encoded, status, shape)
            try:
                refresh.read(paths, workers or len(usable_cores()), progress=progress)
                return refresh.publish()
            finally:
                refresh.close()


def gathered(photos: CachedPhotos, rows: _Positions) -> npt.NDArray[np.uint8]:
    """The chosen rows as one array, memory-mapped: a part of `pixels`, or a copy that is kept.

    Raises:
        StorageError: the copy cannot be written.
    """
    if len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
        return photos.pixels[rows[0] : rows[0] + len(rows)]
    shape = photos.pixels.shape[1:]
    digest = hashlib.sha256(np.ascontiguousarray(rows, "<i8").data).hexdigest()
    path = photos.rows_folder / f"chosen-{digest[:16]}"
    found = map_rows(path, len(rows), shape)
    if found is None:
        with atomic_path(path) as temporary, Rows(temporary, shape) as copy:
            for start in range(0, len(rows), _BLOCK):
                copy.write(start, photos.pixels[rows[start : start + _BLOCK]])
        found = map_rows(path, len(rows), shape)
    return photos.pixels[rows] if found is None else found


class _Refresh:
    """From an older index to one of the files as they are now. Only under the lock."""

    def __init__(
        self,
        folder: Path,
        paths: list[bytes],
        status: npt.NDArray[np.int64],
        shape: tuple[int, int, int],
    ) -> None:
        self.folder, self.paths, self.status, self.shape = folder, paths, status, shape
        self.checksums = np.zeros((len(paths), 32), np.uint8)
        self.bad: dict[int, str] = {}
        self.decoded = np.zeros(len(paths), bool)
        self.known_bad: dict[bytes, str] = {}
        self.known_hashes: dict[bytes, np.uint64] = {}
        self.target: RowsFolder | None = None
        self._lock = threading.Lock()
        self.old = PhotoIndex.load(folder / _INDEX)
        array = None
        if self.old is not None:
            array = _rows_of(folder, self.old, shape)
            self.old = None if array is None else self.old
        self.stray = [
            path
            for path in folder.glob("rows-*")
            if self.old is None or path.name != self.old.rows_name
        ]
        self.known = known_rows(self.stray, shape)
        if self.old is not None and array is not None:
            self._learn_from(self.old, array)

    def _learn_from(self, old: PhotoIndex, array: npt.NDArray[np.uint8]) -> None:
        for entry, row in enumerate(old.rows.tolist()):
            checksum = old.checksums[entry].tobytes()
            if row >= 0:
                self.known[checksum] = array, row
                self.known_hashes[checksum] = old.hashes[row]
            elif old.checksums[entry].any():
                self.known_bad[checksum] = old.reasons[entry]

    def read(self, paths: Sequence[str], workers: int, *, progress: bool) -> None:
        """Find the content of every file, and decode what is new."""
        changed = self._changed()
        chunks = (changed[start : start + _CHUNK] for start in range(0, len(changed), _CHUNK))
        pool = ThreadPoolExecutor(workers, "photos")
        show = progress and len(changed) > _SHOW_FROM
        waiting: set[Future[int]] = set()
        done = 0
        # Around all threads: each would put back what another has just changed.
        with warnings.catch_warnings(), progress_bar("photos", len(changed), show=show) as bar:
            warnings.simplefilter("ignore")
            try:
                while True:
                    # Few at a time, so that memory does not grow with the number of photos.
                    for chunk in itertools.islice(chunks, 2 * workers - len(waiting)):
                        waiting.add(pool.submit(self._read_chunk, paths, chunk))
                    if not waiting:
                        break
                    finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    done += sum(future.result() for future in finished)
                    bar.update(done, f"{done:,} of {len(changed):,} read")
            finally:
                pool.shutdown(cancel_futures=True)

    def _changed(self) -> list[int]:
        """Positions of files that must be read; the content of the others is taken over."""
        old = self.old
        if old is None:
            return list(range(len(self.paths)))
        entries = {path: entry for entry, path in enumerate(old.paths)}
        found = np.array([entries.get(path, -1) for path in self.paths], np.int64)
        same = (old.status[found] == self.status).all(axis=1) & (found >= 0)
        same &= self.status[:, 0] >= 0
        self.checksums[same] = old.checksums[found[same]]
        for position in np.flatnonzero(same).tolist():
            if old.rows[found[position]] < 0:
                self.bad[position] = old.reasons[int(found[position])]
        changed: list[int] = np.flatnonzero(~same).tolist()
        return changed

    def _read_chunk(self, paths: Sequence[str], positions: list[int]) -> int:
        entries: list[tuple[int, bytes, int]] = []
        for position in positions:
            try:
                data = read_file(paths[position])
                checksum = hashlib.sha256(data).digest()
                self.checksums[position] = np.frombuffer(checksum, np.uint8)
                if checksum in self.known_bad:
                    self.bad[position] = self.known_bad[checksum]
                elif checksum not in self.known:
                    channels, *size = self.shape
                    pixels = read_image(data, channels=channels, image_size=(size[0], size[1]))
                    self._rows().write(position, pixels.pixels)
                    self.decoded[position] = True
                    entries.append((position, checksum, zlib.crc32(pixels.pixels.data)))
            except ImageError as error:
                self.bad[position] = _reason(error)
        if entries:
            self._rows().note(entries)
        return len(positions)

    def _rows(self) -> RowsFolder:
        """The new rows, made when the first of them is needed."""
        with self._lock:
            if self.target is None:
                needed = len(self.paths) * int(np.prod(self.shape))
                if shutil.disk_usage(self.folder).free < needed:
                    raise OSError(errno.ENOSPC, f"{needed / 1e6:,.0f} MB are needed")
                name = f"rows-{secrets.token_hex(4)}"
                self.target = RowsFolder(self.folder / name, self.shape)
            return self.target

    def publish(self) -> CachedPhotos:
        """Write the index, and with it everything."""
        good = [position for position in range(len(self.paths)) if position not in self.bad]
        rows = np.full(len(self.paths), -1, np.int64)
        rows[good] = np.arange(len(good))
        old = self.old
        if self.target is None and old is not None and self._same_rows(old, good):
            rows_name, hashes = old.rows_name, old.hashes
        else:
            rows_name, hashes = self._complete(good)
        # What may yet change within the tick, or could not be read at all, is looked at again.
        doubtful = self.status[:, 1:].max(axis=1, initial=0) > time.time_ns() - _TICK_NS
        unread = (rows < 0) & ~self.checksums.any(axis=1)
        self.status[doubtful | unread] = -1
        index = PhotoIndex(
            self.paths, self.status, self.checksums, rows, hashes, self.bad, rows_name
        )
        index.save(self.folder / _INDEX)
        for path in self.folder.glob("rows-*"):
            if path.name != rows_name:
                shutil.rmtree(path, ignore_errors=True)
        found = _opened(self.folder, index, self.shape)
        if found is None:
            raise StorageError(f"the photo cache {self.folder} was removed while it was made")
        return found

    def _same_rows(self, old: PhotoIndex, good: list[int]) -> bool:
        return np.array_equal(self.checksums[good], old.checksums[old.rows >= 0])

    def _complete(self, good: list[int]) -> tuple[str, npt.NDArray[np.uint64]]:
        """Add the rows that are known already, and close the gaps that bad files left."""
        target = self._rows()
        for row, position in enumerate(good):
            if self.decoded[position]:
                if row != position:
                    target.move(position, row)
            else:
                array, at = self.known[self.checksums[position].tobytes()]
                target.write(row, array[at])
        target.truncate(len(good))
        target.sync()
        target.close()
        pixels = map_rows(target.path, len(good), self.shape)
        assert pixels is not None
        return target.folder.name, self._hashes(pixels, good)

    def _hashes(self, pixels: npt.NDArray[np.uint8], good: list[int]) -> npt.NDArray[np.uint64]:
        from .duplicates import perceptual_hashes

        hashes = np.zeros(len(good), np.uint64)
        new = []
        for row, position in enumerate(good):
            known = self.known_hashes.get(self.checksums[position].tobytes())
            if known is None:
                new.append(row)
            else:
                hashes[row] = known
        if len(new) == len(good):
            return perceptual_hashes(pixels)
        for start in range(0, len(new), _BLOCK):
            block = new[start : start + _BLOCK]
            hashes[block] = perceptual_hashes(pixels[block])
        return hashes

    def close(self) -> None:
        if self.target is not None:
            self.target.close()


def _unchanged(
    folder: Path, paths: list[bytes], status: npt.NDArray[np.int64], shape: tuple[int, int, int]
) -> CachedPhotos | None:
    """What the cache holds, if no file has changed since."""
    for _ in range(3):  # another process may replace it between the two steps
        index = PhotoIndex.load(folder / _INDEX)
        if index is None or index.paths != paths:
            return None
        if (status < 0).any() or not np.array_equal(index.status, status):
            return None
        if found := _opened(folder, index, shape):
            return found
    return None


def _opened(folder: Path, index: PhotoIndex, shape: tuple[int, int, int]) -> CachedPhotos | None:
    pixels = _rows_of(folder, index, shape)
    if pixels is None:
        return None
    positions = np.flatnonzero(index.rows >= 0)
    rows_folder = folder / index.rows_name
    checksums = index.checksums[positions]
    return CachedPhotos(
        pixels, positions, checksums, index.hashes, index.reasons, folder, rows_folder
    )


def _rows_of(
    folder: Path, index: PhotoIndex, shape: tuple[int, int, int]
) -> npt.NDArray[np.uint8] | None:
    return map_rows(folder / index.rows_name / "pixels", int((index.rows >= 0).sum()), shape)


def _status_of(paths: Sequence[str]) -> npt.NDArray[np.int64]:
    """(N, 3) size, mtime_ns and ctime_ns; -1 where a file cannot be found."""
    found = np.full((len(paths), 3), -1, np.int64)
    for position, path in enumerate(paths):
        with contextlib.suppress(OSError, ValueError):
            status = os.stat(path)  # noqa: PTH116 - of every file: no Path made
            found[position] = status.st_size, status.st_mtime_ns, status.st_ctime_ns
    return found


def _reason(error: ImageError) -> str:
    """Why a file is bad, in one line that does not name it again."""
    return str(error).removeprefix("the image ").removeprefix("is ")
