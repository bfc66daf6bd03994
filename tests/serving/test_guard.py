"""What the guard refuses before the application sees it, and what it adds to every answer."""

from __future__ import annotations

import asyncio
import base64
import logging
import re
from typing import Any

import pytest

from atelier.serving.guard import Guard
from atelier.serving.keys import KeyFile, add_key, remove_key
from atelier.serving.limits import Limits
from tests.serving.asgi import ask, exchange, scope

SMALL = Limits(max_body_bytes=2000, max_held_bytes=4000)


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


def refused(answer: Any, status: int) -> dict[str, Any]:
    """Check that an answer is a whole problem, and return it."""
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["x-request-id"]
    return problem


# Answers.


def test_what_is_allowed_reaches_the_application(echo):
    answer = ask(Guard(echo), "POST", "/v1/predict", b"x" * 1000)
    assert answer.status == 200
    assert answer.body.startswith(b"1000 127.0.0.1 ")
    assert answer.body.endswith(answer.headers["x-request-id"].encode())


def test_every_answer_has_the_headers_of_safety(echo):
    for answer in (ask(Guard(echo)), ask(Guard(echo), path="/v1/../secret")):
        headers = answer.headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "server" not in headers
        assert not any(name.startswith("access-control") for name in headers)


def test_the_page_may_photograph_and_load_nothing_from_elsewhere(echo):
    headers = ask(Guard(echo), path="/").headers
    assert "camera=(self)" in headers["permissions-policy"]
    assert "http" not in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize("given", ["abcd1234", "trace-4711_a.b"])
def test_a_harmless_request_id_is_kept(echo, given):
    assert ask(Guard(echo), headers=[("X-Request-ID", given)]).headers["x-request-id"] == given


@pytest.mark.parametrize(
    "given", ["", "short", "a" * 65, "id\twith\ttabs", "<script>alert(1)", "é" * 9]
)
def test_another_request_id_is_replaced(echo, given):
    answer = ask(Guard(echo), headers=[("X-Request-ID", given)])
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])


def test_errors_leak_nothing(counted, caplog):
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("/secret/path and 'password'")

    with caplog.at_level(logging.ERROR, logger="atelier"):
        answer = ask(Guard(broken, metrics=counted))
    problem = refused(answer, 500)
    assert b"secret" not in answer.body
    assert "RuntimeError" not in str(problem)
    assert problem["request_id"] in caplog.text  # the log has both the number and the reason
    assert "/secret/path" in caplog.text
    assert counted.reasons == ["error"]


# Bodies.


def test_an_announced_body_is_refused_before_it_is_read(echo, counted):
    headers = [("Content-Length", str(10 * 2**30))]
    answer = ask(Guard(echo, metrics=counted), "POST", "/v1/predict", [b"x"], headers=headers)
    problem = refused(answer, 413)
    assert problem["max_bytes"] == Limits().max_body_bytes
    assert answer.headers["connection"] == "close"
    assert (echo.calls, answer.read, counted.reasons) == (0, 0, ["body"])


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "1e3", "0x10", "1,1", "+5"])
def test_a_length_that_is_none_is_refused(echo, length):
    answer = ask(Guard(echo), "POST", "/v1/predict", b"", headers=[("Content-Length", length)])
    assert answer.status in (400, 413)
    assert echo.calls == 0


def test_a_body_in_pieces_is_counted(echo):
    guard = Guard(echo, limits=SMALL)
    answer = ask(guard, "POST", "/v1/predict", (b"x" * 500 for _ in range(1000)))
    refused(answer, 413)
    assert answer.read == 2500  # and not a piece more
    assert guard.held_bytes == guard.working == 0
    assert ask(guard, "POST", "/v1/predict", [b"x" * 2000]).status == 200


def test_a_compressed_body_is_refused(echo):
    headers = [("Content-Encoding", "gzip")]
    refused(ask(Guard(echo), "POST", "/v1/predict", b"\x1f\x8b", headers=headers), 415)


def test_all_bodies_together_are_held_within_a_limit(echo):
    guard = Guard(echo, limits=SMALL)

    async def scene() -> list[Any]:
        gate = asyncio.Event()

        async def first() -> Any:
            yield b"x" * 1500
            await gate.wait()

        async def second() -> Any:
            yield b"x" * 1500

        asked = [
            scope("POST", "/v1/predict", headers=[("transfer-encoding", "chunked")])
            for _ in range(3)
        ]
        held = [asyncio.create_task(exchange(guard, one, first())) for one in asked[:2]]
        while guard.held_bytes < 3000:
            await asyncio.sleep(0)
        late = await exchange(guard, asked[2], second())
        gate.set()
        return [late, *await asyncio.gather(*held)]

    late, *early = asyncio.run(scene())
    assert refused(late, 503)["status"] == 503
    assert late.headers["retry-after"] == "1"
    assert [answer.status for answer in early] == [200, 200]
    assert guard.held_bytes == 0


def test_a_body_that_stops_is_not_waited_for(echo, counted):
    guard = Guard(echo, limits=Limits(read_timeout_s=0.05), metrics=counted)

    async def stops() -> Any:
        yield b"x"
        await asyncio.Event().wait()

    asked = scope("POST", "/v1/predict", headers=[("content-length", "100")])
    answer = asyncio.run(exchange(guard, asked, stops()))
    refused(answer, 408)
    assert answer.headers["connection"] == "close"
    assert counted.reasons == ["slow"]


def test_a_body_that_drips_has_an_end(echo):
    guard = Guard(echo, limits=Limits(read_timeout_s=0.1, request_timeout_s=0.2))

    async def drips() -> Any:
        while True:
            yield b"x"
            await asyncio.sleep(0.01)

    asked = scope("POST", "/v1/predict", headers=[("content-length", "100000")])
    refused(asyncio.run(exchange(guard, asked, drips())), 408)


def test_an_application_that_takes_too_long_is_stopped(counted):
    stopped = asyncio.Event()

    async def sleeps(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    guard = Guard(sleeps, limits=Limits(request_timeout_s=0.05), metrics=counted)
    answer = ask(guard, "POST", "/v1/predict", b"x")
    refused(answer, 503)
    assert "retry-after" in answer.headers
    assert stopped.is_set()
    assert (guard.working, counted.reasons) == (0, ["time"])


def test_more_requests_at_once_than_allowed_are_refused(counted):
    gate = asyncio.Event()

    async def waits(scope: Any, receive: Any, send: Any) -> None:
        if (await receive())["type"] == "http.disconnect":
            return
        await gate.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    guard = Guard(waits, limits=Limits(max_requests=2), metrics=counted)

    async def scene() -> list[Any]:
        async def nothing() -> Any:
            for piece in ():
                yield piece

        def post() -> Any:
            return exchange(guard, scope("POST", "/v1/predict"), nothing())

        early = [asyncio.create_task(post()) for _ in range(2)]
        while guard.working < 2:
            await asyncio.sleep(0)
        late = await post()
        gate.set()
        return [late, *await asyncio.gather(*early)]

    late, *early = asyncio.run(scene())
    refused(late, 503)
    assert [answer.status for answer in early] == [200, 200]
    assert (guard.working, counted.reasons) == (0, ["busy"])


def test_a_client_that_goes_is_nobodys_defect(echo, counted, caplog):
    async def gone(scope: Any, receive: Any, send: Any) -> None:
        await Guard(echo, metrics=counted)(scope, leave, send)

    async def leave() -> Any:
        return {"type": "http.disconnect"}

    with caplog.at_level(logging.ERROR, logger="atelier"):
        assert ask(gone, "POST", "/v1/predict", b"x").status is None
    assert (counted.reasons, caplog.text) == ([], "")


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
