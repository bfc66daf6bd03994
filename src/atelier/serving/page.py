"""The page for people: one picture or many, dropped, pasted or photographed.

gradio gives the frame (layout, tabs, theme, light and dark); the parts within it are elements of
our own, in `browser/`, which ask ``/v1/models``, ``/v1/predict`` and ``/v1/feedback`` as every
other client does. So the same keys, limits, batching, log and metrics hold for the page, pictures
are held in memory only, and gradio's server never gets a word from a stranger. It has routes that
fetch a URL, read a file by its path, keep what is uploaded, or write code, and the payloads of its
events may name files; none of that is needed.

What the page needs, under the path where it is mounted, with GET or HEAD and without a query:

- ``/``, ``/theme.css``, ``/assets/NAME`` (gradio's scripts and styles, about 50 small files at a
  first visit, which a rate limit has to allow for) and ``/static/js/iframeResizer...js``;
- ``/manifest.json`` and ``/favicon.ico``, which are answered here.

`Gate` answers 404 or 405 to all else, whatever stands in front of it. Nothing is posted to the
page: ``/gradio_api`` and everything below it can stay shut.

Of headers it needs scripts and styles within the page (``'unsafe-inline'``, not ``'unsafe-eval'``),
``img-src blob:``, ``media-src blob:`` and the camera for itself (``camera=(self)``). It needs no
other origin for anything.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import tempfile
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..extras import require
from ..storage import explained
from .binding import is_loopback
from .problems import Problem, send_problem
from .settings import ServeSettings

if TYPE_CHECKING:
    from fastapi import FastAPI
    from gradio import Blocks

    from .service import Service

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

PAGE_PATH = "/"
_TITLE = "atelier"
_SCRIPTS = ("service.js", "picture.js", "pictures.js")
_METHODS = ("GET", "HEAD")
_NEEDED = re.compile(
    r"/|/theme\.css|/assets/[A-Za-z0-9._-]+|/static/js/iframeResizer\.contentWindow\.min\.js"
)
_ICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
<rect width="32" height="32" rx="7" fill="#0072b2"/>
<path d="M13 10a3 3 0 1 1 4.5 2.6q-1.5.9-1.5 2.4l9.5 6.5q1.5 2-1 2.5h-17q-2.5-.5-1-2.5l9.5-6.5"
 fill="none" stroke="#fff" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round"/>
</svg>"""
_OWN: dict[str, tuple[str, str]] = {
    "/favicon.ico": ("image/svg+xml", _ICON),
    "/manifest.json": (
        "application/manifest+json",
        json.dumps({"name": _TITLE, "start_url": "./", "display": "browser", "icons": []}),
    ),
}


def build_page(service: Service, settings: ServeSettings) -> Blocks:
    """The page of a service.

    Raises:
        ExtraError: gradio is not installed.
    """
    gradio = _gradio()
    with gradio.Blocks(title=_TITLE, analytics_enabled=False) as blocks:
        gradio.Markdown(f"# What is on this picture?\n\n{_promise(service, settings)}")
        _element(gradio, "atelier-model")
        with gradio.Tabs():
            with gradio.Tab("One picture"):
                _element(gradio, "atelier-picture")
            with gradio.Tab("Many pictures"):
                _element(gradio, "atelier-pictures")
    # No event of gradio's is ever used; should one be, it waits for none.
    blocks.queue(max_size=1, api_open=False)
    page: Blocks = blocks
    return page


def mount_page(app: FastAPI, service: Service, settings: ServeSettings) -> None:
    """Put the page into an application, after all its other routes.

    Raises:
        ConfigError: the application has a page already.
        ExtraError: gradio is not installed.
    """
    gradio = _gradio()
    from starlette.routing import Mount

    if any(isinstance(route, Mount) and isinstance(route.app, Gate) for route in app.routes):
        raise ConfigError("the application has a page already")

    async def mount_gradio() -> None:
        gradio.mount_gradio_app(
            app,
            build_page(service, settings),
            path=PAGE_PATH,
            theme=_theme(gradio),
            css=_text("page.css"),
            head=f"<script>\n{_script(service, settings)}\n</script>",
            footer_links=[],
            run_history=False,
            ssr_mode=False,
            mcp_server=False,
            enable_monitoring=False,
            pwa=False,
            show_error=False,
            max_file_size=1,
        )

    # In a thread of its own and a loop that ends with it: outside of any loop gradio makes several,
    # and never closes them.
    with _nothing_left(), ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, mount_gradio()).result()
    mount = app.routes[-1]
    assert isinstance(mount, Mount)
    mount.app = Gate(mount.app)


class Gate:
    """Lets through to gradio what the page needs, without the query, and nothing else.

    Args:
        app: gradio's application.
    """

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        path = scope["path"].removeprefix(scope.get("root_path", "").rstrip("/")) or "/"
        if path not in _OWN and _NEEDED.fullmatch(path) is None:
            await send_problem(send, Problem("not-found"))
        elif scope["method"] not in _METHODS:
            allow = {"Allow": ", ".join(_METHODS)}
            await send_problem(send, Problem("method-not-allowed", headers=allow))
        elif path in _OWN:
            await _answer(send, *_OWN[path], whole=scope["method"] == "GET")
        else:
            # One of the query's words names a state that gradio would read from a file.
            await self._app({**scope, "query_string": b""}, receive, send)


async def _answer(send: Send, media_type: str, text: str, *, whole: bool) -> None:
    body = text.encode()
    headers = [
        (b"content-type", media_type.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"max-age=86400"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body if whole else b""})


def _gradio() -> Any:
    # Read when gradio is imported: it would tell its makers who has started what.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    return require("gradio", extra="serve")


@contextmanager
def _nothing_left() -> Iterator[None]:
    """Let gradio make its folder of temporary files, which nothing will ever be put in, in one that
    is removed."""
    routes = require("gradio.routes", extra="serve")
    usual = routes.DEFAULT_TEMP_DIR
    with explained(Path(tempfile.gettempdir())), tempfile.TemporaryDirectory() as folder:
        routes.DEFAULT_TEMP_DIR = folder
        try:
            yield
        finally:
            routes.DEFAULT_TEMP_DIR = usual


def _element(gradio: Any, name: str) -> None:
    # Not gr.HTML, which compiles its templates in the browser and so needs 'unsafe-eval'. The text
    # is ours; there is nothing of anybody else in it to be sanitized.
    gradio.Markdown(f"<{name}></{name}>", sanitize_html=False, container=False)


def _theme(gradio: Any) -> Any:
    # Strings are names of fonts that the system has; the default theme asks Google for them.
    return gradio.themes.Base(
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "Consolas", "monospace"],
    )


def _promise(service: Service, settings: ServeSettings) -> str:
    """What becomes of pictures, in words for those who give them."""
    here = is_loopback(settings.host)
    where = (
        "Pictures stay on this machine: they go to the service that runs on it, and nowhere else."
        if here
        else "Pictures go to this server, and nowhere else."
    )
    if service.log is None:
        return f"{where} Nothing of them is kept."
    return (
        f"{where} None is kept: the service's log holds the answers, and of each picture some "
        "numbers and a copy of 8 x 8 gray fields."
    )


def _script(service: Service, settings: ServeSettings) -> str:
    """The page's scripts as one function, after the settings that they read."""
    limits = settings.limits
    told = {
        "max_images": limits.max_images,
        "max_body_bytes": limits.max_body_bytes,
        "max_image_bytes": limits.max_image_bytes,
        "accept": ",".join(f"image/{name.lower()}" for name in limits.formats),
        "feedback": service.log is not None,
    }
    # Within a script, "</" would end it whatever stands around.
    safe = json.dumps(told).replace("<", "\\u003c")
    style = json.dumps(_text("part.css")).replace("<", "\\u003c")
    parts = ['"use strict";', f"const settings = {safe};", f"const style = {style};"]
    return "\n".join(["(() => {", *parts, *map(_text, _SCRIPTS), "})();"])


def _text(name: str) -> str:
    return (files("atelier.serving") / "browser" / name).read_text("utf-8")
