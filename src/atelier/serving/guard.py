"""Everything that stands between a stranger and the application, in front of all routes alike.

A pure ASGI layer: what it refuses costs neither parsing nor a body read. What concerns bytes below
HTTP's messages (headers that never end, connections) is in `connections`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import math
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any, Protocol

from .binding import known_hosts, name_of
from .keys import KeyFile
from .limits import Limits
from .passage import (
    API_HEADERS,
    PAGE_HEADERS,
    from_elsewhere,
    is_harmless,
    is_page,
    is_request_id,
    is_service,
)
from .problems import Problem, send_problem
from .throttle import Throttle, household

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_PROBES = ("/healthz", "/readyz")
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_MAX_DIGITS = 15
# Two headers: browsers read one challenge of each, and only of Basic do they ask for the key.
_CHALLENGES = (b'Basic realm="atelier", charset="UTF-8"', b'Bearer realm="atelier"')
_OF_API = [(name.encode(), value.encode()) for name, value in API_HEADERS.items()]
_OF_PAGE = [(name.encode(), value.encode()) for name, value in PAGE_HEADERS.items()]
_OURS = {
    service: frozenset((b"server", b"x-request-id", b"connection", *(name for name, _ in added)))
    for service, added in ((True, _OF_API), (False, _OF_PAGE))
}
_log = logging.getLogger(__name__)


class Metrics(Protocol):
    """What the guard tells of its work."""

    def refused(self, reason: str) -> None:
        """A request was refused, for a reason that is one of few words."""


class Guard:
    """Wraps an application; refuses what `Limits` and the keys do not allow.

    The application finds ``request_id`` and ``client`` (the name of the key, or the address where
    there are no keys) in ``scope["state"]``. After `Limits.request_timeout_s` it is cancelled.

    Args:
        app: the application.
        limits: what one client may ask.
        keys: who may ask; None lets everybody, and belongs on loopback alone.
        metrics: is told what was refused.
        hosts: the names by which the service may be called, as `known_hosts` gives them.
        page: where the page is mounted; None where there is none.
        open_metrics: whether /metrics needs no key. /healthz and /readyz never need one.
    """

    def __init__(
        self,
        app: Application,
        *,
        limits: Limits | None = None,
        keys: KeyFile | None = None,
        metrics: Metrics | None = None,
        hosts: Iterable[str] | None = known_hosts("127.0.0.1"),
        page: str | None = "/",
        open_metrics: bool = False,
    ) -> None:
        self.app = app
        self.limits = limits or Limits()
        self.keys, self.metrics, self.page = keys, metrics, page
        self._hosts = None if hosts is None else frozenset(hosts)
        self._keyless = (*_PROBES, "/metrics") if open_metrics else _PROBES
        rate = self.limits.rate(keys=keys is not None)
        self._throttle = Throttle(*rate) if rate is not None else None
        self.held_bytes = self.working = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection of ASGI."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await _Exchange(self, scope, receive, send).run()
        elif scope["type"] == "websocket":  # there are none here
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    def refusal(
        self, scope: Scope, headers: dict[bytes, bytes], *, service: bool
    ) -> tuple[str, Problem] | None:
        """Why a request is refused before its body is read: a word for metrics, and the answer.

        Args:
            scope: of the request.
            headers: the first of each name.
            service: whether the path is the API's own.
        """
        path, method = scope["path"], scope["method"]
        if not is_harmless(scope.get("raw_path") or path.encode("utf-8", "surrogatepass")):
            return "path", Problem("malformed-request", "the path is not a plain one")
        probe = path in _PROBES
        if not probe and self._hosts is not None:
            name = name_of(headers.get(b"host", b"").decode("latin-1"))
            if name not in self._hosts or _has_two_hosts(scope["headers"], headers):
                return "host", Problem("misdirected-request", "the Host header names another")
        if method not in _SAFE_METHODS and from_elsewhere(headers):
            return "origin", Problem("forbidden", "a page of another origin has asked for this")
        scope["state"]["client"] = household((scope.get("client") or ("",))[0])
        if self.keys is not None and path not in self._keyless:
            holder = _holder(self.keys, headers)
            if holder is None:
                detail = "give a key as `Authorization: Bearer KEY` or `X-API-Key: KEY`"
                return "key", Problem("unauthorized", detail)
            scope["state"]["client"] = holder
        # The page consists of a hundred small files, which cost nothing and are not counted.
        counted = service or method not in _SAFE_METHODS
        if self._throttle is not None and counted and not probe:
            wait_s = self._throttle.wait_s(scope["state"]["client"])
            if wait_s > 0:
                after = {"Retry-After": str(math.ceil(wait_s))}
                return "rate", Problem("rate-limited", "wait, then ask again", headers=after)
        if not service and not (self.page is not None and is_page(method, path, self.page)):
            return "path", Problem("not-found")
        return self._announced(headers)

    def _announced(self, headers: dict[bytes, bytes]) -> tuple[str, Problem] | None:
        length = headers.get(b"content-length", b"0").strip()
        if not length.isdigit():
            return "body", Problem("malformed-request", "Content-Length is not a number")
        if len(length) > _MAX_DIGITS or int(length) > self.limits.max_body_bytes:
            return "body", self.too_large()
        coding = headers.get(b"content-encoding", b"identity").strip().lower()
        if coding not in (b"", b"identity"):  # a small body could become any size
            detail = "compressed bodies are not taken"
            return "body", Problem("unsupported-media-type", detail)
        return None

    def too_large(self) -> Problem:
        """The answer to a body over the limit."""
        limit = self.limits.max_body_bytes
        return Problem("body-too-large", f"at most {limit:,} bytes are taken", max_bytes=limit)

    def tell(self, reason: str) -> None:
        """Count a refusal."""
        if self.metrics is not None:
            self.metrics.refused(reason)


def _has_two_hosts(raw: list[tuple[bytes, bytes]], headers: dict[bytes, bytes]) -> bool:
    return len(raw) > len(headers) and sum(name == b"host" for name, _ in raw) > 1


def _holder(keys: KeyFile, headers: dict[bytes, bytes]) -> str | None:
    """Whose key the headers hold, if it is good."""
    scheme, _, value = headers.get(b"authorization", b"").strip().partition(b" ")
    given = value.strip()
    if scheme.lower() == b"basic":
        try:
            given = base64.b64decode(given, validate=True).partition(b":")[2]
        except binascii.Error:
            given = b""
    elif scheme.lower() != b"bearer":
        given = headers.get(b"x-api-key", b"").strip()
    return keys.holder(given.decode("latin-1"))


class _Exchange:
    """One request and its answer, with everything that is counted of them."""

    def __init__(self, guard: Guard, scope: Scope, receive: Receive, send: Send) -> None:
        self._guard, self._scope, self._receive, self._send = guard, scope, receive, send
        self._limits = guard.limits
        scope["headers"] = list(scope["headers"])
        self._headers = dict(reversed(scope["headers"]))  # of two headers of a name, the first
        self._size = 0
        # Whether all of the body is here, and whether the application has it.
        self._whole = (
            self._headers.get(b"content-length", b"0").strip() == b"0"
            and b"transfer-encoding" not in self._headers
        )
        self._handed = False
        self._service = is_service(scope["path"])
        self._working = self._started = self._refused = self._gone = False
        self._deadline: asyncio.Timeout | None = None
        scope["state"] = dict(scope.get("state") or {})
        given = self._headers.get(b"x-request-id", b"")
        self._id = given.decode() if is_request_id(given) else secrets.token_hex(16)
        scope["state"]["request_id"] = self._id

    async def run(self) -> None:
        guard = self._guard
        refusal = guard.refusal(self._scope, self._headers, service=self._service)
        if refusal is not None:
            await self._refuse(*refusal)
            return
        self._latest = asyncio.get_running_loop().time() + self._limits.request_timeout_s
        deadline = self._deadline = asyncio.timeout_at(self._next_deadline())
        try:
            try:
                async with deadline:
                    await guard.app(self._scope, self.receive, self.send)
            finally:
                self._deadline = None
        except TimeoutError:
            if not deadline.expired():
                await self._fail()
            elif self._whole:
                detail = f"no answer within {self._limits.request_timeout_s:g} s"
                await self._refuse("time", Problem("too-late", detail, headers=_soon(1)))
            else:
                await self._refuse_slow()
        except Exception:
            await self._fail()
        finally:
            guard.held_bytes -= self._size
            guard.working -= self._working

    def _next_deadline(self) -> float:
        """By when the next piece of the body, or else the answer, must have begun."""
        if self._whole:
            return self._latest
        now = asyncio.get_running_loop().time()
        return min(self._latest, now + self._limits.read_timeout_s)

    async def receive(self) -> Message:
        """The application's `receive`: pieces of the body, each of which is counted."""
        if self._refused:
            return {"type": "http.disconnect"}
        if self._handed:  # what it waits for is the client's going
            return await self._receive()
        message = await self._receive()
        if message["type"] == "http.request":
            return await self._counted(message)
        self._gone = True
        return message

    async def _counted(self, message: Message) -> Message:
        guard, size = self._guard, len(message.get("body", b""))
        self._size += size
        guard.held_bytes += size
        if self._size > self._limits.max_body_bytes:
            return await self._refuse("body", guard.too_large())
        if guard.held_bytes > self._limits.max_held_bytes:
            detail = "too many bodies are being held"
            return await self._refuse("busy", Problem("busy", detail, headers=_soon(1)))
        if not message.get("more_body", False):
            self._whole = self._handed = True
            if guard.working >= self._limits.max_requests:
                detail = "too many requests are being answered"
                return await self._refuse("busy", Problem("busy", detail, headers=_soon(1)))
            self._working = True
            guard.working += 1
        if self._deadline is not None and not self._deadline.expired():
            self._deadline.reschedule(self._next_deadline())
        return message

    async def send(self, message: Message) -> None:
        """The application's `send`: adds what every answer has, and drops what comes too late."""
        if self._refused:
            return
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", []))
            if message["status"] == HTTPStatus.UNAUTHORIZED:
                headers.extend((b"www-authenticate", value) for value in _CHALLENGES)
            message = {**message, "headers": self._completed(headers)}
            self._started = True
        await self._send(message)

    def _completed(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        kept = [each for each in headers if each[0].lower() not in _OURS[self._service]]
        kept += _OF_API if self._service else _OF_PAGE
        kept.append((b"x-request-id", self._id.encode()))
        if not self._whole:  # the rest of the body would be taken for the next request
            kept.append((b"connection", b"close"))
        return kept

    async def _refuse_slow(self) -> Message:
        detail = "the body has not arrived in time"
        return await self._refuse("slow", Problem("read-timeout", detail))

    async def _refuse(self, reason: str, problem: Problem) -> Message:
        """Answer in the application's place, and let it believe that the client has gone."""
        self._guard.tell(reason)
        if not self._started:
            await send_problem(self.send, problem, request_id=self._id)
        self._refused = True
        return {"type": "http.disconnect"}

    async def _fail(self) -> None:
        """Answer an error that nobody foresaw: the client learns its number, the log the rest."""
        if self._refused or self._gone:
            return  # the application complains that the client has gone
        _log.exception("request %s failed", self._id)
        if not self._started:
            await self._refuse("error", Problem("internal", "the service's log has more of it"))


def _soon(seconds: int) -> dict[str, str]:
    return {"Retry-After": str(seconds)}
