"""How many requests a second the service holds, beside LitServe with the same file.

    python -m benchmarks.serving_load --model FILE.onnx [--seconds 60] [--rounds 2]
                                      [--probe-seconds 5] [--quick] [--results FILE]

Server and client share the machine's cores and talk over loopback; bodies are 28-pixel PNG files of
real images. The load has a fixed rate, and latency counts from each request's time
(`benchmarks.load_generator`). A rate is held if every request is answered with 200 and 99 % of them
within 50 ms. The highest such rate is searched with short loads, then confirmed with loads of
`--seconds`, in turns; the rate in the table was held in every round, which is why it may lie below
one that a short load bears.

single      one image in a request. atelier takes it as it is, or in JSON, which is what LitServe
            takes; LitServe's way to queue and to batch is whichever bears more in short loads.
batch       32 images in a request, in JSON.
with log    atelier as it comes: each answer is committed to a SQLite file before it is sent.
overload    twice the held rate: how much of it is still answered in time (goodput), how long the
            503 of a refused request takes, and what happens to the memory.

The results file has an entry for each number of images in a request, which a new measurement takes
the place of when it is complete; until then every load stands in a file ``.partial.json`` beside.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from PIL import Image

from atelier.data import load_dataset
from atelier.devices import describe_machine, resolve_device
from atelier.errors import AtelierError
from atelier.storage import write_json

from .load_generator import Load
from .peer_environments import pinned_versions
from .serving_systems import Memory, Server, System

RESULTS = Path(__file__).resolve().parent / "results" / "serving_load.json"
QUICK = Path("runs/serving_load.json")  # a first look takes no measurement's place
P99_MS = 50.0
BATCH = 32
PICTURES = 64
_FIRST_RATE = {1: 100.0, BATCH: 8.0}
_TOLERANCE = 1.04  # of the search
_STEP_DOWN = 0.95
_LEAST_RATE = 1.0

NO_LOG = ("--log", "none")
OWN_LOG = ("--log", "sqlite:///{folder}/predictions.sqlite")
LITSERVE = (
    (),
    ("--max-batch", str(BATCH)),
    ("--zmq",),
    ("--zmq", "--max-batch", str(BATCH)),
)


@dataclass
class Held:
    """What a system holds.

    Attributes:
        system: its name.
        server: whose it is.
        body: how images are sent.
        options: of its command line.
        images: in a request.
        rate: requests a second, held in every round.
        rounds: the loads at that rate.
        overload: at twice the rate, if that was measured.
        memory: meanwhile.
    """

    system: str
    server: str
    body: str
    options: list[str]
    images: int
    rate: float
    rounds: list[Load] = field(default_factory=list)
    overload: Load | None = None
    memory: Memory | None = None


def is_held(load: Load) -> bool:
    """Whether every request was answered well, and nearly all of them soon."""
    return load.statuses == {"200": load.sent} and load.ok.p99 < P99_MS


def search(holds: Callable[[float], bool], first: float) -> float:
    """The highest rate that holds, within 4 %: doubled while it does, then halved between.

    Returns:
        0 if no rate holds.
    """
    low, high = 0.0, first
    while holds(high):
        low, high = high, 2 * high
    while low == 0.0:
        high /= 2
        if high < _LEAST_RATE:
            return 0.0
        if holds(high):
            low, high = high, 2 * high
    while high / low > _TOLERANCE:
        middle = (low * high) ** 0.5
        if holds(middle):
            low = middle
        else:
            high = middle
    return low


def pictures() -> list[bytes]:
    """PNG files of real images of 28 x 28 pixels."""
    images = load_dataset("fashion-mnist-sample").train.images[:PICTURES, 0]
    files = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        files.append(file.getvalue())
    return files


class Results:
    """The results file, which no measurement that was cut off takes anything from.

    Args:
        path: of the file.
        about: what holds for everything that is measured now.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self._path, self._about = path, dict(about)
        self._partial = path.with_suffix(".partial.json")

    def keep(self, held: Sequence[Held]) -> None:
        """Put down what is known so far."""
        write_json(self._partial, self._entry(held))

    def finish(self, images: int, held: Sequence[Held]) -> None:
        """Put down what was measured for so many images in a request, in the place of before."""
        entries = {}
        if self._path.exists():
            entries = json.loads(self._path.read_text(encoding="utf-8"))
        entries[str(images)] = self._entry(held)
        write_json(self._path, {key: entries[key] for key in sorted(entries, key=int)})
        self._partial.unlink(missing_ok=True)

    def _entry(self, held: Sequence[Held]) -> dict[str, Any]:
        told = [asdict(each) for each in held]
        return {"finished": date.today().isoformat(), **self._about, "held": told}


class Benchmark:
    """Systems on one model.

    Args:
        model: an exported file.
        seconds: of a confirming load.
        probe_s: of a load of the search.
        rounds: of confirming loads.
        folder: for what servers write.
        keep: called with all that is known after each load that counts.
    """

    def __init__(
        self,
        model: Path,
        *,
        seconds: float,
        probe_s: float,
        rounds: int,
        folder: Path,
        keep: Callable[[Sequence[Held]], None],
    ) -> None:
        self._model, self._folder = model.resolve(), folder
        self._seconds, self._probe_s, self._rounds = seconds, probe_s, rounds
        self._keep = keep
        self._pictures = pictures()

    def compare(self, systems: Sequence[System], images: int) -> list[Held]:
        """What systems hold: each searched, then all confirmed in turns."""
        found = [self._searched(system, images) for system in systems]
        held = [
            Held(system.name, system.server, system.body, list(system.options), images, rate)
            for system, rate in zip(systems, found, strict=True)
        ]
        for number in range(self._rounds):
            for system, each in zip(systems, held, strict=True):
                self._confirm(system, each, number)
                self._keep(held)
        return held

    def overload(self, system: System, held: Held) -> None:
        """Offer twice what is held."""
        say(f"{system.name}, {held.images} images: twice the rate, {2 * held.rate:,.0f}/s")
        with self._server(system, held.images) as (server, requests):
            server.load(requests, held.rate / 2, self._probe_s)
            with server.watched() as held.memory:
                held.overload = server.load(requests, 2 * held.rate, self._seconds)

    def best_of(self, systems: Sequence[System], images: int) -> System:
        """Whichever bears most in short loads."""
        rates = {system: self._searched(system, images) for system in systems}
        return max(rates, key=lambda system: rates[system])

    def _searched(self, system: System, images: int) -> float:
        with self._server(system, images) as (server, requests):

            def holds(rate: float) -> bool:
                return is_held(server.load(requests, rate, self._probe_s))

            rate = search(holds, _FIRST_RATE[images])
        say(f"{system.name}, {images} images: {rate:,.0f}/s in loads of {self._probe_s:g} s")
        return rate

    def _confirm(self, system: System, held: Held, number: int) -> None:
        """One more load that is held; where it is not, all begin again at a lower rate."""
        with self._server(system, held.images) as (server, requests):
            while held.rate >= _LEAST_RATE and len(held.rounds) <= number:
                load = server.load(requests, held.rate, self._seconds)
                say(f"{system.name}, {held.images} images: {told(load)}")
                if is_held(load):
                    held.rounds.append(load)
                else:
                    held.rate *= _STEP_DOWN
                    held.rounds.clear()
                    time.sleep(1)

    @contextmanager
    def _server(self, system: System, images: int) -> Iterator[tuple[Server, Path]]:
        """A server that has answered already, and the file of its requests."""
        with (
            tempfile.TemporaryDirectory(dir=self._folder) as folder,
            system.started(self._model, Path(folder)) as server,
        ):
            requests = Path(folder) / "requests.json"
            made = system.requests(self._pictures, images)
            texts = [base64.b64encode(each).decode() for each in made]
            requests.write_text(json.dumps(texts), encoding="utf-8")
            first = server.load(requests, _FIRST_RATE[images] / 2, self._probe_s / 2)
            if first.statuses != {"200": first.sent}:
                raise AtelierError(f"{system.name} does not answer: statuses {first.statuses}")
            yield server, requests


def say(line: str) -> None:
    """Tell what is being done."""
    print(line, file=sys.stderr, flush=True)


def told(load: Load) -> str:
    """A load in a line."""
    others = {status: count for status, count in load.statuses.items() if status != "200"}
    errors = f", not 200: {others}" if others else ""
    return (
        f"{load.rate:,.0f}/s offered for {load.seconds:g} s, {load.goodput:,.0f}/s answered, "
        f"p50 {load.ok.p50:.1f} ms, p99 {load.ok.p99:.1f} ms, largest {load.ok.largest:.0f} ms, "
        f"client {load.client_cores:.2f} cores{errors}"
    )


def table(held: Sequence[Held]) -> str:
    """Rates side by side, each with how many times LitServe's it is."""
    lines = [
        "images  system                      requests/s   images/s   p50 ms   p99 ms  LitServe x"
    ]
    for each in held:
        peers = [h.rate for h in held if h.server == "LitServe" and h.images == each.images]
        times = f"{each.rate / max(peers):10.2f}" if peers and max(peers) else " " * 10
        worst = max((load.ok.p99 for load in each.rounds), default=float("nan"))
        middle = max((load.ok.p50 for load in each.rounds), default=float("nan"))
        lines.append(
            f"{each.images:6}  {each.system:<26}  {each.rate:10,.0f} "
            f"{each.rate * each.images:10,.0f}  {middle:7.1f}  {worst:7.1f}  {times}"
        )
    for each in held:
        if each.overload is not None and each.memory is not None and each.memory.bytes:
            load, memory = each.overload, each.memory.bytes
            lines.append(
                f"{each.system}, {each.images} images, at twice the rate: goodput "
                f"{load.goodput / each.rate:.0%} of it; 503 in p50 {load.busy.p50:.1f} ms, "
                f"p99 {load.busy.p99:.1f} ms; answers in p99 {load.ok.p99:.0f} ms; memory "
                f"{memory[0] / 2**20:.0f} MiB at first, {memory[-1] / 2**20:.0f} MiB at last, "
                f"statuses {load.statuses}"
            )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, measure, write the results, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, required=True, help="an exported file")
    parser.add_argument(
        "--images",
        type=int,
        nargs="+",
        choices=(1, BATCH),
        default=(1, BATCH),
        help="in a request; both by default",
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--probe-seconds", type=float, default=5.0, help="of a load of the search")
    parser.add_argument("--quick", action="store_true", help="short loads: for a first look")
    parser.add_argument("--no-peer", action="store_true", help="atelier alone")
    parser.add_argument(
        "--results", type=Path, help=f"default: {RESULTS.name} of this folder; quick, {QUICK}"
    )
    given = parser.parse_args(arguments)
    seconds, probe_s, rounds = given.seconds, given.probe_seconds, given.rounds
    if given.quick:
        seconds, probe_s, rounds = 5.0, 2.0, 1
    with tempfile.TemporaryDirectory() as folder:
        results = Results(
            given.results or (QUICK if given.quick else RESULTS),
            {
                "machine": describe_machine(resolve_device("cpu")),
                "peer": {} if given.no_peer else pinned_versions("litserve"),
                "model": given.model.name,
                "seconds": seconds,
                "probe_seconds": probe_s,
                "rounds": rounds,
                "p99_ms": P99_MS,
            },
        )
        benchmark = Benchmark(
            given.model,
            seconds=seconds,
            probe_s=probe_s,
            rounds=rounds,
            folder=Path(folder),
            keep=results.keep,
        )
        for images in given.images:
            systems = [System("atelier, JSON", "json", "atelier", NO_LOG)]
            if images == 1:
                systems.insert(0, System("atelier", "png", "atelier", NO_LOG))
            systems.append(System("atelier with log", systems[0].body, "atelier", OWN_LOG))
            if not given.no_peer:
                peers = [System("LitServe", "json", "LitServe", words) for words in LITSERVE]
                systems.append(benchmark.best_of(peers[:2] if given.quick else peers, images))
            found = benchmark.compare(systems, images)
            benchmark.overload(systems[0], found[0])
            results.finish(images, found)
            print(table(found), flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the servers end with it
    try:
        main()
    except AtelierError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; the loads that count so far are in the .partial.json of the results")
