"""Whom the guard lets in, and where: addresses, keys and rates."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from atelier.serving.guard import Guard
from atelier.serving.keys import KeyFile, add_key, remove_key
from atelier.serving.limits import Limits
from tests.serving.asgi import Counted, Echo, ask, refused


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def counted() -> Counted:
    return Counted()


@pytest.fixture
def keys(tmp_path):
    """A key file with one key: its path and the key."""
    path = tmp_path / "keys.json"
    key, _ = add_key(path, "anna")
    return path, key


def bearer(key: str) -> list[tuple[str, str]]:
    return [("Authorization", f"Bearer {key}")]


# Addresses.


@pytest.mark.parametrize(
    "path",
    [
        "/v1/../etc/passwd",
        "/v1/%2e%2e/etc/passwd",
        "/v1/%2E%2e%2fetc",
        "/v1/..%2f..%2fetc%2fpasswd",
        "/v1/%252e%252e/etc",
        "/v1/..%5c..%5cwindows",
        "/v1//models",
        "//evil.example/v1/models",
        "/v1/models%00.png",
        "/v1/models%0d%0aSet-Cookie:%20a=b",
        "/v1/models%zz",
        "/v1/%c0%ae%c0%ae/models/..",
        "/v1/models\\..",
    ],
)
def test_tricks_with_paths_are_refused(echo, counted, path):
    refused(ask(Guard(echo, metrics=counted), path=path), 400)
    assert (echo.calls, counted.reasons) == (0, ["path"])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/gradio_api/file=/etc/passwd"),
        ("GET", "/gradio_api/file=http:%2f%2fevil.example"),
        ("GET", "/gradio_api/proxy=http:/evil.example"),
        ("POST", "/gradio_api/call/predict"),
        ("POST", "/gradio_api/run/predict"),
        ("POST", "/gradio_api/api/predict"),
        ("POST", "/gradio_api/component_server"),
        ("POST", "/gradio_api/process_recording"),
        ("POST", "/gradio_api/stream/abc"),
        ("POST", "/gradio_api/vibe-edit"),
        ("GET", "/gradio_api/run-history/records"),
        ("GET", "/gradio_api/custom_component/a/b/c/d"),
        ("GET", "/monitoring/summary"),
        ("POST", "/login"),
        ("GET", "/gradio_api/deep_link"),
        ("GET", "/.env"),
        ("GET", "/docs"),
        ("GET", "/config"),
        ("GET", "/gradio_api/info"),
        ("GET", "/gradio_api/queue/data?session_hash=a"),
        ("POST", "/gradio_api/queue/join"),
        ("POST", "/gradio_api/upload"),
        ("GET", "/assets/../secret"),
        ("GET", "/assets/a/b"),
        ("POST", "/"),
    ],
)
def test_routes_that_the_page_does_not_need_are_closed(echo, method, path):
    assert ask(Guard(echo), method, path).status in (400, 404)
    assert echo.calls == 0


def test_without_a_page_there_is_none(echo):
    assert ask(Guard(echo, page=None), path="/theme.css").status == 404
    assert ask(Guard(echo, page="/page"), path="/page/theme.css").status == 200
    assert ask(Guard(echo, page="/page"), path="/theme.css").status == 404


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", ""]
)
def test_another_host_is_not_answered(echo, counted, host):
    refused(ask(Guard(echo, metrics=counted), headers=[("Host", host)]), 421)
    assert counted.reasons == ["host"]


def test_two_hosts_are_not_answered(echo):
    headers = [("Host", "localhost"), ("Host", "evil.example")]
    assert ask(Guard(echo), headers=headers).status == 421


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1:1", "[::1]:8000", "[::1]"]
)
def test_the_names_of_this_machine_are_answered(echo, host):
    assert ask(Guard(echo), headers=[("Host", host)]).status == 200


def test_probes_are_answered_under_any_name(echo):
    assert ask(Guard(echo), path="/healthz", headers=[("Host", "10.1.2.3:8000")]).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        [("Sec-Fetch-Site", "cross-site")],
        [("Sec-Fetch-Site", "same-site")],
        [("Origin", "https://evil.example")],
        [("Origin", "null")],
        [("Origin", "http://127.0.0.1:9999")],
    ],
)
def test_a_page_elsewhere_cannot_post(echo, counted, headers):
    refused(ask(Guard(echo, metrics=counted), "POST", "/v1/predict", headers=headers), 403)
    assert ask(Guard(echo), headers=headers).status == 200  # it cannot read the answer
    assert counted.reasons == ["origin"]


def test_the_services_own_page_can_post(echo):
    headers = [("Sec-Fetch-Site", "same-origin"), ("Origin", "http://127.0.0.1:8000")]
    assert ask(Guard(echo), "POST", "/v1/predict", headers=headers).status == 200
    assert ask(Guard(echo), "POST", "/v1/predict", headers=headers[1:]).status == 200


def test_web_sockets_are_refused(echo):
    sent = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(Guard(echo)({"type": "websocket", "path": "/"}, receive, send))
    assert (sent, echo.calls) == (["websocket.close"], 0)


# Keys.


def basic(password: str) -> list[tuple[str, str]]:
    word = base64.b64encode(f"anybody:{password}".encode()).decode()
    return [("Authorization", f"Basic {word}")]


def test_a_key_opens_in_each_of_its_three_forms(echo, keys):
    path, key = keys
    guard = Guard(echo, keys=KeyFile(path))
    for headers in (
        bearer(key),
        [("X-API-Key", key)],
        basic(key),
        [("authorization", f"bearer {key}")],
    ):
        answer = ask(guard, headers=headers)
        assert answer.status == 200
        assert answer.body.split()[1] == b"anna"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        bearer("wrong"),
        bearer(""),
        bearer("x" * 10_000),
        [("X-API-Key", "ÿ\x00")],
        basic("wrong"),
        [("Authorization", "Basic !!!")],
        [("Authorization", "Basic")],
        [("Authorization", "Digest username=anna")],
        [("Authorization", "anna")],
    ],
)
def test_anything_else_does_not(echo, counted, keys, headers):
    answer = ask(Guard(echo, keys=KeyFile(keys[0]), metrics=counted), headers=headers)
    refused(answer, 401)
    assert answer.headers["www-authenticate"]
    assert (echo.calls, counted.reasons) == (0, ["key"])


def test_who_has_no_key_does_not_learn_what_there_is(echo, keys):
    guard = Guard(echo, keys=KeyFile(keys[0]))
    answers = [
        ask(guard, path=path) for path in ("/v1/models", "/nothing", "/metrics", "/", "/docs")
    ]
    assert {answer.status for answer in answers} == {401}


def test_probes_need_no_key_and_metrics_only_where_told(echo, keys):
    kept = KeyFile(keys[0])
    assert [ask(Guard(echo, keys=kept), path=path).status for path in ("/healthz", "/readyz")] == [
        200
    ] * 2
    assert ask(Guard(echo, keys=kept, open_metrics=True), path="/metrics").status == 200


def test_a_removed_key_is_refused_at_once(echo, keys):
    path, key = keys
    guard = Guard(echo, keys=KeyFile(path))
    other, _ = add_key(path, "bob")
    assert ask(guard, headers=bearer(other)).status == 200
    remove_key(path, "anna")
    assert ask(guard, headers=bearer(key)).status == 401


# Rates.


def test_a_key_has_its_own_rate(echo, counted, keys):
    path, anna = keys
    bob, _ = add_key(path, "bob")
    guard = Guard(
        echo, limits=Limits(rate_per_s=0.01, burst=2), keys=KeyFile(path), metrics=counted
    )
    statuses = [ask(guard, headers=bearer(anna)).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert ask(guard, headers=bearer(bob)).status == 200
    assert ask(guard, headers=bearer(anna), path="/healthz").status == 200
    answer = ask(guard, headers=bearer(anna))
    refused(answer, 429)
    assert 90 <= int(answer.headers["retry-after"]) <= 100
    assert counted.reasons == ["rate", "rate"]


def test_without_keys_an_address_has_a_rate(echo):
    guard = Guard(echo, limits=Limits(rate_per_s=0.01, burst=1))
    assert [ask(guard, client=c).status for c in ("10.0.0.1", "10.0.0.1", "10.0.0.2")] == [
        200,
        429,
        200,
    ]


def test_by_default_keys_have_a_rate_and_loopback_has_none():
    assert Limits().rate(keys=True) == (50.0, 100)
    assert Limits().rate(keys=False) is None
    assert Limits(rate_per_s=0.0).rate(keys=True) is None


def test_the_files_of_the_page_are_not_counted(echo):
    guard = Guard(echo, limits=Limits(rate_per_s=0.01, burst=1))
    assert {ask(guard, path=f"/assets/part-{n}.js").status for n in range(20)} == {200}
