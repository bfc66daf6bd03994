"""What the guard cannot see: bytes before they are a request, and connections that send none.

uvicorn waits for headers as long as it takes, reads them however long they are, and at its limit of
connections refuses whoever comes next. So a handful of silent clients would shut everybody out.
Here a head has a time and a size, and at the limit the connection goes that has waited longest for
nothing.

To close while the other side still sends would reset the connection, and the reason why its body
was refused would be lost on the way. So what comes then is dropped for a moment first.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from .limits import Limits
from .passage import API_HEADERS
from .problems import MEDIA_TYPE, Problem, problem_body

_MAX_PIPELINED = 16
_CONTINUE = b"HTTP/1.1 100 "
_LINGER_S = 2.0


class Room(Protocol):
    """How much room there is for requests.

    Attributes:
        inside: whole requests that are not answered yet; the connections count them.
    """

    inside: int

    def turns_away(self, url: bytes) -> bool:
        """Whether a request for `url` finds no room; whoever asks refuses it then."""

    def begin(self, request: Callable[[], None]) -> None:
        """Call `request`, now or soon: it begins to answer what was let in."""


class _Everybody:
    """Room for all."""

    inside = 0

    def turns_away(self, url: bytes) -> bool:  # noqa: ARG002 - as of `Room`
        return False

    def begin(self, request: Callable[[], None]) -> None:
        request()


def connections_within(
    limits: Limits, tell: Callable[[str], None] | None = None, room: Room | None = None
) -> type[HttpToolsProtocol]:
    """The protocol for ``uvicorn.Config(http=...)`` that keeps connections within `limits`.

    Args:
        limits: the limits.
        tell: is called with one of few words for each connection that was refused.
        room: is asked before a request is read any further than its head.
    """
    listeners = () if tell is None else (tell,)
    attributes = {"limits": limits, "listeners": listeners, "room": room or _Everybody()}
    return type("LimitedConnection", (_Connection,), attributes)


class _Connection(HttpToolsProtocol):
    limits: ClassVar[Limits]
    listeners: ClassVar[tuple[Callable[[str], None], ...]]
    room: ClassVar[Room]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.timeout_keep_alive = self.limits.idle_timeout_s  # type: ignore[assignment]
        self.waiting_since = self.loop.time()
        self._head_timer: asyncio.TimerHandle | None = None
        self._in_head = False
        self._unanswered = 0  # requests of which the head is here and the answer is not sent
        self._bare_bytes = 0  # received since something last came of them
        self._trailers = False
        self._closed = False  # nothing that comes is looked at any more
        self._dropped_bytes = 0
        self._stuck_timer: asyncio.TimerHandle | None = None
        self._whole = 0  # requests that are here to their end, and not answered
        self._turned_away = False  # this request: its body is not read, its answer not sent yet

    @property
    def waits(self) -> bool:
        """Whether the service has nothing to do for this connection: no whole request is here."""
        return self._unanswered == 0 or self.cycle.more_body

    @property
    def _going(self) -> bool:
        return self._closed or self.transport.is_closing()

    def connection_made(  # type: ignore[override]
        self, transport: asyncio.Transport
    ) -> None:
        super().connection_made(transport)
        self._await_head()
        if len(self.connections) <= self.limits.max_connections:
            return
        waiting = [
            other
            for other in self.connections
            if isinstance(other, _Connection) and other is not self and other.waits
        ]
        if waiting:
            min(waiting, key=lambda other: other.waiting_since).drop()
        else:
            detail = "too many connections are open"
            self._refuse("connections", Problem("busy", detail, headers={"Retry-After": "1"}))

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_pushing()
        self.room.inside -= self._whole
        self._whole = 0
        super().connection_lost(exc)

    def drop(self) -> None:
        """Close a connection that waits, without a word, for somebody who comes with more."""
        self._closed = True
        self._tell("connections")
        self._abort()
        self.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        if self._closed:
            self._dropped_bytes += len(data)
            if self._dropped_bytes > self.limits.max_body_bytes:
                self.transport.close()
            return
        self._bare_bytes += len(data)
        super().data_received(data)
        if self._going:
            return
        if self._turned_away:  # the rest of the body is still to come
            self._answer_busy(close=True)
        elif self._bare_bytes > self.limits.max_header_bytes:
            self._refuse_head()
        elif self.timeout_keep_alive_task is not None:  # turned away, and may ask again
            return
        elif (self._in_head or self._unanswered == 0) and self._head_timer is None:
            self._await_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._trailers = True, False

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers, which come after a chunked body, are of use to nobody here.
        if not self._trailers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._closed:
            return
        self._in_head, self._trailers, self._bare_bytes = False, True, 0
        self._stop_waiting()
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.limits.max_header_bytes or len(self.headers) > self.limits.max_headers:
            self._refuse_head()
        elif not self.url.startswith(b"/") or not self.url.isascii():
            self._refuse("path", Problem("malformed-request", "the path is not a plain one"))
        elif len(self.pipeline) >= _MAX_PIPELINED:
            self._refuse("connections", Problem("busy", "too many requests in a row"))
        elif self._unanswered == 0 and self.room.turns_away(self.url):
            self._turned_away = True
        else:
            self._unanswered += 1
            super().on_headers_complete()
            self.cycle.transport = _Answering(self)

    def on_body(self, body: bytes) -> None:
        self._bare_bytes = 0
        if not (self._closed or self._turned_away):
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._bare_bytes = 0
        if self._closed:
            return
        if self._turned_away:
            self._answer_busy(close=not self.parser.should_keep_alive())
            return
        if not self.cycle.response_complete:
            self._whole += 1
            self.room.inside += 1
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._unanswered -= 1
        if self._whole:
            self._whole -= 1
            self.room.inside -= 1
        self.waiting_since = self.loop.time()
        super().on_response_complete()

    def close(self, *, unfinished: bool | None = None) -> None:
        """Close; where the other side is not `unfinished`, and that is soon, not before."""
        unfinished = self.cycle.more_body if unfinished is None else unfinished
        if self.transport.get_write_buffer_size():
            self._push()
        if not unfinished or self.transport.is_closing() or not self.transport.can_write_eof():
            self.transport.close()
            return
        self._closed = True
        self._stop_waiting()
        self.transport.write_eof()
        self._head_timer = self.loop.call_later(_LINGER_S, self.transport.close)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self.room.begin(lambda: super(_Connection, self)._start_asgi_task(cycle, app))

    def _answer_busy(self, *, close: bool) -> None:
        """Answer a request of which nothing but the head was looked at: no task is made for it."""
        self._turned_away = False
        self.waiting_since = self.loop.time()
        self.transport.write(_BUSY_CLOSE if close else _BUSY)
        if close:
            self.close(unfinished=True)
        else:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def pause_writing(self) -> None:
        super().pause_writing()
        self._push()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_pushing()

    def timeout_keep_alive_handler(self) -> None:
        self.close(unfinished=False)

    def _push(self) -> None:
        """Give the other side its time to read what it was sent."""
        if self._stuck_timer is None:
            self._stuck_timer = self.loop.call_later(self.limits.read_timeout_s, self._abort)

    def _abort(self) -> None:
        """Reset the connection, so that the system too forgets what it still had to send."""
        self._closed = True
        self.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.transport.abort()

    def _stop_pushing(self) -> None:
        if self._stuck_timer is not None:
            self._stuck_timer.cancel()
            self._stuck_timer = None

    def _should_upgrade(self) -> bool:
        return False

    def _unsupported_upgrade_warning(self) -> None:
        """Anybody can ask for an upgrade, and would fill the log with it."""

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the parser's words are for us
        if not self._closed:
            self._refuse("malformed", Problem("malformed-request", "this is not HTTP/1.1"))

    def _tell(self, reason: str) -> None:
        for listener in self.listeners:
            listener(reason)

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.limits.header_timeout_s, self._refuse_slow)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse_slow(self) -> None:
        self._head_timer = None
        if self._in_head:
            self._refuse("slow", Problem("read-timeout", "the headers have not arrived in time"))
        else:  # nothing was asked, as when a browser connects in advance
            self._closed = True
            self.transport.close()

    def _refuse_head(self) -> None:
        limits = self.limits
        detail = f"at most {limits.max_header_bytes:,} bytes in {limits.max_headers} headers"
        self._refuse("headers", Problem("headers-too-large", detail))

    def _refuse(self, reason: str, problem: Problem) -> None:
        """Answer, and close; what has been asked whole before is answered first."""
        if self.transport.is_closing():
            return
        self._closed = True
        self._stop_waiting()
        self._tell(reason)
        cycle = self.cycle
        if self._unanswered and not cycle.more_body:
            cycle.keep_alive = False  # it closes after the last answer
            return
        free = self._unanswered == 0
        if not free:  # the request whose body is refused is in the application's hands
            free = self._unanswered == 1 and not cycle.response_started
            cycle.disconnected = True
        if free:
            self.transport.write(_answer(problem, close=True))
        self.close(unfinished=free)


class _Answering(asyncio.Transport):
    """A connection's transport as uvicorn's answering part sees it.

    It sends an answer's head together with the beginning of its body: uvicorn writes them one after
    the other, which is twice the work for both sides.
    """

    def __init__(self, connection: _Connection) -> None:
        super().__init__()
        self._connection, self._transport = connection, connection.transport
        self._head: bytes | None = b""  # that waits for its body; None once it is sent

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._head is None or data[: len(_CONTINUE)] == _CONTINUE:
            self._transport.write(data)
        elif self._head:
            self._transport.write(self._head + data)
            self._head = None
        else:
            self._head = bytes(data)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        if self._head:
            self._transport.write(self._head)
            self._head = None
        self._connection.close()


def _answer(problem: Problem, *, close: bool) -> bytes:
    """A whole answer, as the wire has it."""
    body = problem_body(problem)
    headers = {
        "content-type": MEDIA_TYPE,
        "content-length": str(len(body)),
        **({"connection": "close"} if close else {}),
        **problem.headers,
        **API_HEADERS,
    }
    lines = b"".join(
        f"{name.lower()}: {value}\r\n".encode("latin-1") for name, value in headers.items()
    )
    return STATUS_LINE[problem.status] + lines + b"\r\n" + body


_FULL = Problem("busy", "the queue is full", headers={"Retry-After": "1"})
_BUSY, _BUSY_CLOSE = _answer(_FULL, close=False), _answer(_FULL, close=True)
