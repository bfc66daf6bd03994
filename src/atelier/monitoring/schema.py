"""The tables of the prediction log, and the numbered steps that make them.

A step is plain SQL and is never changed once it has been released: `STEPS` tells how to get from
the version before to its own, and a new version is a new step. The tables below are what the last
step leaves, for queries.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect

from ..errors import LogError

STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE predictions (
            request_id TEXT NOT NULL,
            image_index INTEGER NOT NULL,
            time {time} NOT NULL,
            model TEXT NOT NULL,
            version TEXT NOT NULL,
            client TEXT NOT NULL,
            predicted TEXT NOT NULL,
            confidence DOUBLE PRECISION NOT NULL,
            unknown BOOLEAN NOT NULL,
            probs {bytes} NOT NULL,
            embedding {bytes},
            image_stats {bytes} NOT NULL,
            thumbnail {bytes},
            latency_ms DOUBLE PRECISION NOT NULL,
            image_sha256 TEXT NOT NULL,
            PRIMARY KEY (request_id, image_index, time)
        )""",
        "CREATE INDEX predictions_time ON predictions (time)",
        """CREATE TABLE feedback (
            request_id TEXT NOT NULL,
            image_index INTEGER NOT NULL,
            time {time} NOT NULL,
            label TEXT NOT NULL,
            PRIMARY KEY (request_id, image_index)
        )""",
        "CREATE INDEX feedback_time ON feedback (time)",
        """CREATE TABLE gaps (
            writer TEXT NOT NULL,
            since {time} NOT NULL,
            until {time} NOT NULL,
            lost INTEGER NOT NULL,
            PRIMARY KEY (writer, since)
        )""",
    ),
)
"""For each version the statements that lead to it; {time} and {bytes} stand for the database's own
types."""

_TYPES = {
    "sqlite": {"time": "TIMESTAMP", "bytes": "BLOB"},
    "postgresql": {"time": "TIMESTAMPTZ", "bytes": "BYTEA"},
}
_LOCK = 0x61_74_65_6C  # "atel": no two processes migrate one PostgreSQL database at a time


class Utc(sa.types.TypeDecorator[datetime]):
    """Moments in UTC. SQLite knows no time zones: what it keeps is UTC all the same."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, _: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_metadata = sa.MetaData()

predictions = sa.Table(
    "predictions",
    _metadata,
    sa.Column("request_id", sa.Text, primary_key=True),
    sa.Column("image_index", sa.Integer, primary_key=True),
    sa.Column("time", Utc, primary_key=True),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("client", sa.Text, nullable=False),
    sa.Column("predicted", sa.Text, nullable=False),
    sa.Column("confidence", sa.Double, nullable=False),
    sa.Column("unknown", sa.Boolean, nullable=False),
    sa.Column("probs", sa.LargeBinary, nullable=False),
    sa.Column("embedding", sa.LargeBinary),
    sa.Column("image_stats", sa.LargeBinary, nullable=False),
    sa.Column("thumbnail", sa.LargeBinary),
    sa.Column("latency_ms", sa.Double, nullable=False),
    sa.Column("image_sha256", sa.Text, nullable=False),
)
feedback = sa.Table(
    "feedback",
    _metadata,
    sa.Column("request_id", sa.Text, primary_key=True),
    sa.Column("image_index", sa.Integer, primary_key=True),
    sa.Column("time", Utc, nullable=False),
    sa.Column("label", sa.Text, nullable=False),
)
gaps = sa.Table(
    "gaps",
    _metadata,
    sa.Column("writer", sa.Text, primary_key=True),
    sa.Column("since", Utc, primary_key=True),
    sa.Column("until", Utc, nullable=False),
    sa.Column("lost", sa.Integer, nullable=False),
)
_versions = sa.Table(
    "atelier_schema",
    sa.MetaData(),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("applied", Utc, nullable=False),
)


def migrate(connection: Connection) -> None:
    """Bring the database of this transaction to the last version: all of the way or not at all.

    Raises:
        LogError: the database is of a newer version of atelier.
    """
    kind = connection.dialect.name
    if kind == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    _versions.create(connection, checkfirst=True)
    version = version_of(connection)
    for number, statements in enumerate(STEPS[version:], start=version + 1):
        for statement in statements:
            connection.exec_driver_sql(statement.format(**_TYPES[kind]))
        applied: dict[str, Any] = {"version": number, "applied": datetime.now(UTC)}
        connection.execute(_versions.insert(), applied)


def version_of(connection: Connection) -> int:
    """The version of the tables in a database; 0 where there are none.

    Raises:
        LogError: it is of a newer version of atelier.
    """
    if not sa.inspect(connection).has_table(_versions.name):
        return 0
    version = connection.scalar(sa.select(sa.func.max(_versions.c.version))) or 0
    if version > len(STEPS):
        raise LogError(
            "the prediction log was written by a newer version of atelier",
            got=f"schema {version}",
            allowed=f"up to schema {len(STEPS)}",
            fix="Update atelier, or name another database",
        )
    return int(version)
