"""One request to an ASGI application without a server, and an application for the guard."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass
class Answer:
    """What came back; `status` is None where nothing did."""

    status: int | None
    headers: dict[str, str]
    body: bytes
    read: int  # bytes of the body that the application took

    def json(self) -> Any:
        return json.loads(self.body)


def scope(
    method: str = "GET",
    path: str = "/v1/models",
    *,
    headers: Iterable[tuple[str, str]] = (),
    client: str = "127.0.0.1",
) -> dict[str, Any]:
    """An HTTP scope as uvicorn makes it."""
    from urllib.parse import unquote

    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    if not any(name == b"host" for name, _ in raw):
        raw.append((b"host", b"127.0.0.1:8000"))
    bare, _, query = path.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(bare),
        "raw_path": bare.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": raw,
        "client": (client, 50_000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }


async def exchange(app: Any, asked: dict[str, Any], pieces: AsyncIterator[bytes]) -> Answer:
    """Send a request, its body piece by piece, and gather the answer."""
    answer = Answer(None, {}, b"", 0)
    ended = asyncio.Event()
    coming = aiter(pieces)
    held: bytes | None = b""

    async def receive() -> dict[str, Any]:
        nonlocal held
        if held is None:
            await ended.wait()
            return {"type": "http.disconnect"}
        piece = held or await anext(coming, None)
        if piece is None:
            held = None
            return {"type": "http.request", "body": b"", "more_body": False}
        answer.read += len(piece)
        return {"type": "http.request", "body": piece, "more_body": True}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            assert answer.status is None
            answer.status = message["status"]
            answer.headers = {n.decode(): v.decode() for n, v in message.get("headers", [])}
        else:
            answer.body += message.get("body", b"")
            if not message.get("more_body", False):
                ended.set()

    await app(asked, receive, send)
    return answer


def ask(
    app: Any,
    method: str = "GET",
    path: str = "/v1/models",
    body: bytes | Iterable[bytes] = b"",
    *,
    headers: Iterable[tuple[str, str]] = (),
    announce: bool = True,
    client: str = "127.0.0.1",
) -> Answer:
    """`exchange` for tests that wait for nothing else.

    Args:
        app: the application.
        method: of the request.
        path: with its query, as it stands in the request's first line.
        body: whole, or in pieces.
        headers: names and values.
        announce: whether Content-Length tells the size of a body given whole.
        client: its address.
    """
    pieces = [body] if isinstance(body, bytes) else body
    headers = list(headers)
    named = {name.lower() for name, _ in headers}
    if isinstance(body, bytes) and announce and body and "content-length" not in named:
        headers.append(("content-length", str(len(body))))
    elif not isinstance(body, bytes) or body:
        headers.append(("transfer-encoding", "chunked"))

    async def each() -> AsyncIterator[bytes]:
        for piece in pieces:
            if piece:
                yield piece

    return asyncio.run(exchange(app, scope(method, path, headers=headers, client=client), each()))


class Echo:
    """An application that reads the whole body and answers what it knows of the request."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls += 1
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionResetError("the client has gone")
            size += len(message["body"])
            more = message["more_body"]
        state = scope["state"]
        body = f"{size} {state['client']} {state['request_id']}".encode()
        headers = [(b"content-type", b"text/plain"), (b"server", b"secret/1.0")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Counted:
    """Stands in for the service's metrics."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def refused(self, reason: str) -> None:
        self.reasons.append(reason)


def refused(answer: Any, status: int) -> dict[str, Any]:
    """Check that an answer is a whole problem, and return it."""
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["x-request-id"]
    return problem
