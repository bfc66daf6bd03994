"""Rows to log, and a PostgreSQL server of the tests' own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from atelier.monitoring import Asked, LoggedPrediction, logged_predictions

CLASSES = ("Bag", "Coat", "Dress")


@pytest.fixture(scope="session")
def rows_of() -> Callable[..., list[LoggedPrediction]]:
    """A function that makes the rows of a request with some images."""

    def rows_of(request_id: str, n: int = 1, **changes: Any) -> list[LoggedPrediction]:
        rng = np.random.default_rng(len(request_id) + n)
        answers = SimpleNamespace(
            probs=rng.dirichlet(np.ones(len(CLASSES)), n).astype(np.float32),
            embedding=rng.normal(size=(n, 4)).astype(np.float32),
        )
        images = rng.integers(0, 256, (n, 1, 9, 9), dtype=np.uint8)
        options: dict[str, Any] = {"model": "shop", "version": "1", "classes": CLASSES}
        options["time"] = datetime.now(UTC)
        sent = {name: changes.pop(name) for name in ("client", "latency_ms") if name in changes}
        digests = changes.pop("image_sha256", [""] * n)
        asked = [Asked(request_id, k, image_sha256=digests[k], **sent) for k in range(n)]
        return logged_predictions(asked, images, answers, **(options | changes))

    return rows_of


class Postgres:
    """A server in a folder, on a socket there: nothing else can reach it."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self._folder = programs, folder
        self._call(
            "initdb", "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8",
            "--locale=C", f"--pgdata={folder / 'data'}",
        )  # fmt: skip
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://postgres@/postgres?host={self._folder}"

    def start(self) -> None:
        options = f"-F -c listen_addresses='' -c unix_socket_directories={self._folder}"
        # Not through a pipe: the server would keep it open.
        self._call(
            "pg_ctl", "start", "--wait", f"--pgdata={self._folder / 'data'}",
            f"--options={options}", f"--log={self._folder / 'log'}",
        )  # fmt: skip

    def stop(self) -> None:
        """As a machine that goes down: nobody is waited for."""
        self._call("pg_ctl", "stop", "--mode=immediate", f"--pgdata={self._folder / 'data'}")

    def _call(self, program: str, *words: str) -> None:
        command = [str(self._programs / program), *words]
        if os.geteuid() == 0:  # which the server refuses to be
            command = ["runuser", "-u", "postgres", "--", *command]
        with (self._folder / "said").open("w+b") as said:
            try:
                subprocess.run(command, check=True, cwd="/", stdout=said, stderr=said, timeout=60)
            except subprocess.CalledProcessError as error:
                said.seek(0)
                raise AssertionError(said.read().decode()) from error


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server that runs. Who stops it must start it again."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if not programs and on_path is None:
        pytest.skip("PostgreSQL's server is not installed")
    # A short path, for that of a socket may have but 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="atelier-pg-"))
    try:
        if os.geteuid() == 0:
            try:
                owner = pwd.getpwnam("postgres")
            except KeyError:
                pytest.skip("PostgreSQL refuses root, and there is no user postgres")
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        server = Postgres(programs[-1].parent if programs else Path(str(on_path)).parent, folder)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def empty_postgres(postgres: Postgres) -> Postgres:
    """The same with no table in it."""
    import sqlalchemy as sa

    engine = sa.create_engine(postgres.url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    engine.dispose()
    return postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'log.db'}"
    server: Postgres = request.getfixturevalue("empty_postgres")
    return server.url
