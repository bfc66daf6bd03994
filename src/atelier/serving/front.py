"""What sees a request first and its answer last, and counts them."""

from __future__ import annotations

import re
import time

from .guard import Application, Message, Receive, Scope, Send
from .service import WORK, Service

_PLAIN = (*WORK, "/v1/feedback", "/v1/models", "/healthz", "/readyz", "/metrics", "/openapi.json")
_PREDICTIONS = re.compile(r"/v1/predictions/[^/]+")


class Front:
    """Wraps everything, the guard too, and counts what is answered.

    Args:
        app: the application.
        service: that it belongs to.
    """

    def __init__(self, app: Application, *, service: Service) -> None:
        self._app, self._metrics = app, service.metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection of ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, metrics = scope["path"], self._metrics
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
            if path in WORK:
                metrics.stage("total", time.monotonic() - start)


def _route(path: str) -> str:
    """What a path is counted as: one of few words, whatever clients send."""
    if path in _PLAIN:
        return path
    return "/v1/predictions/{request_id}" if _PREDICTIONS.fullmatch(path) else "page or none"
