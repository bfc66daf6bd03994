"""The dashboard over HTTP: a page, its scripts, and answers as JSON. It only reads.

No request names a path or a URL: files of the page stand in a table, and runs are looked up by
their names. A page elsewhere can neither read anything here (no CORS; Sec-Fetch-Site) nor reach it
under a name of its own (the Host header must be this machine's). Nothing is loaded from anywhere
else, plotly.js comes from the Python package.

The page is not gradio's. `gradio.Plot` tells nobody which cell of a matrix was clicked, importing
gradio takes longer than this page may take to open, and its server brings routes that fetch URLs
and read files, which would have to be shut again.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from ..errors import AtelierError, ConfigError
from ..extras import require
from .answers import Answers, Part
from .index import RunIndex

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; "
    # plotly writes styles into the page and saves pictures by way of blob:
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_PAGE = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/table.js": ("table.js", "text/javascript"),
    "/charts.js": ("charts.js", "text/javascript"),
    "/views.js": ("views.js", "text/javascript"),
    "/favicon.ico": ("icon.svg", "image/svg+xml"),
}
_NAMES = ("localhost", "127.0.0.1", "[::1]")
_MOST_QUERY = 16_384


def create_app(folder: str | Path) -> Starlette:
    """The dashboard of a folder of runs.

    Raises:
        RunError: there is no such folder, or it is itself a run folder.
        ExtraError: plotly is not installed.
    """
    answers = Answers(RunIndex(folder))
    script = Path(require("plotly").__file__).parent / "package_data" / "plotly.min.js"

    async def plotly(_: Request) -> Response:
        return FileResponse(
            script, media_type="text/javascript", headers={"cache-control": "max-age=86400"}
        )

    ask: dict[str, Callable[[Request], Any]] = {
        "runs": lambda _: answers.runs(),
        "curves": lambda request: answers.curves(request.query_params.getlist("run")),
        "confusion": lambda request: answers.confusion(_word(request, "run"), _part(request)),
        "cell": lambda request: answers.cell(
            _word(request, "run"),
            _part(request),
            *(_whole(request, name) for name in ("true", "predicted", "start")),
        ),
        "thresholds": lambda request: answers.thresholds(_word(request, "run")),
        "compare": lambda request: answers.compare(_word(request, "a"), _word(request, "b")),
        "seeds": lambda _: answers.seeds(),
    }
    routes = [Route(path, _file(*what)) for path, what in _PAGE.items()]
    routes += [Route("/plotly.js", plotly)]
    routes += [Route(f"/api/{name}", _answer(function)) for name, function in ask.items()]
    app = Starlette(routes=routes)
    app.add_middleware(Door)
    return app


class Door:
    """Lets through what this machine's browser asks for the page, and puts headers on all answers.

    Args:
        app: what answers.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *own]
            await send(message)

        refusal = _refusal(scope)
        await (refusal or self._app)(scope, receive, with_headers)


def _refusal(scope: Scope) -> Response | None:
    headers = dict(scope["headers"])
    host = headers.get(b"host", b"").decode("latin-1").lower()
    if (host[: host.index("]") + 1] if "]" in host else host.partition(":")[0]) not in _NAMES:
        return _problem(403, "this page is called by another name than this machine's")
    if headers.get(b"sec-fetch-site", b"none") not in (b"same-origin", b"none"):
        return _problem(403, "a page elsewhere has asked for this")
    if scope["method"] not in ("GET", "HEAD"):
        return _problem(405, "here one can only read")
    if len(scope["query_string"]) > _MOST_QUERY:
        return _problem(414, "that is too much at once")
    return None


def _file(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_: Request) -> Response:
        text = (files("atelier.dashboard") / "browser" / name).read_bytes()
        return Response(text, media_type=media_type, headers={"cache-control": "no-cache"})

    return answer


def _answer(function: Callable[[Request], Any]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            values = await run_in_threadpool(function, request)
        except AtelierError as error:
            return _problem(422, str(error))
        except (OSError, ValueError, KeyError, TypeError) as error:
            # Of a run folder that was changed by hand there is no end of what can be wrong.
            return _problem(422, f"this run cannot be read: {type(error).__name__}: {error}")
        return _json(200, values)

    return answer


def _json(status: int, values: Any) -> Response:
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(
        text.encode("utf-8", errors="replace"),
        status_code=status,
        media_type="application/json",
        headers={"cache-control": "no-store"},
    )


def _problem(status: int, words: str) -> Response:
    return _json(status, {"problem": words})


def _word(request: Request, name: str) -> str:
    value = request.query_params.get(name)
    if not value:
        raise ConfigError(f"the question lacks {name!r}")
    return value


def _part(request: Request) -> Part:
    value = request.query_params.get("part", "test")
    if value not in ("test", "validation"):
        raise ConfigError("unknown part", got=value, allowed=["test", "validation"])
    return cast("Part", value)


def _whole(request: Request, name: str) -> int:
    value = request.query_params.get(name, "0")
    if not value.isascii() or not value.isdigit() or len(value) > 9:
        raise ConfigError(f"{name!r} is no number", got=value)
    return int(value)
