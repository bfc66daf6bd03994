"""Clients that would shut others out, while somebody works as ever beside them."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from atelier.serving.keys import add_key
from atelier.serving.limits import Limits
from atelier.serving.settings import ServeSettings
from tests.serving.mangling import PNG, png
from tests.serving.tiny_export import write_tiny_export
from tests.serving.wire import (
    PATIENCE_S,
    connect,
    get,
    post,
    read_all,
    status_of,
    talk,
    whole_service,
)

ATTACKERS = 60
LIMITS = Limits(
    max_connections=40,  # fewer than there are attackers
    header_timeout_s=1.0,
    read_timeout_s=1.0,
    request_timeout_s=3.0,
    rate_per_s=0.0,
)
Address = tuple[str, int]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Address, str]]:
    """The whole service with keys: its address and a key."""
    folder = tmp_path_factory.mktemp("service")
    key, _ = add_key(folder / "keys.json", "tests")
    told = ServeSettings(
        models={"tiny": write_tiny_export(folder / "tiny.onnx")},
        port=0,
        workers=1,
        log=f"sqlite:///{folder}/log.sqlite",
        keys_file=folder / "keys.json",
        limits=LIMITS,
        page=False,
    )
    with whole_service(told) as address:
        yield address, key


class Worker:
    """A client that asks again and again, with a new connection each time, and counts."""

    def __init__(self, address: Address, key: str) -> None:
        self._address, self._key = address, key
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self.answers: list[tuple[Any, float]] = []
        self._changed = threading.Condition()

    def __enter__(self) -> Worker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def wait_for(self, more: int) -> None:
        """Return when `more` further requests were answered."""
        with self._changed:
            wanted = len(self.answers) + more
            assert self._changed.wait_for(lambda: len(self.answers) >= wanted, PATIENCE_S)

    def _work(self) -> None:
        while not self._over.is_set():
            start = time.monotonic()
            connection = http.client.HTTPConnection(*self._address, timeout=PATIENCE_S)
            try:
                headers = {"Content-Type": "image/png", "X-API-Key": self._key}
                connection.request("POST", "/v1/predict", PNG, headers)
                answer: Any = connection.getresponse().status
            except OSError as error:
                answer = error
            finally:
                connection.close()
            with self._changed:
                self.answers.append((answer, time.monotonic() - start))
                self._changed.notify_all()


@contextlib.contextmanager
def undisturbed(service: tuple[Address, str]) -> Iterator[Worker]:
    """A client works beside the block; each of its requests must be answered, and soon."""
    with Worker(*service) as worker:
        worker.wait_for(5)
        yield worker
        worker.wait_for(5)
    assert {answer for answer, _ in worker.answers} == {200}
    # Generous, for the machine may be busy; the slow ones hold for as long as they like.
    assert sorted(took for _, took in worker.answers)[len(worker.answers) // 2] < 1.0


def with_key(key: str, data: bytes) -> bytes:
    """A request with the key in its headers."""
    return data.replace(b"\r\n", f"\r\nX-API-Key: {key}\r\n".encode(), 1)


@pytest.mark.parametrize("kind", ["silent", "headers", "body", "no key"])
def test_slow_clients(service: tuple[Address, str], kind: str) -> None:
    address, key = service
    whole = with_key(key, post("/v1/predict", PNG, "image/png"))
    sent = {
        "silent": b"",
        "headers": whole[:60],
        "body": whole[:-20],
        "no key": post("/v1/predict", PNG, "image/png")[:-20],
    }[kind]
    with undisturbed(service) as worker, contextlib.ExitStack() as stack:
        clients = []
        for _ in range(ATTACKERS):
            client = stack.enter_context(connect(address))
            with contextlib.suppress(ConnectionError):
                client.sendall(sent)
            clients.append(client)
        worker.wait_for(20)
        # Every one of them is gone before long, and none was served.
        answers = {status_of(read_all(client)) for client in clients}
    expected = {"silent": {None}, "no key": {401, None}}.get(kind, {408, None})
    assert answers <= expected


def test_clients_that_drip(service: tuple[Address, str]) -> None:
    """A byte now and then keeps each piece within its time, but not the whole."""
    address, key = service
    whole = with_key(key, post("/v1/predict", PNG, "image/png"))
    start = time.monotonic()
    with undisturbed(service), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(address)) for _ in range(20)]
        for client in clients:
            client.sendall(whole[:-100])
        going = list(clients)
        while going and time.monotonic() - start < PATIENCE_S:
            for client in list(going):
                try:
                    client.sendall(b"\0")
                    client.settimeout(0.01)
                    if client.recv(65_536) is not None:
                        going.remove(client)
                except TimeoutError:
                    continue
                except ConnectionError:
                    going.remove(client)
    assert not going
    assert time.monotonic() - start < 3 * LIMITS.request_timeout_s


def test_clients_that_do_not_read(service: tuple[Address, str]) -> None:
    address, key = service
    asks = with_key(key, get("/openapi.json")).replace(b"Connection: close\r\n", b"")
    with undisturbed(service) as worker, contextlib.ExitStack() as stack:
        for _ in range(20):
            client = socket.socket()
            stack.enter_context(client)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(address)
            client.sendall(asks * 10)
        worker.wait_for(20)


def test_giants_that_are_announced(service: tuple[Address, str]) -> None:
    address, key = service
    head = with_key(key, post("/v1/predict", b"", "image/png"))
    giant = head.replace(b"Content-Length: 0", b"Content-Length: 10737418240")
    with undisturbed(service):
        for _ in range(50):
            start = time.monotonic()
            with connect(address) as client:
                client.sendall(giant)
                assert status_of(client.recv(65_536)) == 413
            assert time.monotonic() - start < 5


def test_giants_that_are_sent(service: tuple[Address, str]) -> None:
    """They are cut off soon after the limit, announced or in pieces."""
    address, key = service
    head = with_key(key, post("/v1/predict", b"", "image/png"))
    announced = head.replace(b"Content-Length: 0", b"Content-Length: 10737418240")
    pieces = head.replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    piece = bytes(2**20)
    with undisturbed(service):
        for start, sent in (
            (announced, piece),
            (pieces, f"{len(piece):x}\r\n".encode() + piece + b"\r\n"),
        ):
            with connect(address) as client:
                client.sendall(start)
                taken = 0
                with contextlib.suppress(ConnectionError):
                    for _ in range(1000):
                        client.sendall(sent)
                        taken += 1
                assert taken < 100  # MiB, of which most are in the system's buffers


def test_bombs(service: tuple[Address, str]) -> None:
    address, key = service
    bomb = with_key(key, post("/v1/predict", png(30_000, 30_000, zeros=10**7), "image/png"))
    with undisturbed(service):
        assert {status_of(talk(address, bomb)) for _ in range(50)} == {413}


def test_wrong_keys(service: tuple[Address, str]) -> None:
    address, key = service
    with undisturbed(service):
        for number in range(200):
            wrong = f"{key[:-4]}{number:04}"
            assert status_of(talk(address, with_key(wrong, get("/v1/models")))) == 401


@pytest.mark.parametrize(
    "path",
    [
        "/v1/../../etc/passwd",
        "/v1/%2e%2e/%2e%2e/etc/passwd",
        "/v1/..%2f..%2fetc%2fpasswd",
        "/v1/..%5c..%5cwindows%5cwin.ini",
        "/v1/%252e%252e/etc/passwd",
        "/v1/predictions/..%2f..%2fx",
        "/v1/predictions/%00",
        "/v1/models%00",
        "//etc/passwd",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/proxy=http://127.0.0.1:9/",
        "/file=/etc/passwd",
        "/.git/config",
        "http://127.0.0.1:9/",
        "file:///etc/passwd",
        "*",
        "v1/models",
    ],
)
def test_tricks_with_paths(service: tuple[Address, str], path: str) -> None:
    address, key = service
    answer = talk(address, with_key(key, get(path)))
    assert status_of(answer) in (400, 404, 422)
    assert b"root:" not in answer
    assert status_of(talk(address, with_key(key, get("/v1/models")))) == 200


def test_noise(service: tuple[Address, str]) -> None:
    """Bytes that are no HTTP at all."""
    import random

    address, _ = service
    noise = random.Random(0)
    with undisturbed(service):
        for _ in range(100):
            answer = talk(address, noise.randbytes(noise.randrange(1, 3000)))
            assert status_of(answer) in (None, 400, 408, 431)
