"""What sees a request first and last: it counts, and refuses at once where the queue is full."""

from __future__ import annotations

import re
import time

from .guard import Application, Message, Receive, Scope, Send
from .passage import API_HEADERS
from .problems import MEDIA_TYPE, Problem, problem_body
from .service import Service

_WORK = ("/v1/predict", "/v1/embed")
_PLAIN = (*_WORK, "/v1/feedback", "/v1/models", "/healthz", "/readyz", "/metrics", "/openapi.json")
_PREDICTIONS = re.compile(r"/v1/predictions/[^/]+")


class Front:
    """Wraps everything, the guard too.

    At twice the load that can be served, every second request is refused: what that costs is taken
    from the others. So a refusal for want of room is bytes made beforehand, and nothing of the
    request but its path is looked at.

    Args:
        app: the application.
        service: that it belongs to.
    """

    def __init__(self, app: Application, *, service: Service) -> None:
        self._app, self._service = app, service
        body = problem_body(Problem("busy", "the queue is full"))
        headers = {
            "content-type": MEDIA_TYPE,
            "content-length": str(len(body)),
            "retry-after": "1",
            **API_HEADERS,
        }
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        self._busy_start = {"type": "http.response.start", "status": 503, "headers": raw}
        self._busy_body = {"type": "http.response.body", "body": body}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection of ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, service = scope["path"], self._service
        metrics = service.metrics
        if service.full and path in _WORK:
            metrics.refused("queue")
            metrics.request(path, 503)
            await send(self._busy_start)
            await send(self._busy_body)
            return
        start = time.monotonic()
        status = 500

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            metrics.request(_route(path), status)
            if path in _WORK:
                metrics.stage("total", time.monotonic() - start)


def _route(path: str) -> str:
    """What a path is counted as: one of few words, whatever clients send."""
    if path in _PLAIN:
        return path
    return "/v1/predictions/{request_id}" if _PREDICTIONS.fullmatch(path) else "page or none"
