"""What the guard refuses before the application sees it, and what it adds to every answer."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any

import pytest

from atelier.serving.guard import Guard
from atelier.serving.limits import Limits
from tests.serving.asgi import Counted, Echo, ask, exchange, refused, scope

SMALL = Limits(max_body_bytes=2000, max_held_bytes=4000)


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def counted() -> Counted:
    return Counted()


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
