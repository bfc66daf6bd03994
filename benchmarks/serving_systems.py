"""The servers that `benchmarks.serving_load` compares, each started as its users start it."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from atelier.errors import AtelierError

from . import SURROUNDINGS
from .load_generator import Load
from .peer_environments import obtain_python

_ROOT = Path(__file__).resolve().parent.parent
_START_S = 120.0
_STOP_S = 20.0

Body = Literal["png", "json"]


@dataclass(frozen=True)
class System:
    """A server, and how it is asked.

    Attributes:
        name: what tables call it.
        body: an image as it is, or base64 in JSON.
        server: which one.
        options: of its command line.
    """

    name: str
    body: Body
    server: Literal["atelier", "LitServe"]
    options: tuple[str, ...] = ()

    def requests(self, pictures: Sequence[bytes], images: int) -> list[bytes]:
        """Whole requests of so many images each, in which each picture comes first once."""
        texts = [base64.b64encode(picture).decode() for picture in pictures]
        path = "/v1/predict" if self.server == "atelier" else "/predict"
        made = []
        for first in range(len(pictures)):
            places = [(first + offset) % len(pictures) for offset in range(images)]
            if self.body == "png":
                body, kind = pictures[first], "image/png"
            else:
                own = [texts[place] for place in places]
                wrapped = [{"data": text} for text in own] if self.server == "atelier" else own
                body, kind = json.dumps({"images": wrapped}).encode(), "application/json"
            head = (
                f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n"
            )
            made.append(head.encode() + body)
        return made

    @contextmanager
    def started(self, model: Path, folder: Path) -> Iterator[Server]:
        """A running server.

        Args:
            model: an exported file.
            folder: for what it writes.

        Raises:
            AtelierError: it does not come up.
        """
        port = _free_port()
        words: list[str | Path]
        if self.server == "atelier":
            words = [sys.executable, "-m", "atelier.cli", "serve", model, "--no-page"]
        else:
            python = obtain_python("litserve")
            words = [python, "-m", "benchmarks.peers.litserve_app", "--model", model]
        words += [*self.options, "--port", str(port)]
        with tempfile.TemporaryFile("w+") as said:
            process = subprocess.Popen(
                [str(word).replace("{folder}", str(folder)) for word in words],
                cwd=_ROOT,
                env={**SURROUNDINGS, "OMP_NUM_THREADS": "1"},
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                health = "/readyz" if self.server == "atelier" else "/health"
                if not _answers(f"http://127.0.0.1:{port}{health}", process):
                    said.seek(0)
                    last = (said.read().strip().splitlines() or ["it said nothing"])[-1]
                    raise AtelierError(f"{self.name} did not start: {last}")
                yield Server(port, process.pid)
            finally:
                _end(process)


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        port: on loopback.
        pid: of its process; it may have children.
    """

    port: int
    pid: int

    def load(self, requests: Path, rate: float, seconds: float) -> Load:
        """Offer a load, from a process of its own.

        Raises:
            AtelierError: the generator fails.
        """
        words = ["--port", self.port, "--requests", requests, "--rate", rate, "--seconds", seconds]
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.load_generator", *map(str, words)],
            cwd=_ROOT,
            env=SURROUNDINGS,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise AtelierError(f"the load generator failed: {done.stderr.strip()[-200:]}")
        return Load.parse(done.stdout)

    @contextmanager
    def watched(self, every_s: float = 1.0) -> Iterator[Memory]:
        """Its resident memory while the block runs."""
        memory, stop = Memory(), threading.Event()

        def watch() -> None:
            start = time.monotonic()
            while not stop.wait(every_s):
                memory.seconds.append(round(time.monotonic() - start, 2))
                memory.bytes.append(resident_bytes(self.pid))

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield memory
        finally:
            stop.set()
            thread.join()


@dataclass
class Memory:
    """Resident memory of a server with its children, in bytes, at so many seconds."""

    seconds: list[float] = field(default_factory=list)
    bytes: list[int] = field(default_factory=list)


def resident_bytes(pid: int) -> int:
    """Of a process and its children; pages that they share count in each."""
    total = 0
    with suppress(OSError, ValueError, IndexError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        total = pages * os.sysconf("SC_PAGE_SIZE")
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            total += sum(resident_bytes(int(child)) for child in children.read_text().split())
    return total


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _answers(url: str, process: subprocess.Popen[str]) -> bool:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return True
        except OSError:
            time.sleep(0.1)
    return False


def _end(process: subprocess.Popen[str]) -> None:
    """End a server and its children, all in a group of their own."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
