"""The database of the prediction log: SQLite in a file, or PostgreSQL by its address."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    ProgrammingError,
    SQLAlchemyError,
    StatementError,
)

from ..errors import LogError
from ..extras import require
from ..storage import explained
from .rows import Gap, LoggedPrediction
from .schema import feedback, gaps, migrate, predictions, version_of

PORTION = 500  # rows that one transaction of the retention deletes, so that it holds nobody up
_LONGEST_ID = 500  # characters, which the index of PostgreSQL has room for
_BUSY_S = 5.0  # how long SQLite waits for another process that writes
_ALLOWED = "sqlite:///FILE, or postgresql+psycopg://USER@HOST/DATABASE"
# A server that has gone without a word is given up after seconds, not after hours.
_POSTGRES = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 10,
    "options": "-c statement_timeout=30000",
    "application_name": "atelier",
}


class Store:
    """A database that holds, or is to hold, a prediction log.

    Args:
        url: ``sqlite:///FILE`` or the path of a file, or ``postgresql+psycopg://...``.
        create: make a file that does not exist; else it is an error.

    Raises:
        LogError: not the address of such a database, or there is no such file.
        AtelierError: a library is not installed.
    """

    def __init__(self, url: str, *, create: bool = False) -> None:
        self._url = _parsed(url)
        self.name = self._url.render_as_string(hide_password=True)
        self.is_file = self._url.get_backend_name() == "sqlite"
        options: dict[str, Any] = {"timeout": _BUSY_S}
        if self.is_file:
            _make_file(Path(str(self._url.database)), create=create)
        else:
            require("psycopg", extra="postgres")
            options = {k: v for k, v in _POSTGRES.items() if k not in self._url.query}
        # No error may tell what the rows hold.
        self.engine: Engine = sa.create_engine(
            self._url, connect_args=options, hide_parameters=True
        )
        if self.is_file:
            sa.event.listen(self.engine, "connect", _set_up)
            sa.event.listen(self.engine, "begin", _begin)

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        """A transaction that is committed when the block ends well."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to a log of this version, for queries; the log may be written meanwhile.

        Raises:
            LogError: the database cannot be reached, has no log, or one of a newer version.
        """
        try:
            with self.engine.connect().execution_options(begin="BEGIN") as connection:
                if version_of(connection) == 0:
                    raise LogError(
                        f"there is no prediction log in {self.name}",
                        fix="Name the database that `atelier serve --log` writes",
                    )
                yield connection
        except DBAPIError as error:
            raise self.unusable(error) from error

    def prepare(self) -> None:
        """Make or update the tables.

        Raises:
            LogError: they are of a newer version of atelier.
            sqlalchemy.exc.SQLAlchemyError: the database cannot be reached or written.
        """
        with self.changing() as connection:
            migrate(connection)

    def write(self, connection: Connection, rows: Sequence[LoggedPrediction]) -> None:
        """Add rows; those that are there already stay as they are."""
        if rows:
            insert = self._insert(predictions).on_conflict_do_nothing()
            connection.execute(insert, [_values(row) for row in rows])

    def write_gap(self, connection: Connection, writer: str, gap: Gap) -> None:
        """Note that rows are missing; what was noted of the same gap before is replaced.

        Args:
            connection: of a transaction.
            writer: the name of who lost them, for several may write.
            gap: what is missing.
        """
        said = {"until": gap.until, "lost": gap.lost}
        key = {"writer": writer, "since": gap.since}
        insert = self._insert(gaps).values(key | said)
        connection.execute(insert.on_conflict_do_update(index_elements=list(key), set_=said))

    def write_feedback(
        self, connection: Connection, request_id: str, image_index: int, label: str
    ) -> tuple[str, str] | None:
        """Note the true class of an image; a later word replaces an earlier.

        Returns:
            The model that answered and what it said; None where the log knows no such image.
        """
        answer = connection.execute(
            sa.select(predictions.c.model, predictions.c.predicted)
            .where(predictions.c.request_id == request_id, predictions.c.image_index == image_index)
            .order_by(predictions.c.time.desc())
            .limit(1)
        ).first()
        if answer is None:
            return None
        said = {"time": datetime.now(UTC), "label": label}
        key = {"request_id": request_id, "image_index": image_index}
        insert = self._insert(feedback).values(key | said)
        connection.execute(insert.on_conflict_do_update(index_elements=list(key), set_=said))
        return str(answer.model), str(answer.predicted)

    def delete(self, connection: Connection, request_id: str) -> int:
        """Remove everything of a request.

        Returns:
            The number of predictions that were removed.
        """
        connection.execute(sa.delete(feedback).where(feedback.c.request_id == request_id))
        found = connection.execute(
            sa.delete(predictions).where(predictions.c.request_id == request_id)
        )
        return found.rowcount

    def count_older(self, connection: Connection, before: datetime) -> int:
        """How many predictions are older than `before`."""
        old = sa.select(sa.func.count()).where(predictions.c.time < before)
        return int(connection.scalar(old.select_from(predictions)) or 0)

    def delete_older(self, connection: Connection, before: datetime) -> int:
        """Remove a portion of what is older than `before`: at most 500 predictions, and the
        feedback on such old ones.

        Returns:
            The number of predictions that were removed; fewer than 500 when none is left.
        """
        key = (predictions.c.request_id, predictions.c.image_index, predictions.c.time)
        old = sa.select(*key).where(predictions.c.time < before).limit(PORTION)
        found = connection.execute(sa.delete(predictions).where(sa.tuple_(*key).in_(old)))
        if found.rowcount < PORTION:
            orphan = ~sa.exists().where(
                predictions.c.request_id == feedback.c.request_id,
                predictions.c.image_index == feedback.c.image_index,
            )
            connection.execute(sa.delete(feedback).where(feedback.c.time < before, orphan))
            connection.execute(sa.delete(gaps).where(gaps.c.until < before))
        return found.rowcount

    def forget(self) -> None:
        """Make SQLite's journal forget what was deleted, unless a reader still needs it."""
        if self.is_file:
            with self.engine.connect().execution_options(begin=None) as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def unusable(self, error: Exception) -> LogError:
        """What is wrong with the database, for its user."""
        reason = str(getattr(error, "orig", None) or error)
        return LogError(
            f"the prediction log {self.name} cannot be used: {reason}",
            fix="Check the address and that the database runs and lets you in",
        )

    def is_away(self, error: Exception) -> bool:
        """Whether an error is the database's own, and not that of what it was given."""
        if isinstance(error, DBAPIError):
            return not isinstance(error, DataError | IntegrityError | ProgrammingError)
        # A statement that no database has seen could not be made of what was given.
        return isinstance(error, SQLAlchemyError | OSError) and not isinstance(
            error, StatementError
        )

    def close(self) -> None:
        """Let all connections go."""
        self.engine.dispose()

    def _insert(self, table: sa.Table) -> Any:
        return (sqlite if self.is_file else postgresql).insert(table)


def _parsed(url: str) -> URL:
    if "://" not in url:
        return URL.create("sqlite", database=url)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        # Never the address itself, for a password may stand in it.
        raise LogError("this is no address of a database", allowed=_ALLOWED) from error
    kind = parsed.get_backend_name()
    if kind == "postgres":
        kind = "postgresql"
    if kind == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if kind != "sqlite":
        raise LogError("a prediction log is kept elsewhere", got=kind, allowed=_ALLOWED)
    if not parsed.database or parsed.database == ":memory:":
        raise LogError("a prediction log in memory would not last", fix="Name a file")
    return parsed.set(drivername="sqlite")


def _make_file(path: Path, *, create: bool) -> None:
    """An empty file that its owner alone may read, where there is none."""
    with explained(path, "open"):
        if path.exists():
            return
        if not create:
            raise LogError(
                f"there is no prediction log {path}",
                fix="Name the file that `atelier serve --log` writes",
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _set_up(connection: Any, _: object) -> None:
    # The driver's own transactions leave CREATE TABLE outside: they are begun by hand, below.
    connection.isolation_level = None
    cursor = connection.cursor()
    _keep_a_write_ahead_log(cursor)
    cursor.execute("PRAGMA synchronous=FULL")  # a commit is on the disk when it returns
    cursor.execute("PRAGMA secure_delete=ON")  # what is deleted is overwritten
    cursor.close()


def _keep_a_write_ahead_log(cursor: Any) -> None:
    """Retried, for SQLite does not wait where several connections change the journal at once: the
    lock that they want might be each other's, so it answers without asking its busy handler."""
    until = time.monotonic() + _BUSY_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > until:
                raise
            time.sleep(0.01)


def _begin(connection: Connection) -> None:
    # At once for writing: a transaction that reads first could find the file changed under it.
    words = connection.get_execution_options().get("begin", "BEGIN IMMEDIATE")
    if words is not None:
        connection.exec_driver_sql(words)


def _values(row: LoggedPrediction) -> dict[str, Any]:
    if len(row.request_id) > _LONGEST_ID:
        raise ValueError(f"a request id of {len(row.request_id):,} characters")
    return {
        "request_id": row.request_id,
        "image_index": row.image_index,
        "time": row.time,
        "model": row.model,
        "version": row.version,
        "client": row.client,
        "predicted": row.predicted,
        "confidence": row.confidence,
        "unknown": row.unknown,
        "probs": np.asarray(row.probs, "<f4").tobytes(),
        "embedding": row.embedding,
        "image_stats": np.asarray(row.image_stats, "<f4").tobytes(),
        "thumbnail": row.thumbnail,
        "latency_ms": row.latency_ms,
        "image_sha256": row.image_sha256,
    }
