"""Bodies and images of every bad kind: no crash, no 5xx, nothing left behind."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from atelier.serving.limits import Limits
from atelier.serving.settings import ServeSettings
from tests.serving.mangling import BOUNDARY, FORM, PNG, corpus, field, form, mangled
from tests.serving.tiny_export import write_tiny_export
from tests.serving.wire import PATIENCE_S, whole_service

CORPUS = corpus()
# They look odd, and are good all the same.
GOOD_IN_CORPUS = {
    *("html in a png", "zip after png", "jpeg said to be png", "a large image"),
    *("a path as file name", "a null file name", "a gif of many frames", "two boundaries"),
    *("a late first part", "a long pixel stream"),
}

Send = Callable[..., tuple[int, dict[str, str], Any]]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """The folders where a service could leave something: the current one and the temporary one."""
    current, temporary = tmp_path_factory.mktemp("current"), tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(current)
        patch.setenv("TMPDIR", str(temporary))
        patch.setattr(tempfile, "tempdir", None)
        yield current, temporary


@pytest.fixture(scope="module")
def address(
    tmp_path_factory: pytest.TempPathFactory, places: tuple[Path, Path]
) -> Iterator[tuple[str, int]]:
    """The whole service, its page too."""
    folder = tmp_path_factory.mktemp("service")
    told = ServeSettings(
        models={"tiny": write_tiny_export(folder / "tiny.onnx")},
        port=0,
        workers=1,
        log=f"sqlite:///{folder}/log.sqlite",
        limits=Limits(idle_timeout_s=600.0),
    )
    with whole_service(told) as address:
        yield address


@pytest.fixture
def send(address: tuple[str, int]) -> Iterator[Send]:
    """A function that posts over one connection and checks the form of what is answered."""
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE_S)

    def send(
        kind: str, body: bytes, query: str = "", path: str = "/v1/predict"
    ) -> tuple[int, dict[str, str], Any]:
        headers = {"Content-Type": kind}
        connection.request("POST", f"{path}?{query}" if query else path, body, headers)
        answer = connection.getresponse()
        content = json.loads(answer.read())
        got = dict(answer.getheaders())
        if answer.status == 200:
            assert got["content-type"] == "application/json"
        else:
            assert got["content-type"] == "application/problem+json"
            assert content["status"] == answer.status
            assert content["type"].startswith("urn:atelier:problem:")
            told = json.dumps(content)
            for inside in ("Traceback", "atelier/", "site-packages", "PIL", "Error:", "0x7f"):
                assert inside not in told
        assert content["request_id"] == got["x-request-id"]
        return answer.status, got, content

    yield send
    connection.close()


@pytest.fixture(autouse=True)
def nothing_left(
    places: tuple[Path, Path], address: tuple[str, int], caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """Check that no file is left, and that the log tells of no defect."""
    before = [sorted(folder.rglob("*")) for folder in places]
    with caplog.at_level(logging.WARNING):
        yield
    assert [sorted(folder.rglob("*")) for folder in places] == before
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def is_well(send: Send) -> bool:
    """Whether a good request is answered."""
    status, _, content = send("image/png", PNG)
    return status == 200 and len(content["predictions"]) == 1


def test_two_thousand_mangled_requests(send: Send) -> None:
    seen: dict[int, int] = {}

    @settings(
        max_examples=2000,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(mangled())
    def check(request: tuple[str, str, bytes]) -> None:
        kind, query, body = request
        status, _, _ = send(kind, body, query)
        assert status in (200, 400, 404, 413, 415, 422)
        seen[status] = seen.get(status, 0) + 1

    check()
    # The requests were neither all good nor all bad, so that every part of the way was gone.
    assert min(seen[status] for status in (200, 400, 415, 422)) >= 20
    assert is_well(send)


@pytest.mark.parametrize("name", CORPUS)
def test_the_corpus(send: Send, name: str) -> None:
    kind, body = CORPUS[name]
    start = time.monotonic()
    for path in ("/v1/predict", "/v1/embed"):
        status, _, content = send(kind, body, path=path)
        if name in GOOD_IN_CORPUS:
            assert status == 200, content
        else:
            assert status in (400, 404, 413, 415, 422), content
    send(kind, body, path="/v1/feedback")
    assert time.monotonic() - start < 5  # a minute and a gigabyte is what some of them once took
    assert is_well(send)


def test_bombs_take_no_memory(send: Send) -> None:
    assert is_well(send)
    status = Path("/proc/self/status")
    Path("/proc/self/clear_refs").write_text("5")  # forget the highest so far
    before = _kilobytes(status.read_text(), "VmRSS")
    for name in ("a bomb", "a wide bomb", "a gif that grows", "a webp that claims much") * 5:
        assert send(*CORPUS[name])[0] in (413, 422)
    assert _kilobytes(status.read_text(), "VmHWM") - before < 60_000


def _kilobytes(status: str, name: str) -> int:
    return int(status.partition(f"{name}:")[2].split()[0])


def test_one_bad_image_does_not_spoil_the_others(send: Send) -> None:
    body = form([(field("images"), PNG), (field("images"), b"no image"), (field("images"), PNG)])
    status, _, content = send(FORM, body)
    assert status == 200
    assert ["problem" in each for each in content["predictions"]] == [False, True, False]


def test_no_url_is_ever_fetched(send: Send) -> None:
    """A listener waits for whoever would come; nobody does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/a.png"
        for body in (
            {"images": [{"data": url}]},
            {"images": [{"url": url}]},
            {"images": [url]},
            {"images": url},
            {"url": url},
            {"images": [{"data": "AAAA"}], "model": url},
        ):
            assert send("application/json", json.dumps(body).encode())[0] in (400, 422)
        for part in (field("images"), field("url"), field("images", f'; filename="{url}"')):
            assert send(FORM, form([(part, url.encode())]))[0] in (415, 422)
        external = f"Content-Type: message/external-body; access-type=URL; URL={url}"
        send(FORM, form([(f"{field('images')}\r\n{external}", b"")]))
        svg = f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{url}"/></svg>'
        send("image/svg+xml", svg.encode())
        send("image/png", svg.encode())
        send("image/png", PNG, query=f"url={url}")
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_requests_at_the_same_time_do_not_mix(address: tuple[str, int]) -> None:
    """Good ones are answered as ever while bad ones come beside them."""
    wrong: list[Any] = []

    def ask(kind: str, body: bytes, expected: int) -> None:
        connection = http.client.HTTPConnection(*address, timeout=PATIENCE_S)
        for _ in range(30):
            connection.request("POST", "/v1/predict", body, {"Content-Type": kind})
            answer = connection.getresponse()
            answer.read()
            if answer.status != expected:
                wrong.append((kind, answer.status))
        connection.close()

    asked = [("image/png", PNG, 200), ("image/png", PNG[:60], 422), (FORM, b"x", 400)] * 2
    threads = [threading.Thread(target=ask, args=each) for each in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_boundary_may_stand_in_an_image(send: Send) -> None:
    """Only a line that begins with it ends a part."""
    body = form([(field("images"), PNG + BOUNDARY.encode() + b"--")])
    assert send(FORM, body)[0] == 200
