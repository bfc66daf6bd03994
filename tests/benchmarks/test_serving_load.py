"""The load that `serving_load` offers, and how it looks for the highest rate that is held."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.load_generator import Load, Percentiles
from benchmarks.serving_load import Held, Results, is_held, search, table
from benchmarks.serving_systems import System, resident_bytes

REQUEST = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"


@pytest.mark.parametrize("highest", [3.0, 40.0, 100.0, 101.0, 1234.5, 50_000.0])
def test_the_highest_rate_is_found_within_four_percent(highest: float) -> None:
    asked: list[float] = []

    def holds(rate: float) -> bool:
        asked.append(rate)
        return rate <= highest

    found = search(holds, 100.0)
    assert highest / 1.04 <= found <= highest
    assert len(asked) < 25


def test_where_no_rate_holds_it_is_zero() -> None:
    assert search(lambda _: False, 100.0) == 0.0


@contextmanager
def server(answer: bytes, stall_s: float = 0.0) -> Iterator[int]:
    """Answers each request with `answer`, and takes none for a while after the first few."""
    ready, port = threading.Event(), 0
    loop = asyncio.new_event_loop()
    requests = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        while True:
            try:
                await reader.readexactly(len(REQUEST))
            except asyncio.IncompleteReadError:
                break
            requests += 1
            if requests == 10 and stall_s:
                threading.Event().wait(stall_s)  # the whole loop, as a server that is stuck
            writer.write(answer)
        writer.close()

    async def listen() -> None:
        nonlocal port
        listening = await asyncio.start_server(talk, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        ready.set()
        await stopped
        listening.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    stopped = loop.create_future()
    thread = threading.Thread(target=loop.run_until_complete, args=(listen(),), daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(stopped.set_result, None)
        thread.join(20)
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def offer(port: int, folder: Path, rate: float, seconds: float) -> Load:
    file = folder / "requests.json"
    file.write_text(json.dumps([base64.b64encode(REQUEST).decode()]))
    words = ["--port", port, "--requests", file, "--rate", rate, "--seconds", seconds]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load_generator", *map(str, words)],
        capture_output=True,
        text=True,
        check=True,
    )
    return Load.parse(done.stdout)


def test_every_request_has_its_answer(tmp_path: Path) -> None:
    with server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") as port:
        load = offer(port, tmp_path, 200, 0.5)
    assert load.sent == 100
    assert load.statuses == {"200": 100}
    assert load.ok.count == load.late.count == 100
    assert load.busy.count == 0
    assert 0 < load.ok.p50 <= load.ok.p99 <= load.ok.largest


def test_latency_counts_from_when_a_request_had_its_time(tmp_path: Path) -> None:
    """Of 100 requests in half a second, those of the 0.3 s that the server is stuck all see it."""
    with server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", stall_s=0.3) as port:
        load = offer(port, tmp_path, 200, 0.5)
    assert load.statuses == {"200": 100}
    assert load.ok.largest >= 250
    assert load.ok.p50 >= 25  # one who waits for answers would have seen it once


def test_refusals_are_counted_apart(tmp_path: Path) -> None:
    with server(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n") as port:
        load = offer(port, tmp_path, 100, 0.2)
    assert load.statuses == {"503": 20}
    assert (load.ok.count, load.busy.count, load.goodput) == (0, 20, 0)
    assert not is_held(load)


def test_a_rate_is_held_if_all_are_answered_in_time() -> None:
    good = Percentiles(100, 1.0, 5.0, 20.0, 90.0)
    none = Percentiles(0, 0.0, 0.0, 0.0, 0.0)
    load = Load(
        rate=10.0,
        seconds=10.0,
        sent=100,
        goodput=10.0,
        statuses={"200": 100},
        ok=good,
        busy=none,
        late=none,
        client_cores=0.1,
    )
    assert is_held(load)
    assert not is_held(replace(load, sent=101))
    assert not is_held(replace(load, ok=Percentiles(100, 1.0, 5.0, 50.0, 90.0)))


def test_requests_hold_what_each_server_takes() -> None:
    pictures = [b"first", b"second", b"third"]
    for system, path, images in (
        (System("a", "png", "atelier"), b"/v1/predict", 1),
        (System("b", "json", "atelier"), b"/v1/predict", 2),
        (System("c", "json", "LitServe"), b"/predict", 2),
    ):
        requests = system.requests(pictures, images)
        assert len(requests) == 3
        for request in requests:
            head, _, body = request.partition(b"\r\n\r\n")
            assert head.startswith(b"POST " + path + b" HTTP/1.1\r\n")
            assert f"Content-Length: {len(body)}".encode() in head
    assert body == b'{"images": ["dGhpcmQ=", "Zmlyc3Q="]}'


def test_memory_is_what_a_process_has() -> None:
    code = "held = b'x' * 60_000_000; print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert 60_000_000 < resident_bytes(process.pid) < 200_000_000
        process.kill()
    assert resident_bytes(2**22 + 1) == 0


def test_the_table_of_nothing_has_its_head() -> None:
    assert table([]).startswith("images  system")


def test_a_measurement_that_was_cut_off_takes_nothing_from_the_results(tmp_path: Path) -> None:
    path = tmp_path / "load.json"
    first = Held("a", "atelier", "json", [], 32, 80.0)
    results = Results(path, {"model": "cnn.onnx"})
    results.keep([first])
    assert not path.exists()
    results.finish(32, [first])
    complete = path.read_text()

    later = Results(path, {"model": "other.onnx"})
    later.keep([Held("a", "atelier", "json", [], 1, 900.0)])
    assert path.read_text() == complete
    partial = json.loads((tmp_path / "load.partial.json").read_text())
    assert (partial["model"], partial["held"][0]["rate"]) == ("other.onnx", 900.0)

    later.finish(1, [Held("a", "atelier", "json", [], 1, 1000.0)])
    entries = json.loads(path.read_text())
    assert list(entries) == ["1", "32"]
    assert [entries[key]["held"][0]["rate"] for key in entries] == [1000.0, 80.0]
    assert not (tmp_path / "load.partial.json").exists()
