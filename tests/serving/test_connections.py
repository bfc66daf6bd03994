"""Silent, slow and talkative clients, beside whom everybody else is answered."""

from __future__ import annotations

import select
import threading
from typing import Any

import pytest

from atelier.serving.guard import Guard
from atelier.serving.limits import Limits
from tests.serving.wire import connect, get, post, read_all, serving, status_of, talk

TIGHT = Limits(
    max_body_bytes=4096,
    max_held_bytes=10 * 4096,
    max_header_bytes=4096,
    max_headers=20,
    header_timeout_s=0.4,
    read_timeout_s=0.4,
    request_timeout_s=1.0,
    idle_timeout_s=0.4,
    max_connections=8,
)
PATIENT = TIGHT.model_copy(
    update={"header_timeout_s": 60.0, "read_timeout_s": 60.0, "request_timeout_s": 60.0}
)


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    more, size = True, 0
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more, size = message["more_body"], size + len(message["body"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % size})


class Told:
    """What was refused, and why."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.changed = threading.Condition()

    def __call__(self, reason: str) -> None:
        with self.changed:
            self.reasons.append(reason)
            self.changed.notify_all()


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def tight(told):
    """A service that loses its patience soon."""
    with serving(Guard(app, limits=TIGHT), TIGHT, told) as address:
        yield address


@pytest.fixture
def patient(told):
    """A service that waits for a minute, so that only its number of connections is a limit."""
    with serving(Guard(app, limits=PATIENT), PATIENT, told) as address:
        yield address


def works(address) -> bool:
    """Whether a normal request is answered."""
    answer = talk(address, post("/v1/predict", b"x" * 100, "text/plain"))
    return status_of(answer) == 200 and answer.endswith(b"100\r\n0\r\n\r\n")


def test_a_normal_request_is_answered(tight):
    assert works(tight)


@pytest.mark.parametrize(
    "sent", [b"GET /v1/mo", b"GET /v1/models HTTP/1.1\r\nHost: a\r\n", b"\r\n\r\nPOST"]
)
def test_headers_that_do_not_come_are_not_waited_for(tight, told, sent):
    with connect(tight) as client:
        client.sendall(sent)
        answer = read_all(client)
    assert status_of(answer) == 408
    assert b"application/problem+json" in answer
    assert told.reasons == ["slow"]


@pytest.mark.parametrize("sent", [b"", b"\r\n\r\n"])
def test_who_asks_nothing_is_told_nothing(tight, told, sent):
    with connect(tight) as client:
        client.sendall(sent)
        assert read_all(client) == b""
    assert told.reasons == []


def test_headers_that_drip_are_not_waited_for(tight):
    with connect(tight) as client:
        client.sendall(b"GET / HTTP/1.1\r\n")
        client.settimeout(0.02)
        answer = b""
        for _ in range(1000):
            try:
                client.sendall(b"X: y\r\n")
                answer = client.recv(100)
            except TimeoutError:
                continue
            except ConnectionError:
                break
            if answer:
                break
        assert status_of(answer) == 408


def test_a_body_that_stops_is_not_waited_for(tight):
    with connect(tight) as client:
        client.sendall(post("/v1/predict", b"x" * 100, "text/plain")[:-1])
        assert status_of(read_all(client)) == 408


def test_a_kept_connection_is_closed_when_nothing_comes(tight, told):
    with connect(tight) as client:
        client.sendall(get("/v1/models").replace(b"Connection: close\r\n", b""))
        assert status_of(read_all(client)) == 200
    assert told.reasons == []


def test_a_kept_connection_takes_a_second_request(tight):
    with connect(tight) as client:
        one = get("/v1/models").replace(b"Connection: close\r\n", b"")
        client.sendall(one)
        first = client.recv(65_536)
        client.sendall(get("/v1/models"))
        assert (status_of(first), status_of(read_all(client))) == (200, 200)


@pytest.mark.parametrize(
    "head",
    [
        get("/" + "a" * 5000),
        get("/", "X: " + "a" * 5000),
        get("/", *(f"X-{n}: 1" for n in range(30))),
        b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000,
        b"GET /" + b"a" * 100_000,
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000,
    ],
    ids=["path", "header", "headers", "endless header", "endless path", "endless headers"],
)
def test_too_large_headers_are_refused(tight, told, head):
    assert status_of(talk(tight, head)) == 431
    assert told.reasons == ["headers"]
    assert works(tight)


@pytest.mark.parametrize(
    "trailer", [b"X: " + b"a" * 100_000, b"X: y\r\n" * 20_000], ids=["one", "many"]
)
def test_endless_trailers_are_cut_off(tight, trailer):
    head = b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = talk(tight, head + b"1\r\nx\r\n0\r\n" + trailer)
    assert status_of(answer) in (None, 408, 431)
    assert works(tight)


def test_endless_chunk_extensions_are_cut_off(tight):
    head = b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = talk(tight, head + b"1;" + b"a" * 1_000_000)
    assert status_of(answer) in (None, 400, 408, 431)
    assert works(tight)


@pytest.mark.parametrize(
    "data",
    [
        b"GET http://evil.example/v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /v1/../etc HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        (
            b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_plain_request_is_refused(tight, data):
    answer = talk(tight, data)
    assert status_of(answer) == 400
    assert b"application/problem+json" in answer
    assert works(tight)


def test_an_announced_giant_body_is_refused_unread(tight):
    head = post("/v1/predict", b"", "image/png").replace(b": 0\r\n", b": 10737418240\r\n")
    with connect(tight) as client:
        client.sendall(head)  # and nothing of it
        assert status_of(read_all(client)) == 413


def test_a_polite_giant_is_told_before_it_sends(tight):
    head = post("/v1/predict", b"", "image/png", "Expect: 100-continue")
    answer = talk(tight, head.replace(b": 0\r\n", b": 10737418240\r\n"))
    assert status_of(answer) == 413  # and not 100 Continue


def test_a_long_body_in_chunks_is_cut_off(tight):
    head = b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"
    assert status_of(talk(tight, head + chunk * 500)) == 413
    assert works(tight)


def test_an_upgrade_is_not_made(tight):
    answer = talk(tight, get("/v1/models", "Upgrade: websocket", "Sec-WebSocket-Key: abc"))
    assert b" 101 " not in answer.partition(b"\r\n")[0]
    assert works(tight)


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HTTP/1.1\r\nX-Slow: ", post("/v1/predict", b"x" * 100, "text/plain")[:-10]],
    ids=["silent", "headers", "body"],
)
def test_many_slow_clients_keep_nobody_out(patient, told, sent):
    """Twenty at once where eight may be: the normal client comes in each time."""
    slow = []
    try:
        for _ in range(20):
            client = connect(patient)
            client.sendall(sent)
            slow.append(client)
            assert works(patient)
        # Twelve or more had to go, and they were told nothing.
        assert read_all(slow[0]) == b""
        assert told.reasons.count("connections") >= 12
    finally:
        for client in slow:
            client.close()


def test_where_all_are_at_work_the_next_is_refused(told):
    at_work, gate = threading.Semaphore(0), threading.Event()

    async def busy(scope: Any, receive: Any, send: Any) -> None:
        import asyncio

        if scope["type"] == "lifespan" or scope["path"] == "/healthz":
            await app(scope, receive, send)
            return
        at_work.release()
        while not gate.is_set():
            await asyncio.sleep(0.01)
        await app(scope, receive, send)

    with serving(Guard(busy, limits=PATIENT), PATIENT, told) as address:
        clients = [connect(address) for _ in range(8)]
        for client in clients:
            client.sendall(get("/v1/models"))
        for _ in clients:
            assert at_work.acquire(timeout=20)
        answer = talk(address, b"")
        assert status_of(answer) == 503
        assert b"retry-after: 1" in answer
        gate.set()
        assert [status_of(read_all(client)) for client in clients] == [200] * 8
        for client in clients:
            client.close()


@pytest.mark.parametrize("kept", [True, False])
def test_answers_that_nobody_reads_are_not_kept(told, kept):
    size = 50 * 2**20
    over = threading.Event()

    async def generous(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan" or scope["path"] == "/healthz":
            await app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            for _ in range(size // 2**16 if kept else 1):
                body = bytes(2**16 if kept else size)
                await send({"type": "http.response.body", "body": body, "more_body": True})
            await send({"type": "http.response.body"})
        finally:
            over.set()

    with serving(Guard(generous, limits=TIGHT), TIGHT, told) as address, connect(address) as client:
        client.sendall(get("/v1/models"))
        assert over.wait(timeout=20)
        closed = select.poll()
        closed.register(client, select.POLLRDHUP)
        assert closed.poll(20_000)
        assert len(read_all(client)) < size  # whoever reads now comes too late


def test_requests_in_a_row_are_answered_in_their_order_and_bounded(tight):
    one = get("/v1/models").replace(b"Connection: close\r\n", b"")
    assert talk(tight, one * 5 + get("/v1/models")).count(b"HTTP/1.1 200") == 6
    assert 1 <= talk(tight, one * 500).count(b"HTTP/1.1 200") <= 20
    assert works(tight)
