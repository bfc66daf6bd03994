"""What strangers cannot do to the page, with nothing in front of it."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Mount

from atelier.errors import ConfigError, ExtraError
from atelier.serving.limits import Limits
from atelier.serving.page import Gate, build_page, mount_page
from atelier.serving.settings import ServeSettings

NEEDED = {"/", "/theme.css", "/assets/{path:path}", "/manifest.json", "/favicon.ico"}
SETTINGS = ServeSettings(models={"tiny": Path("tiny.onnx")}, limits=Limits(max_images=7))
LOGGING = SimpleNamespace(log=object())  # all that the page asks of a service


@pytest.fixture(scope="module")
def app() -> FastAPI:
    """An application that has the page and nothing else."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    mount_page(app, LOGGING, SETTINGS)
    return app


def ask(app: FastAPI, method: str, path: str, **options: Any) -> httpx.Response:
    async def talk() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, path, **options)

    return asyncio.run(talk())


def gate_of(app: FastAPI) -> Gate:
    (gate,) = (route.app for route in app.routes if isinstance(route, Mount))
    assert isinstance(gate, Gate)
    return gate


def paths_of_gradio(app: FastAPI) -> set[str]:
    """Every path that gradio's application has a route for."""
    paths = set()
    for route in gate_of(app)._app.routes:
        # Of a router that was included, FastAPI keeps the router.
        inner = getattr(route, "original_router", None)
        paths |= {each.path for each in ([route] if inner is None else inner.routes)}
    return paths


def test_none_of_gradios_routes_is_open_but_the_few_that_are_needed(app: FastAPI) -> None:
    paths = paths_of_gradio(app)
    known = {"upload", "queue/join", "file={path_or_url:path}", "component_server", "vibe-code"}
    assert {f"/gradio_api/{name}" for name in known} | {"/config", "/login"} <= paths
    for path in paths:
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            status = ask(app, method, re.sub(r"{[^}]+}", "x", path)).status_code
            if method == "GET" and path in NEEDED:
                assert status == (404 if "{" in path else 200), path  # there is no asset "x"
            else:
                assert status in (404, 405) or (method == "HEAD" and path in NEEDED), path


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../../../../etc/passwd",
        "/assets/..%2f..%2frequirements.txt",
        "/assets/a/b.js",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/proxy=http://127.0.0.1:1/",
        "/static/img/../../config",
        "//assets/index.js",
        "/assets/%00.js",
    ],
)
def test_paths_that_lead_elsewhere_lead_nowhere(app: FastAPI, path: str) -> None:
    assert ask(app, "GET", path).status_code == 404


def test_a_payload_that_names_a_url_or_a_file_reaches_nobody(app: FastAPI) -> None:
    payload = {
        "data": [
            {
                "path": "/etc/passwd",
                "url": "http://127.0.0.1:1/",
                "meta": {"_type": "gradio.FileData"},
            }
        ],
        "fn_index": 0,
        "session_hash": "x",
    }
    for path in ("queue/join", "run/predict", "call/predict", "component_server", "upload"):
        answer = ask(app, "POST", f"/gradio_api/{path}", json=payload)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


def test_no_saved_state_is_looked_for(app: FastAPI) -> None:
    page = ask(app, "GET", "/?deep_link=0123456789abcdef0123456789abcdef")
    assert page.status_code == 200
    assert '"deep_link_state":"none"' in page.text


def test_the_page_names_no_one_who_is_asked_for_anything(app: FastAPI) -> None:
    html = ask(app, "GET", "/").text
    loaded = re.findall(r"""<(?:script|link|img|iframe)[^>]+(?:src|href)=["']([^"']+)""", html)
    assert loaded
    assert not [url for url in loaded if url.startswith(("http", "//"))]
    theme = ask(app, "GET", "/theme.css").text
    assert set(re.findall(r"url\(.{0,6}", theme)) <= {'url("data:'}
    assert "@import" not in theme


def test_it_tells_its_scripts_the_limits(app: FastAPI) -> None:
    html = ask(app, "GET", "/").text
    assert "atelier-pictures" in html
    assert "max_images" in html
    assert re.search(r"max_images[^0-9]+7\b", html)


def test_websockets_are_closed(app: FastAPI) -> None:
    sent = []

    async def talk() -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await gate_of(app)({"type": "websocket", "path": "/"}, receive, send)

    asyncio.run(talk())
    assert [message["type"] for message in sent] == ["websocket.close"]


def test_nothing_is_left_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    app = FastAPI()
    mount_page(app, LOGGING, SETTINGS)
    assert ask(app, "GET", "/").status_code == 200
    assert list(tmp_path.iterdir()) == []


def test_a_second_page_is_refused(app: FastAPI) -> None:
    with pytest.raises(ConfigError, match="a page already"):
        mount_page(app, LOGGING, SETTINGS)


@pytest.mark.parametrize(
    ("host", "log", "words"),
    [
        ("127.0.0.1", object(), ["stay on this machine", "None is kept", "8 x 8 gray fields"]),
        ("127.0.0.1", None, ["stay on this machine", "Nothing of them is kept"]),
        ("0.0.0.0", None, ["go to this server, and nowhere else", "Nothing of them is kept"]),
    ],
)
def test_it_says_where_pictures_go(host: str, log: Any, words: list[str]) -> None:
    settings = SETTINGS.model_copy(update={"host": host})

    async def build() -> Any:
        return build_page(SimpleNamespace(log=log), settings).get_config_file()

    page = json.dumps(asyncio.run(build()), default=str)
    assert all(each in page for each in words)


def test_without_gradio_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(ExtraError, match=r"pip install 'atelier\[serve\]'"):
        build_page(LOGGING, SETTINGS)
