"""A server on loopback in a thread, and clients that send it whatever bytes they like."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import uvicorn

from atelier.serving.app import create_app
from atelier.serving.connections import connections_within
from atelier.serving.limits import Limits
from atelier.serving.server import Server, listen
from atelier.serving.service import Service
from atelier.serving.settings import ServeSettings

PATIENCE_S = 20.0  # for what must come; a test that waits as long has failed


@contextlib.contextmanager
def serving(app: Any, limits: Limits, tell: Any = None) -> Iterator[tuple[str, int]]:
    """Serve `app` as the service does; yields where."""
    config = uvicorn.Config(
        app,
        http=connections_within(limits, tell),
        ws="none",
        lifespan="on",
        log_level="critical",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        address = listener.getsockname()
        wait_until_open(address)
        try:
            yield address
        finally:
            server.should_exit = True
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def wait_until_open(address: tuple[str, int]) -> None:
    """Return as soon as the service answers."""
    assert status_of(talk(address, get("/healthz"))) == 200


def connect(address: tuple[str, int]) -> socket.socket:
    """A connection that waits for an answer, though not for ever."""
    return socket.create_connection(address, timeout=PATIENCE_S)


def get(path: str, *lines: str) -> bytes:
    """A GET that is complete."""
    head = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *lines, "", ""]
    return "\r\n".join(head).encode("latin-1")


def post(path: str, body: bytes, content_type: str, *lines: str) -> bytes:
    """A POST that is complete."""
    head = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Connection: close",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        *lines,
        "",
        "",
    ]
    return "\r\n".join(head).encode("latin-1") + body


def talk(address: tuple[str, int], data: bytes) -> bytes:
    """Send `data`, and everything that comes back until the connection is closed."""
    with connect(address) as client:
        with contextlib.suppress(ConnectionError):  # it may be closed before all is sent
            client.sendall(data)
        return read_all(client)


def read_all(client: socket.socket) -> bytes:
    """Everything that comes until the other side closes."""
    answer = bytearray()
    with contextlib.suppress(ConnectionError):
        while piece := client.recv(65_536):
            answer += piece
    return bytes(answer)


def status_of(answer: bytes) -> int | None:
    """The status code of an answer; None where there is none."""
    first = answer.partition(b"\r\n")[0].split(b" ")
    return int(first[1]) if first[0] == b"HTTP/1.1" else None


@contextlib.contextmanager
def whole_service(settings: ServeSettings) -> Iterator[tuple[str, int]]:
    """The service with all that belongs to it, as `atelier serve` runs it; yields where."""
    service = Service(settings)
    server = Server(create_app(settings, service), service, settings)
    with listen(settings.host, settings.port) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        address = listener.getsockname()[:2]
        wait_until_open(address)
        try:
            yield address
        finally:
            server.stop()
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
