"""The process: signals, the port, new versions under load, and more load than there is room for."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from atelier.errors import ConfigError
from atelier.exported import ExportedModel
from atelier.serving.limits import Limits
from atelier.serving.server import listen
from atelier.serving.service import Service
from atelier.serving.settings import ServeSettings
from tests.serving.tiny_export import write_tiny_export
from tests.serving.wire import connect, get, post, read_all, status_of, talk, whole_service

PATIENCE_S = 30.0


def picture() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((28, 28), 40, np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return write_tiny_export(tmp_path / "tiny.onnx")


@contextlib.contextmanager
def process(export: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """`atelier serve` in a process of its own: the process, its address, and what it has said."""
    command = [sys.executable, "-m", "atelier.cli", "serve", f"tiny={export}", "--no-page"]
    command += ["--log", f"sqlite:///{export.parent}/log.sqlite", "--port", "0", *words]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as running:
        try:
            assert running.stdout is not None
            said = [running.stdout.readline()]
            assert said[0].startswith("listening at "), running.communicate()[1]
            while not said[-1].startswith("stop"):
                said.append(running.stdout.readline())
            yield running, said[0].removeprefix("listening at ").strip(), said
        finally:
            running.kill()


def logged(export: Path) -> set[str]:
    """The requests whose answers stand in the log of `process`."""
    with contextlib.closing(sqlite3.connect(export.parent / "log.sqlite")) as log:
        return {request_id for (request_id,) in log.execute("SELECT request_id FROM predictions")}


class Callers:
    """Clients that ask one after the other until they are told to stop, over kept connections."""

    def __init__(self, address: str, number: int) -> None:
        self.statuses: Counter[int | str] = Counter()
        self.versions: Counter[str] = Counter()
        self.logged: set[str] = set()
        self._stop = threading.Event()
        self.changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._ask, args=(address,), daemon=True) for _ in range(number)
        ]
        for thread in self._threads:
            thread.start()

    def _ask(self, address: str) -> None:
        with httpx.Client(base_url=address, timeout=PATIENCE_S) as client:
            while not self._stop.is_set():
                try:
                    answer = client.post(
                        "/v1/predict", content=picture(), headers={"content-type": "image/png"}
                    )
                except httpx.TransportError as error:
                    self.statuses[type(error).__name__] += 1
                    break
                with self.changed:
                    self.statuses[answer.status_code] += 1
                    if answer.status_code == 200:
                        told = answer.json()
                        self.versions[told["model"]["version"]] += 1
                        if told["logged"]:
                            self.logged.add(told["request_id"])
                    self.changed.notify_all()

    def wait_for(self, version: str, answers: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.versions[version] >= answers, PATIENCE_S)

    def wait_for_logged(self, answers: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.logged) >= answers, PATIENCE_S)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def version_of(address: str) -> str:
    return str(httpx.get(f"{address}/v1/models").json()["models"][0]["version"])


def test_it_says_where_it_is_and_ends_well(export: Path) -> None:
    with process(export) as (running, address, said):
        text = "".join(said)
        assert f"tiny, version {version_of(address)}" in text
        assert f"{address}/openapi.json" in text
        assert "log.sqlite" in text
        running.send_signal(signal.SIGINT)
        assert running.wait(PATIENCE_S) == 0
        assert running.stderr is not None
        assert "Traceback" not in running.stderr.read()
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{address}/healthz")


def test_a_stop_answers_what_was_accepted_and_takes_nothing_new(export: Path) -> None:
    with process(export) as (running, address, _):
        where = ("127.0.0.1", int(address.rpartition(":")[2]))
        whole = post("/v1/predict", picture(), "image/png")
        with connect(where) as slow, connect(where) as idle:
            slow.sendall(whole[:-20])  # accepted, and not yet here to its end
            idle.sendall(get("/healthz").replace(b"Connection: close\r\n", b""))
            assert idle.recv(65_536).startswith(b"HTTP/1.1 200")
            running.send_signal(signal.SIGTERM)
            assert idle.recv(65_536) == b""  # a kept connection is closed
            with pytest.raises(ConnectionRefusedError):
                connect(where)
            slow.sendall(whole[-20:])
            answer = read_all(slow)
        assert status_of(answer) == 200
        assert running.wait(PATIENCE_S) == 0
    # An answer may go out before its row is in the log; the process ends after it.
    assert len(logged(export)) == 1


def test_a_second_signal_ends_it_at_once(export: Path) -> None:
    with process(export) as (running, address, _):
        where = ("127.0.0.1", int(address.rpartition(":")[2]))
        with connect(where) as slow:
            slow.sendall(post("/v1/predict", picture(), "image/png")[:-20])
            assert status_of(talk(where, get("/healthz"))) == 200  # so the other is known, too
            running.send_signal(signal.SIGTERM)
            assert running.stderr is not None
            assert "stopping" in running.stderr.readline()
            running.send_signal(signal.SIGTERM)
            assert running.wait(PATIENCE_S) == 128 + signal.SIGTERM


def test_a_new_version_takes_over_under_load_and_no_request_is_lost(export: Path) -> None:
    with process(export) as (running, address, _):
        versions = [version_of(address)]
        callers = Callers(address, 4)
        for seed in (1, 2):
            callers.wait_for(versions[-1], 20)
            write_tiny_export(export.with_suffix(".new"), seed=seed).replace(export)
            versions.append(ExportedModel(export).version)
            running.send_signal(signal.SIGHUP)
        callers.wait_for(versions[-1], 20)
        export.write_bytes(b"this is no export")
        running.send_signal(signal.SIGHUP)
        assert running.stderr is not None
        while "keeps version" not in (line := running.stderr.readline()):
            assert line
        before = callers.versions[versions[-1]]
        callers.wait_for(versions[-1], before + 20)
        callers.stop()
        assert set(callers.statuses) == {200}
        assert set(callers.versions) == set(versions)
        assert httpx.get(f"{address}/v1/models").json()["models"][0]["refused_file"] is True


def test_a_kill_loses_no_answer_that_was_said_to_be_logged(export: Path) -> None:
    with process(export) as (running, address, _):
        callers = Callers(address, 4)
        callers.wait_for_logged(50)
        running.kill()
        callers.stop()
        assert running.wait(PATIENCE_S) == -signal.SIGKILL
    assert callers.logged <= logged(export)


def test_a_port_that_is_taken_is_told(export: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {port} at 127.0.0.1 is taken"):
            listen("127.0.0.1", port)
    with pytest.raises(ConfigError, match="no such address"):
        listen("no.such.host.invalid", 0)


def test_a_crowd_is_let_in_within_few_turns_of_a_busy_loop(
    export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each would wait for a turn of its own, and the last for all of them."""
    turns, watched = 0, threading.Event()

    async def long_turns(_: Service) -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            if watched.is_set():
                turns += 1
                time.sleep(0.03)

    monkeypatch.setattr(Service, "_sweep", long_turns)
    settings = ServeSettings(models={"tiny": export}, port=0, page=False, log=None)
    with whole_service(settings) as where, contextlib.ExitStack() as opened:
        watched.set()
        crowd = [opened.enter_context(connect(where)) for _ in range(60)]
        for client in crowd:
            client.sendall(get("/healthz"))
        assert [status_of(read_all(client)) for client in crowd] == [200] * 60
        assert turns < 50


@pytest.fixture
def room(export: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    """A service whose queue is full or not as the test says."""
    room = Room()
    monkeypatch.setattr(Service, "full", property(lambda _: room.full))
    settings = ServeSettings(
        models={"tiny": export}, port=0, page=False, log=None, limits=Limits(max_requests=2)
    )
    with whole_service(settings) as room.where:
        yield room


class Room:
    full = False
    where = ("", 0)


KEPT = post("/v1/predict", picture(), "image/png").replace(b"Connection: close\r\n", b"")


def test_who_finds_no_room_is_told_at_once_and_may_ask_again(room: Room) -> None:
    with connect(room.where) as client:
        for full in (False, True, True, False, True):
            room.full = full
            client.sendall(KEPT)
            answer = client.recv(65_536)
            assert status_of(answer) == (503 if full else 200)
            head, _, body = answer.partition(b"\r\n\r\n")
            if full:
                assert b"retry-after: 1" in head
                assert b"content-type: application/problem+json" in head
                assert b"urn:atelier:problem:busy" in body
        # What costs nothing is answered all the same.
        client.sendall(get("/healthz"))
        assert status_of(read_all(client)) == 200
    metrics = talk(room.where, get("/metrics"))
    assert b'atelier_refusals_total{reason="queue"} 3.0' in metrics
    assert b'atelier_requests_total{route="/v1/predict",status="503"} 3.0' in metrics


def test_who_finds_no_room_is_told_before_the_body_is_read(room: Room) -> None:
    room.full = True
    with connect(room.where) as client:
        client.sendall(KEPT[:-20])
        answer = read_all(client)
    assert status_of(answer) == 503
    assert b"connection: close" in answer


def test_two_requests_in_one_piece_are_answered_in_their_order(room: Room) -> None:
    with connect(room.where) as client:
        client.sendall(KEPT + get("/healthz"))
        first, second = read_all(client).split(b"HTTP/1.1 ")[1:]
    assert (first[:3], second[:3]) == (b"200", b"200")
    assert b"predictions" in first
    assert b"alive" in second
