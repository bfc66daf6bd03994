from __future__ import annotations

import asyncio
import logging
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from atelier.errors import ConfigError, LogError, StorageError
from atelier.monitoring import PredictionLog, schema, store
from atelier.monitoring import log as log_module
from atelier.monitoring.store import Store

RowsOf = Callable[..., list[Any]]
WAIT_S = 30


@contextmanager
def opened(url: str | Path, **options: Any) -> Iterator[PredictionLog]:
    log = PredictionLog(str(url), **options)
    try:
        yield log
    finally:
        log.close(WAIT_S)


def kept(url: str | Path, table: sa.Table = schema.predictions) -> list[Any]:
    """The rows of a table, in order."""
    database = Store(str(url))
    with database.reading() as connection:
        rows = list(connection.execute(sa.select(table).order_by(*table.primary_key)))
    database.close()
    return rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "_FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(log_module, "_LONGEST_WAIT_S", 0.05)
    monkeypatch.setattr(store, "_BUSY_S", 0.01)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Another process that writes and does not end."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.rollback()
        other.close()


def test_what_is_acknowledged_is_there_as_it_was_given(url: str, rows_of: RowsOf) -> None:
    rows = rows_of("a", 3, client="shop-window", latency_ms=4.5, image_sha256=["00", "11", "22"])
    with opened(url) as log:
        assert log.record(rows).result(WAIT_S) is True
        found = kept(url)
        assert (log.written, log.lost, log.pending, log.problem) == (3, 0, 0, None)
    assert len(found) == 3
    for row, given in zip(found, rows, strict=True):
        assert row.time == given.time
        assert row.time.tzinfo is not None
        np.testing.assert_array_equal(np.frombuffer(row.probs, "<f4"), np.float32(given.probs))
        np.testing.assert_array_equal(
            np.frombuffer(row.image_stats, "<f4"), np.float32(given.image_stats)
        )
        for name in (
            *("request_id", "image_index", "model", "version", "client", "predicted"),
            *("confidence", "unknown", "embedding", "thumbnail", "latency_ms", "image_sha256"),
        ):
            assert getattr(row, name) == getattr(given, name), name


def test_the_same_row_twice_is_kept_once_and_two_requests_of_one_id_both(
    url: str, rows_of: RowsOf
) -> None:
    row = rows_of("a")[0]
    again = replace(row, time=row.time + timedelta(seconds=1))
    with opened(url) as log:
        for rows in ([row], [row, row], [again]):
            assert log.record(rows).result(WAIT_S) is True
    assert [found.time for found in kept(url)] == [row.time, again.time]


def test_many_threads_at_once(url: str, rows_of: RowsOf) -> None:
    told: list[int] = []
    with opened(url, on_written=told.append) as log:

        def give(name: str) -> None:
            for k in range(40):
                log.record(rows_of(f"{name}-{k}", 2))

        threads = [threading.Thread(target=give, args=(f"t{k}",)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(kept(url)) == sum(told) == log.written == 320


def test_several_writers_of_one_log(url: str, rows_of: RowsOf) -> None:
    logs = [PredictionLog(url) for _ in range(3)]
    futures = [log.record(rows_of(f"w{k}-{n}")) for n in range(60) for k, log in enumerate(logs)]
    assert all(done.result(WAIT_S) for done in futures)
    for log in logs:
        log.close(WAIT_S)
    assert len(kept(url)) == 180


def test_who_gives_up_waiting_does_not_lose_the_row(path: Path, rows_of: RowsOf) -> None:
    with opened(path) as log, held(path):
        done = log.record(rows_of("a"))

        async def wait_a_little() -> None:
            await asyncio.wait_for(asyncio.wrap_future(done), 0.001)

        with pytest.raises(TimeoutError):
            asyncio.run(wait_a_little())
    assert done.result(WAIT_S) is True
    assert len(kept(path)) == 1


WRITER = """
import sys
from datetime import UTC, datetime
from atelier.monitoring import LoggedPrediction, PredictionLog

log = PredictionLog(sys.argv[1])
number = 0
while True:
    waiting = []
    for _ in range(20):
        number += 1
        row = LoggedPrediction(
            request_id=f"r{number}", image_index=0, time=datetime.now(UTC), model="m", version="1",
            client="", predicted="Bag", confidence=0.5, unknown=False, probs=[0.5, 0.5],
            embedding=None, image_stats=[0.0], thumbnail=None, latency_ms=1.0, image_sha256="",
        )
        waiting.append((row.request_id, log.record([row])))
    for name, done in waiting:
        if done.result():
            print(name, flush=True)
"""


def test_a_killed_process_loses_no_acknowledged_row(url: str) -> None:
    for wanted in (1, 300):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        acknowledged = [writer.stdout.readline().strip() for _ in range(wanted)]
        writer.send_signal(signal.SIGKILL)
        acknowledged += writer.stdout.read().split("\n")[:-1]
        writer.stdout.close()
        assert writer.wait() == -signal.SIGKILL
        assert len(acknowledged) >= wanted
        assert set(acknowledged) <= {row.request_id for row in kept(url)}


@pytest.mark.usefixtures("impatient")
def test_a_full_buffer_loses_rows_counts_them_and_notes_the_gap(
    path: Path, rows_of: RowsOf, caplog: pytest.LogCaptureFixture
) -> None:
    lost: list[int] = []
    before = datetime.now(UTC)
    with opened(path, capacity=5, on_lost=lost.append) as log:
        with held(path), caplog.at_level(logging.WARNING, "atelier"):
            futures = [log.record(rows_of(f"r{k}", 2)) for k in range(4)]
            # Full or not, an answer comes at once: nothing here could have been written yet.
            assert [done.done() for done in futures] == [False, False, True, True]
            assert [done.result() for done in futures[2:]] == [False, False]
            assert (log.pending, log.lost, lost) == (4, 4, [2, 2])
            while log.problem is None:
                threading.Event().wait(0.01)
        assert [done.result(WAIT_S) for done in futures[:2]] == [True, True]
        assert log.record(rows_of("later")).result(WAIT_S) is True
        assert log.problem is None
    assert "locked" in caplog.text
    assert {row.request_id for row in kept(path)} == {"r0", "r1", "later"}
    (gap,) = kept(path, schema.gaps)
    assert gap.lost == 4
    assert before <= gap.since <= gap.until <= datetime.now(UTC)


@pytest.mark.usefixtures("impatient")
def test_closing_in_an_outage_ends_in_time_and_counts_what_is_lost(
    path: Path, rows_of: RowsOf
) -> None:
    log = PredictionLog(str(path))
    with held(path):
        done = log.record(rows_of("a", 3))
        log.close(0.1)
        assert done.result(0) is False
        assert (log.lost, log.written) == (3, 0)
    log.close(WAIT_S)
    assert log.record(rows_of("b")).result(0) is False


def test_closing_writes_what_waits(path: Path, rows_of: RowsOf) -> None:
    log = PredictionLog(str(path))
    with held(path):
        done = log.record(rows_of("a", 3))
        closing = threading.Thread(target=log.close, args=(WAIT_S,))
        closing.start()
    closing.join()
    assert done.result(0) is True
    assert len(kept(path)) == 3


@pytest.mark.usefixtures("impatient")
def test_a_file_that_breaks_while_the_service_runs(path: Path, rows_of: RowsOf) -> None:
    with opened(path) as log:
        assert log.record(rows_of("a")).result(WAIT_S) is True
        whole = path.with_name("whole")
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        shutil.copy(path, whole)
        path.write_bytes(b"no database at all" * 1000)
        done = log.record(rows_of("b"))
        while log.problem is None:
            threading.Event().wait(0.01)
        assert not done.done()
        for name in ("-wal", "-shm"):
            path.with_name(path.name + name).unlink(missing_ok=True)
        whole.replace(path)  # in one step: while it is copied it is empty, a good new database
        assert done.result(WAIT_S) is True
    assert [row.request_id for row in kept(path)] == ["a", "b"]


def test_a_row_that_no_database_takes_is_lost_alone(
    url: str, rows_of: RowsOf, caplog: pytest.LogCaptureFixture
) -> None:
    good = rows_of("bad")[0]
    bad = [replace(good, image_index=2**70), replace(good, request_id="x" * 9_000)]
    with opened(url) as log:
        futures = [
            log.record(rows) for rows in (rows_of("a"), *([row] for row in bad), rows_of("b"))
        ]
        assert [done.result(WAIT_S) for done in futures] == [True, False, False, True]
        assert (log.written, log.lost) == (2, 2)
    assert "cannot keep a row" in caplog.text
    assert "Bag" not in caplog.text  # what rows hold is nobody's to read there
    assert {row.request_id for row in kept(url)} == {"a", "b"}


def test_functions_that_fail_stop_nothing(
    path: Path, rows_of: RowsOf, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: int) -> None:
        raise RuntimeError("of the caller")

    with opened(path, on_written=fail) as log:
        for name in ("a", "b"):
            assert log.record(rows_of(name)).result(WAIT_S) is True
    assert "of the caller" in caplog.text


def test_feedback(url: str, rows_of: RowsOf) -> None:
    told: list[tuple[str, bool]] = []
    row = rows_of("a")[0]
    wrong = next(name for name in ("Bag", "Coat", "Dress") if name != row.predicted)
    with opened(url, on_feedback=lambda *said: told.append(said)) as log:
        log.record([row])  # not waited for: what follows must find it
        assert log.feedback("a", 0, wrong).result(WAIT_S) is True
        assert log.feedback("a", 0, row.predicted).result(WAIT_S) is True
        assert log.feedback("a", 1, "Bag").result(WAIT_S) is None
        assert log.feedback("z", 0, "Bag").result(WAIT_S) is None
    assert told == [("shop", False), ("shop", True)]
    assert [(f.request_id, f.label) for f in kept(url, schema.feedback)] == [("a", row.predicted)]


def test_deletion_takes_all_of_a_request_also_what_still_waits(url: str, rows_of: RowsOf) -> None:
    with opened(url) as log:
        log.record(rows_of("keep"))
        log.record(rows_of("gone", 3))
        log.feedback("gone", 1, "Bag")
        assert log.delete("gone") == 3
        assert log.delete("gone") == 0
    assert [row.request_id for row in kept(url)] == ["keep"]
    assert kept(url, schema.feedback) == []


def test_what_is_deleted_stands_in_no_file(path: Path, rows_of: RowsOf) -> None:
    secret = "request-of-somebody-who-asked"
    with opened(path) as log:
        log.record(rows_of(secret, 2)).result(WAIT_S)
        assert any(secret.encode() in p.read_bytes() for p in path.parent.iterdir())
        assert log.delete(secret) == 2
        assert not any(secret.encode() in p.read_bytes() for p in path.parent.iterdir())


@pytest.mark.usefixtures("impatient")
def test_deletion_in_an_outage_says_that_it_is_not_done(path: Path, rows_of: RowsOf) -> None:
    with opened(path) as log:
        log.record(rows_of("a")).result(WAIT_S)
        with held(path), pytest.raises(LogError, match="could not be deleted yet"):
            log.delete("a", timeout=0.05)
        assert log.record(rows_of("b")).result(WAIT_S) is True  # and what was before it
    assert [row.request_id for row in kept(path)] == ["b"]


def test_retention_deletes_in_portions_and_keeps_what_is_young(
    url: str, rows_of: RowsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    with opened(url) as log:
        for k in range(7):
            log.record(rows_of(f"old-{k}", time=now - timedelta(days=9, minutes=k)))
        log.record(rows_of("young", time=now - timedelta(days=6)))
        log.feedback("young", 0, "Bag").result(WAIT_S)
    monkeypatch.setattr(store, "PORTION", 3)
    portions = []
    delete_older = Store.delete_older

    def counted(self: Store, *given: Any) -> int:
        portions.append(delete_older(self, *given))
        return portions[-1]

    monkeypatch.setattr(Store, "delete_older", counted)
    with opened(url, retention_days=7) as log:
        while len(portions) < 3:
            assert log.record(rows_of("new", time=now)).result(WAIT_S) is True
    assert portions == [3, 3, 1]
    assert {row.request_id for row in kept(url)} == {"young", "new"}
    assert len(kept(url, schema.feedback)) == 1


def test_the_file_is_its_owners_alone(path: Path) -> None:
    with opened(path):
        assert {p.stat().st_mode & 0o777 for p in path.parent.iterdir()} == {0o600}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("mysql://me:secret@host/db", "kept elsewhere"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("://secret", "no address"),
        ("postgresql://me:secret@host:port/db", "no address"),
    ],
)
def test_addresses_that_are_none(given: str, said: str) -> None:
    with pytest.raises(LogError, match=said) as error:
        PredictionLog(given)
    assert "secret" not in str(error.value)


def test_a_file_that_is_no_database(path: Path) -> None:
    path.write_text("Dear diary" * 200)
    with pytest.raises(LogError, match="not a database"):
        PredictionLog(str(path))
    assert path.read_text() == "Dear diary" * 200


def test_a_folder_in_the_way(tmp_path: Path) -> None:
    with pytest.raises((LogError, StorageError)):
        PredictionLog(str(tmp_path))


@pytest.mark.parametrize("options", [{"capacity": 0}, {"retention_days": 0}])
def test_impossible_numbers(path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        PredictionLog(str(path), **options)
