"""Requests at a fixed rate, whatever the server makes of them.

    python -m benchmarks.load_generator --port N --requests FILE --rate R --seconds S

Most load tools send the next request when an answer has come: a server that stalls is then asked
less, and the stall is seen once instead of by all who would have come meanwhile (coordinated
omission). Here each request has its time, and its latency is counted from that time on, whether a
connection was free then or not. FILE is a JSON list of requests in base64, each complete with its
head, which are sent in turn on kept connections. What is measured is printed as JSON.

Written for this because the tools in Debian that send bodies (wrk, hey) know no rate of arrivals.
It takes some percent of a core for each thousand requests in a second, and says how much, and how
late it was itself.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gc
import json
import resource
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import uvloop

_TICK_S = 0.001
_AT_FIRST = 16  # connections; more are opened when all have a request
_PATIENCE_S = 5.0  # for answers after the last request
_OK = 200
_BUSY = 503


@dataclass(frozen=True)
class Percentiles:
    """Of latencies or delays, in milliseconds."""

    count: int
    p50: float
    p95: float
    p99: float
    largest: float

    @classmethod
    def of(cls, seconds: list[float]) -> Percentiles:
        """None of any is zero."""
        if not seconds:
            return cls(0, 0.0, 0.0, 0.0, 0.0)
        ordered, last = sorted(seconds), len(seconds) - 1
        at = [ordered[min(last, int(share * len(ordered)))] for share in (0.5, 0.95, 0.99)]
        p50, p95, p99, largest = (round(1000 * value, 3) for value in (*at, ordered[last]))
        return cls(len(ordered), p50, p95, p99, largest)


@dataclass(frozen=True)
class Load:
    """What came of a load.

    Attributes:
        rate: requests a second that were offered.
        seconds: for how long.
        sent: requests that had their time.
        goodput: requests a second that were answered with 200 before the load ended.
        statuses: answers by HTTP status; ``lost`` is a connection that broke, ``none`` no answer
            within 5 s after the end.
        ok: latencies of answers with 200, from the request's time.
        busy: latencies of answers with 503.
        late: from a request's time to when it was sent.
        client_cores: processor time of this process over the time that it ran.
    """

    rate: float
    seconds: float
    sent: int
    goodput: float
    statuses: dict[str, int]
    ok: Percentiles
    busy: Percentiles
    late: Percentiles
    client_cores: float

    @classmethod
    def parse(cls, text: str) -> Load:
        """What this script has printed."""
        fields = json.loads(text)
        for name in ("ok", "busy", "late"):
            fields[name] = Percentiles(**fields[name])
        return cls(**fields)


class _Connection(asyncio.Protocol):
    """Sends a request at a time, and tells its answer's status."""

    def __init__(self, generator: _Generator) -> None:
        self._generator = generator
        self._transport: asyncio.WriteTransport | None = None
        self._buffer = b""
        self.scheduled: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is none by its class
        self._generator.free(self)

    def send(self, request: bytes, scheduled: float) -> None:
        """Send; the connection is free."""
        assert self._transport is not None
        self.scheduled = scheduled
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer = self._buffer + data if self._buffer else data
        head = buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        lowered = buffer[:head].lower()
        at = lowered.find(b"content-length: ") + 16
        end = lowered.find(b"\r", at)
        length = int(lowered[at:end] if end > 0 else lowered[at:])
        if len(buffer) < head + 4 + length:
            return
        self._buffer = b""
        scheduled, self.scheduled = self.scheduled, None
        if scheduled is not None:
            self._generator.answered(buffer[9:12].decode(), scheduled)
        if b"connection: close" not in lowered:
            self._generator.free(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        if self.scheduled is not None:
            self._generator.answered("lost", self.scheduled)
        self._generator.lost(self)


class _Generator:
    def __init__(self, host: str, port: int, requests: list[bytes], connections: int) -> None:
        self._host, self._port, self._requests = host, port, requests
        self._connections = connections
        self._free: list[_Connection] = []
        self._open = 0
        self._waiting: deque[float] = deque()
        self._sent = 0
        self._latencies: dict[str, list[float]] = {}
        self._late: list[float] = []
        self._in_time = 0
        self._end = 0.0
        self._opening: set[asyncio.Task[None]] = set()

    async def run(self, rate: float, seconds: float) -> Load:
        for _ in range(min(_AT_FIRST, self._connections)):
            self._connect()
        await asyncio.gather(*self._opening)
        used, began = _cpu_s(), time.perf_counter()
        self._end = began + seconds
        total, offered = int(rate * seconds), 0
        while offered < total:
            due = min(total, int((time.perf_counter() - began) * rate) + 1)
            while offered < due:
                self._offer(began + offered / rate)
                offered += 1
            await asyncio.sleep(_TICK_S)
        until = time.perf_counter() + _PATIENCE_S
        while self._answers < total and time.perf_counter() < until:
            await asyncio.sleep(_TICK_S)
        wall = time.perf_counter() - began
        statuses = Counter({status: len(times) for status, times in self._latencies.items()})
        if total > self._answers:
            statuses["none"] = total - self._answers
        return Load(
            rate=rate,
            seconds=seconds,
            sent=total,
            goodput=self._in_time / seconds,
            statuses=dict(statuses),
            ok=Percentiles.of(self._latencies.get(str(_OK), [])),
            busy=Percentiles.of(self._latencies.get(str(_BUSY), [])),
            late=Percentiles.of(self._late),
            client_cores=round((_cpu_s() - used) / wall, 3),
        )

    @property
    def _answers(self) -> int:
        return sum(map(len, self._latencies.values()))

    def _connect(self) -> None:
        loop = asyncio.get_running_loop()

        async def connect() -> None:
            try:
                await loop.create_connection(lambda: _Connection(self), self._host, self._port)
            except OSError:
                self._open -= 1

        self._open += 1
        task = loop.create_task(connect())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def _offer(self, scheduled: float) -> None:
        if self._free:
            self._send(self._free.pop(), scheduled)
            return
        self._waiting.append(scheduled)
        if self._open < self._connections:
            self._connect()

    def _send(self, connection: _Connection, scheduled: float) -> None:
        self._late.append(time.perf_counter() - scheduled)
        connection.send(self._requests[self._sent % len(self._requests)], scheduled)
        self._sent += 1

    def free(self, connection: _Connection) -> None:
        """A connection can take a request."""
        if self._waiting:
            self._send(connection, self._waiting.popleft())
        else:
            self._free.append(connection)

    def lost(self, connection: _Connection) -> None:
        """A connection was closed by the other side."""
        self._open -= 1
        if connection in self._free:
            self._free.remove(connection)
        if self._waiting:
            self._connect()

    def answered(self, status: str, scheduled: float) -> None:
        """A request has an answer."""
        now = time.perf_counter()
        self._latencies.setdefault(status, []).append(now - scheduled)
        self._in_time += status == str(_OK) and now <= self._end


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Read the command line, offer the load, print what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--requests", type=Path, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--connections", type=int, default=400)
    given = parser.parse_args()
    texts = json.loads(given.requests.read_text(encoding="utf-8"))
    requests = [base64.b64decode(text) for text in texts]
    generator = _Generator(given.host, given.port, requests, given.connections)
    gc.disable()  # its pauses would be taken for the server's
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        load = runner.run(generator.run(given.rate, given.seconds))
    print(json.dumps(asdict(load)))


if __name__ == "__main__":
    main()
