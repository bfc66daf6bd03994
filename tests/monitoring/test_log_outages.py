"""PostgreSQL goes down and comes back while predictions are logged."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from atelier.monitoring import PredictionLog, schema
from atelier.monitoring import log as log_module
from atelier.monitoring.store import Store

RowsOf = Callable[..., list[Any]]
WAIT_S = 30


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "_FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(log_module, "_LONGEST_WAIT_S", 0.1)


def kept(url: str) -> tuple[set[str], int]:
    """The requests in the log, and how many rows it says are missing."""
    database = Store(url)
    with database.reading() as connection:
        names = set(connection.scalars(sa.select(schema.predictions.c.request_id)))
        missing = connection.scalar(sa.select(sa.func.sum(schema.gaps.c.lost))) or 0
    database.close()
    return names, missing


def wait_for(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(100 * WAIT_S):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("waited in vain")


def test_the_server_stops_and_starts_during_load(empty_postgres: Any, rows_of: RowsOf) -> None:
    lost: list[int] = []
    futures: dict[str, Any] = {}
    log = PredictionLog(empty_postgres.url, capacity=300, on_lost=lost.append)
    stop = threading.Event()

    def load() -> None:
        number = 0
        while not stop.wait(0.001):
            number += 1
            name = f"r{number}"
            futures[name] = log.record(rows_of(name))  # what raises or waits here fails the test

    loading = threading.Thread(target=load)
    loading.start()
    wait_for(lambda: log.written > 50)
    empty_postgres.stop()
    try:
        wait_for(lambda: log.problem is not None and sum(lost) > 50)
    finally:
        empty_postgres.start()
    before = log.written
    wait_for(lambda: log.written > before + 50 and log.problem is None)
    stop.set()
    loading.join(WAIT_S)
    assert not loading.is_alive()
    log.close(WAIT_S)
    written = {name for name, done in futures.items() if done.result(0)}
    names, missing = kept(empty_postgres.url)
    assert names == written
    assert missing == log.lost == sum(lost) == len(futures) - len(written)
    assert log.written == len(written)
    assert log.pending == 0


def test_a_short_outage_loses_nothing(empty_postgres: Any, rows_of: RowsOf) -> None:
    log = PredictionLog(empty_postgres.url)
    assert log.record(rows_of("before")).result(WAIT_S) is True
    empty_postgres.stop()
    try:
        waiting = [log.record(rows_of(f"during-{k}", 3)) for k in range(20)]
        wait_for(lambda: log.problem is not None)
        assert log.pending == 60
    finally:
        empty_postgres.start()
    assert all(done.result(WAIT_S) for done in waiting)
    log.close(WAIT_S)
    names, missing = kept(empty_postgres.url)
    assert len(names) == 21
    assert missing == log.lost == 0


def test_a_service_may_start_before_its_database(empty_postgres: Any, rows_of: RowsOf) -> None:
    empty_postgres.stop()
    try:
        log = PredictionLog(empty_postgres.url)
        done = log.record(rows_of("early"))
        assert log.problem is not None
        assert not done.done()
    finally:
        empty_postgres.start()
    assert done.result(WAIT_S) is True
    log.close(WAIT_S)
    assert kept(empty_postgres.url) == ({"early"}, 0)


def test_tables_that_are_dropped_are_made_again(empty_postgres: Any, rows_of: RowsOf) -> None:
    log = PredictionLog(empty_postgres.url)
    assert log.record(rows_of("before")).result(WAIT_S) is True
    engine = sa.create_engine(empty_postgres.url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    engine.dispose()
    assert log.record(rows_of("after")).result(WAIT_S) is True
    log.close(WAIT_S)
    assert kept(empty_postgres.url)[0] == {"after"}


def test_no_password_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    log = PredictionLog(f"postgresql+psycopg://me:secret@/db?host={tmp_path}")
    try:
        assert log.problem is not None
        assert "secret" not in log.problem + log.name
    finally:
        log.close(1)
