"""What the guard cannot see: bytes before they are a request, and connections that send none.

uvicorn waits for headers as long as it takes, reads them however long they are, and at its limit of
connections refuses whoever comes next. So a handful of silent clients would shut everybody out.
Here a head has a time and a size, and at the limit the connection goes that has waited longest for
nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from .limits import Limits
from .passage import API_HEADERS
from .problems import MEDIA_TYPE, Problem, problem_body

_MAX_PIPELINED = 16


def connections_within(
    limits: Limits, tell: Callable[[str], None] | None = None
) -> type[HttpToolsProtocol]:
    """The protocol for ``uvicorn.Config(http=...)`` that keeps connections within `limits`.

    Args:
        limits: the limits.
        tell: is called with one of few words for each connection that was refused.
    """
    listeners = () if tell is None else (tell,)
    return type("LimitedConnection", (_Connection,), {"limits": limits, "listeners": listeners})


class _Connection(HttpToolsProtocol):
    limits: ClassVar[Limits]
    listeners: ClassVar[tuple[Callable[[str], None], ...]]

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
        self._closed = False

    @property
    def waits(self) -> bool:
        """Whether the service has nothing to do for this connection: no whole request is here."""
        return self._unanswered == 0 or self.cycle.more_body

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
        super().connection_lost(exc)

    def drop(self) -> None:
        """Close a connection that waits, without a word, for somebody who comes with more."""
        self._closed = True
        self._tell("connections")
        self.transport.abort()
        self.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        if self._closed:
            return
        self._bare_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._bare_bytes > self.limits.max_header_bytes:
            self._refuse_head()
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
        else:
            self._unanswered += 1
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._bare_bytes = 0
        if not self._closed:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._bare_bytes = 0
        if not self._closed:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        self._unanswered -= 1
        self.waiting_since = self.loop.time()
        super().on_response_complete()

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
            body = problem_body(problem)
            headers = {
                "content-type": MEDIA_TYPE,
                "content-length": str(len(body)),
                "connection": "close",
                **problem.headers,
                **API_HEADERS,
            }
            lines = b"".join(
                f"{name.lower()}: {value}\r\n".encode("latin-1") for name, value in headers.items()
            )
            self.transport.write(STATUS_LINE[problem.status] + lines + b"\r\n" + body)
        self.transport.close()
