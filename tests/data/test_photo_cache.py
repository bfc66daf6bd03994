"""The photo cache follows its files, decodes nothing twice, and survives any interruption."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from atelier.data import photo_cache, read_image
from atelier.data.photo_cache import gathered, read_photos
from atelier.data.photo_rows import Rows
from atelier.errors import StorageError
from tests.data.photo_folders import encoded, make_photos, picture


@pytest.fixture
def photos(tmp_path):
    """Ten photos that were written a while ago, as most have been."""
    root = make_photos(tmp_path / "photos", {"hat": 5, "sock": 5})
    for path in paths_of(root):
        age(path)
    return root


@pytest.fixture
def decoded(monkeypatch):
    """The photos that are decoded, by their bytes."""
    seen = []

    def counted(source, **options):
        seen.append(source)
        return read_image(source, **options)

    monkeypatch.setattr(photo_cache, "read_image", counted)
    return seen


def age(path, seconds=3600):
    past = time.time() - seconds
    os.utime(path, (past, past))


def paths_of(root):
    return sorted(str(path) for path in root.rglob("*.jpg"))


def read(root, paths=None, size=16, **options):
    paths = paths_of(root) if paths is None else paths
    return read_photos(root, paths, channels=3, image_size=size, **options)


def expected(paths, size=16):
    return np.stack([read_image(p, channels=3, image_size=(size, size)).pixels for p in paths])


def rows_folders(cached):
    return [path.name for path in cached.folder.glob("rows-*")]


def test_rows_are_what_prediction_sees(photos):
    cached = read(photos, workers=3)
    assert np.array_equal(cached.pixels, expected(paths_of(photos)))
    assert isinstance(cached.pixels, np.memmap)
    assert not cached.pixels.flags.writeable
    assert cached.bad == {}
    assert len(np.unique(cached.hashes)) == 10


def test_the_second_time_nothing_is_read(photos, monkeypatch):
    monkeypatch.setattr(photo_cache, "_TICK_NS", 0)
    first = read(photos)
    monkeypatch.setattr(photo_cache, "read_file", None)
    second = read(photos)
    assert np.array_equal(first.pixels, second.pixels)
    assert second.rows_folder == first.rows_folder


def test_a_file_that_is_only_touched_is_not_decoded(photos, decoded):
    read(photos)
    decoded.clear()
    age(paths_of(photos)[3], 60)
    cached = read(photos)
    assert decoded == []
    assert np.array_equal(cached.pixels, expected(paths_of(photos)))


def test_each_size_and_number_of_channels_is_kept(photos):
    assert read(photos, size=16).pixels.shape == (10, 3, 16, 16)
    assert read(photos, size=12).pixels.shape == (10, 3, 12, 12)
    gray = read_photos(photos, paths_of(photos), channels=1, image_size=16)
    assert gray.pixels.shape == (10, 1, 16, 16)
    assert len({read(photos, size=size).folder for size in (12, 16)}) == 2


@pytest.mark.parametrize("change", ["changed", "added", "removed", "moved"])
def test_a_change_refreshes_only_itself(photos, decoded, change):
    before = read(photos)
    decoded.clear()
    path = Path(paths_of(photos)[4])
    new = encoded(picture(99), quality=95)
    if change == "changed":
        path.write_bytes(new)
    elif change == "added":
        (photos / "hat/00.jpg").write_bytes(new)
    elif change == "removed":
        path.unlink()
    else:
        path.rename(photos / "sock/9.jpg")
    after = read(photos)
    assert decoded == ([new] if change in ("changed", "added") else [])
    assert np.array_equal(after.pixels, expected(paths_of(photos)))
    assert rows_folders(after) == [after.rows_folder.name]
    assert before.pixels.shape[0] == 10  # who has mapped the old rows keeps them


def test_bad_files_leave_no_gap_and_are_read_again_when_they_are_mended(photos, decoded):
    paths = [*paths_of(photos)]
    for broken in (paths[0], paths[4]):
        Path(broken).write_bytes(b"no photo")
        age(broken)
    Path(paths[7]).unlink()
    cached = read(photos, paths)
    assert sorted(cached.bad) == [0, 4, 7]
    assert cached.positions.tolist() == [1, 2, 3, 5, 6, 8, 9]
    assert np.array_equal(cached.pixels, expected([paths[at] for at in cached.positions]))
    assert "there is no file" in cached.bad[7]
    decoded.clear()
    assert sorted(read(photos, paths).bad) == [0, 4, 7]
    assert decoded == []
    Path(paths[4]).write_bytes(encoded(picture(4)))
    assert sorted(read(photos, paths).bad) == [0, 7]
    assert len(decoded) == 1


def test_all_files_may_be_bad(photos):
    for path in paths_of(photos):
        Path(path).write_bytes(b"")
    for _ in range(2):
        cached = read(photos)
        assert len(cached.bad) == 10
        assert cached.pixels.shape == (0, 3, 16, 16)


def test_a_change_within_the_tick_of_the_clock_is_seen(photos):
    path = Path(paths_of(photos)[0])
    one, two = (encoded(picture(seed), "BMP") for seed in (1, 2))
    assert len(one) == len(two)
    path.write_bytes(one)
    status = path.stat()
    read(photos)
    path.write_bytes(two)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert np.array_equal(read(photos).pixels, expected(paths_of(photos)))


@pytest.mark.parametrize("damage", [b"", b"no index", None])
def test_a_damaged_cache_is_made_again(photos, damage):
    cached = read(photos)
    if damage is None:
        (cached.rows_folder / "pixels").write_bytes(b"short")
    else:
        (cached.folder / "index.npz").write_bytes(damage)
    assert np.array_equal(read(photos).pixels, expected(paths_of(photos)))


def test_what_an_interruption_leaves_is_used(photos, monkeypatch, decoded):
    monkeypatch.setattr(photo_cache, "_CHUNK", 1)
    counted = photo_cache.read_image

    def stopped(source, **options):
        if len(decoded) == 6:
            raise KeyboardInterrupt
        return counted(source, **options)

    monkeypatch.setattr(photo_cache, "read_image", stopped)
    with pytest.raises(KeyboardInterrupt):
        read(photos, workers=1)
    monkeypatch.setattr(photo_cache, "read_image", counted)
    kept = len(decoded)
    assert kept == 6
    cached = read(photos)
    assert len(decoded) == 10
    assert np.array_equal(cached.pixels, expected(paths_of(photos)))
    assert rows_folders(cached) == [cached.rows_folder.name]


KILLED = """
import os, sys, threading, time
from pathlib import Path
from atelier.data import photo_cache
whole = photo_cache.read_image
def slow(*args, **options):
    time.sleep(0.02)
    return whole(*args, **options)
photo_cache.read_image, photo_cache._CHUNK = slow, 1
root = Path(sys.argv[1])
paths = sorted(str(path) for path in root.rglob("*.jpg"))
photo_cache.read_photos(root, paths, channels=3, image_size=16, workers=1)
"""


def test_what_sigkill_leaves_is_used_and_rows_that_did_not_reach_the_disk_are_not(
    tmp_path, decoded
):
    root = make_photos(tmp_path / "photos", {"hat": 60})
    with subprocess.Popen([sys.executable, "-c", KILLED, str(root)]) as process:
        cache = Path(os.environ["ATELIER_CACHE"]) / "photos"
        deadline = time.monotonic() + 60
        while not (
            (journal := next(cache.glob("*/rows-*/journal"), None))
            and journal.stat().st_size >= 5 * 44
        ):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    done = journal.stat().st_size // 44
    assert 5 <= done < 60
    with (journal.parent / "pixels").open("r+b") as file:
        file.write(bytes(100))  # the first row, as if it had never been written
    assert np.array_equal(read(root).pixels, expected(paths_of(root)))
    assert len(decoded) == 60 - done + 1


def test_a_full_disk_is_an_error_and_nothing_is_lost(photos, monkeypatch, decoded):
    before = read(photos)
    old = before.pixels.copy()
    for number in range(3):
        Path(paths_of(photos)[number]).write_bytes(encoded(picture(50 + number)))
    write, written = Rows.write, []

    def full(self, row, pixels):
        written.append(row)
        if len(written) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, row, pixels)

    with monkeypatch.context() as patch:
        patch.setattr(Rows, "write", full)
        with pytest.raises(StorageError, match=r"No space left on device\. Free some space"):
            read(photos)
    assert np.array_equal(before.pixels, old)
    assert np.array_equal(read(photos).pixels, expected(paths_of(photos)))


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(photos, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(StorageError, match="MB are needed"):
        read(photos)


def test_two_at_once_do_the_work_once(photos, decoded):
    found = []
    threads = [threading.Thread(target=lambda: found.append(read(photos))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(decoded) == 10
    assert len({cached.rows_folder for cached in found}) == 1
    assert all(np.array_equal(cached.pixels, found[0].pixels) for cached in found)


def test_rows_that_lie_together_are_mapped_and_others_are_copied_once(photos):
    cached = read(photos)
    together = gathered(cached, np.arange(2, 7))
    assert together.base is not None
    assert np.shares_memory(together, cached.pixels)
    for rows in (np.array([0, 3, 4, 9]), np.empty(0, np.int64)):
        for _ in range(2):
            assert np.array_equal(gathered(cached, rows), cached.pixels[rows])
    assert len(list(cached.rows_folder.glob("chosen-*"))) <= 2
