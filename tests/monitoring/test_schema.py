from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from atelier.errors import LogError
from atelier.monitoring import PredictionLog, schema
from atelier.monitoring.store import Store

RowsOf = Callable[..., list[Any]]


@pytest.fixture
def database(url: str) -> Any:
    opened = Store(url, create=True)
    yield opened
    opened.close()


def columns(database: Store, table: str) -> dict[str, bool]:
    """Of a table as it is, whether each may be null."""
    found = sa.inspect(database.engine).get_columns(table)
    return {column["name"]: column["nullable"] for column in found}


def test_the_steps_lead_to_the_tables(database: Store) -> None:
    database.prepare()
    for table in (schema.predictions, schema.feedback, schema.gaps):
        wanted = {column.name: bool(column.nullable) for column in table.columns}
        assert columns(database, table.name) == wanted
        key = sa.inspect(database.engine).get_pk_constraint(table.name)["constrained_columns"]
        assert key == [column.name for column in table.primary_key]


def test_preparing_again_changes_nothing(url: str, database: Store, rows_of: RowsOf) -> None:
    database.prepare()
    with database.changing() as connection:
        database.write(connection, rows_of("a"))
    database.prepare()
    with database.reading() as connection:
        assert schema.version_of(connection) == len(schema.STEPS)
        assert connection.scalar(sa.select(sa.func.count()).select_from(schema.predictions)) == 1


def test_a_next_step_keeps_the_rows(
    database: Store, rows_of: RowsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.prepare()
    with database.changing() as connection:
        database.write(connection, rows_of("a"))
    step = ("ALTER TABLE predictions ADD COLUMN shop TEXT",)
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, step))
    database.prepare()
    assert "shop" in columns(database, "predictions")
    with database.reading() as connection:
        assert schema.version_of(connection) == len(schema.STEPS)
        assert connection.scalar(sa.select(schema.predictions.c.request_id)) == "a"


def test_a_step_that_fails_leaves_nothing_behind(
    database: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.prepare()
    step = ("CREATE TABLE half (a INTEGER)", "CREATE TABLE predictions (a INTEGER)")
    with monkeypatch.context() as patch:
        patch.setattr(schema, "STEPS", (*schema.STEPS, step))
        with pytest.raises(sa.exc.DBAPIError):
            database.prepare()
    assert not sa.inspect(database.engine).has_table("half")
    with database.reading() as connection:
        assert schema.version_of(connection) == len(schema.STEPS)


def test_several_processes_may_begin_at_once(url: str) -> None:
    def prepare(_: int) -> None:
        own = Store(url, create=True)
        own.prepare()
        own.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(prepare, range(4)))
    own = Store(url)
    with own.reading() as connection:
        assert schema.version_of(connection) == len(schema.STEPS)
    own.close()


def test_a_file_whose_journal_is_held_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE anything (a)")
    other.execute("BEGIN IMMEDIATE")  # SQLite answers at once here, whatever wait it was given
    release = threading.Timer(0.2, other.commit)
    release.start()
    store = Store(str(path), create=True)
    store.prepare()
    store.close()
    release.join()
    other.close()
    with closing(sqlite3.connect(path)) as again:
        assert again.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_newer_log_is_refused_whole(
    url: str, database: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(schema, "STEPS", (*schema.STEPS, ("CREATE TABLE later (a INTEGER)",)))
        database.prepare()
    with pytest.raises(LogError, match=r"newer version of atelier.*got 'schema 2'.*Update"):
        PredictionLog(url)
    with pytest.raises(LogError, match="newer version"), database.reading():
        pass


def test_an_empty_database_has_no_log(database: Store) -> None:
    with pytest.raises(LogError, match="there is no prediction log"), database.reading():
        pass


def test_a_missing_file_is_not_made_by_reading(tmp_path: Any) -> None:
    path = tmp_path / "log.db"
    with pytest.raises(LogError, match="there is no prediction log"):
        Store(f"sqlite:///{path}")
    assert not path.exists()
