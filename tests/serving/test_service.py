"""The service without HTTP: room, deadlines, new versions in between, the log, and stopping."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from atelier.exported import Answers, ExportedModel
from atelier.serving.problems import Problem
from atelier.serving.requests import ImageAnswer
from atelier.serving.service import Service
from atelier.serving.settings import ServeSettings
from tests.serving.tiny_export import CLASSES, write_tiny_export

PATIENCE_S = 20.0


def picture(seed: int = 0, side: int = 28, format: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 100, (side, side), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format)
    return file.getvalue()


class Held:
    """A model that answers when it is let to, and tells what it was asked."""

    def __init__(self, model: ExportedModel) -> None:
        self._model = model
        self.go, self.asked = threading.Semaphore(0), threading.Semaphore(0)
        self.sizes: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def answer(self, images: Any) -> Answers:
        self.sizes.append(len(images))
        self.asked.release()
        assert self.go.acquire(timeout=PATIENCE_S)
        return self._model.answer(images)

    async def is_asked(self) -> None:
        assert await asyncio.to_thread(self.asked.acquire, timeout=PATIENCE_S)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return write_tiny_export(tmp_path / "tiny.onnx")


@asynccontextmanager
async def serving(export: Path, **options: Any) -> AsyncIterator[Service]:
    told: dict[str, Any] = {"models": {"tiny": export}, "workers": 1, "log": None, "page": False}
    service = Service(ServeSettings(**{**told, **options}))
    await service.start()
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield service
    finally:
        await service.stop()


def hold(service: Service) -> Held:
    """Let the model wait before each answer."""
    place = service.models._places["tiny"]
    assert place.current is not None
    held = Held(place.current.model)
    place.current = type(place.current)("tiny", held, place.current.loaded)  # type: ignore[arg-type]
    return held


def test_answers_are_those_of_the_model(export: Path) -> None:
    async def run() -> None:
        images = [picture(0), picture(1, 28, "BMP"), picture(2, 400), picture(3, 90, "JPEG")]
        async with serving(export) as service:
            outcome = await service.predict(images, top_k=2, embed=True)
        model = ExportedModel(export)
        expected = model.answer(np.stack([model.read(image).pixels for image in images]))
        assert (outcome.model, outcome.version, outcome.logged) == ("tiny", model.version, False)
        for answer, probs, embedding in zip(
            outcome.images, expected.probs, expected.embedding, strict=True
        ):
            assert isinstance(answer, ImageAnswer)
            assert [name for name, _ in answer.ranked] == [
                CLASSES[place] for place in np.argsort(-probs)[:2]
            ]
            assert [share for _, share in answer.ranked] == pytest.approx(sorted(probs)[:0:-1])
            assert answer.embedding == pytest.approx(embedding, rel=1e-5)

    asyncio.run(run())


def test_unknown_is_what_the_threshold_says(tmp_path: Path) -> None:
    async def run() -> None:
        export = write_tiny_export(tmp_path / "strict.onnx", threshold=1.0)
        async with serving(export) as service:
            (answer,) = (await service.predict([picture()])).images
        assert isinstance(answer, ImageAnswer)
        assert answer.unknown == (answer.ranked[0][1] < 1)

    asyncio.run(run())


def test_a_bad_image_among_others_is_told_in_its_place(export: Path) -> None:
    async def run() -> None:
        cut_off = picture(5)[:60]
        async with serving(export) as service:
            outcome = await service.predict([b"hello", picture(), cut_off, b""])
        kinds = [getattr(answer, "kind", "answered") for answer in outcome.images]
        assert kinds == [
            "unsupported-media-type",
            "answered",
            "unreadable-image",
            "unreadable-image",
        ]

    asyncio.run(run())


def test_several_clients_share_a_batch(export: Path) -> None:
    async def run() -> None:
        async with serving(export, max_batch=8) as service:
            held = hold(service)
            first = asyncio.create_task(service.predict([picture()]))
            await held.is_asked()
            others = [asyncio.create_task(service.predict([picture(n)] * n)) for n in (1, 2, 3)]
            await asyncio.sleep(0)
            held.go.release(9)
            outcomes = await asyncio.gather(first, *others)
        assert held.sizes == [1, 6]
        assert [len(outcome.images) for outcome in outcomes] == [1, 1, 2, 3]

    asyncio.run(run())


def test_more_than_the_queue_holds_is_refused_at_once(export: Path) -> None:
    async def run() -> None:
        async with serving(export, queue_size=4, max_batch=2) as service:
            held = hold(service)
            inside = [asyncio.create_task(service.predict([picture()]))]
            await held.is_asked()
            inside.append(asyncio.create_task(service.predict([picture()] * 3)))
            await asyncio.sleep(0)
            with pytest.raises(Problem) as met:
                await service.predict([picture()] * 2)
            assert (met.value.status, met.value.headers) == (503, {"Retry-After": "1"})
            inside.append(asyncio.create_task(service.predict([picture()])))
            await asyncio.sleep(0)
            assert service.full
            held.go.release(99)
            await asyncio.gather(*inside)
            assert not service.full
            # What alone is more than the queue holds must be taken some time.
            assert len((await service.predict([picture()] * 6)).images) == 6

    asyncio.run(run())


def test_what_has_waited_too_long_is_refused_and_not_computed(export: Path) -> None:
    async def run() -> None:
        async with serving(export, deadline_ms=50.0) as service:
            held = hold(service)
            first = asyncio.create_task(service.predict([picture()]))
            await held.is_asked()
            second = asyncio.create_task(service.predict([picture()] * 3))
            with pytest.raises(Problem) as met:
                await second
            assert (met.value.kind, met.value.headers) == ("too-late", {"Retry-After": "1"})
            held.go.release(2)
            await first  # it had been begun in time
            third = asyncio.create_task(service.predict([picture()]))
            await third
        assert held.sizes == [1, 1]

    asyncio.run(run())


def test_requests_finish_on_the_version_that_they_were_admitted_with(export: Path) -> None:
    async def run() -> None:
        async with serving(export) as service:
            held = hold(service)
            old = service.models.get().version
            first = asyncio.create_task(service.predict([picture()]))
            await held.is_asked()
            second = asyncio.create_task(service.predict([picture()]))
            await asyncio.sleep(0)
            write_tiny_export(export.with_suffix(".new"), seed=1).replace(export)
            service.models.refresh()
            last = asyncio.create_task(service.predict([picture()]))
            await asyncio.sleep(0)
            held.go.release(2)
            versions = [(await task).version for task in (first, second, last)]
        assert versions[:2] == [old, old]
        assert versions[2] == ExportedModel(export).version != old

    asyncio.run(run())


def test_a_new_file_is_found_by_itself(export: Path) -> None:
    async def run() -> None:
        async with serving(export, watch_s=0.01) as service:
            old = service.models.get().version
            write_tiny_export(export.with_suffix(".new"), seed=1).replace(export)
            while (await service.predict([picture()])).version == old:
                await asyncio.sleep(0.01)

    asyncio.run(run())


def test_a_new_file_is_looked_for_when_asked(export: Path) -> None:
    async def run() -> None:
        async with serving(export, watch_s=3600.0) as service:
            old = service.models.get().version
            write_tiny_export(export.with_suffix(".new"), seed=1).replace(export)
            service.look_at_models()
            while (await service.predict([picture()])).version == old:
                await asyncio.sleep(0.01)

    asyncio.run(run())


def test_a_model_that_fails_is_an_error_and_the_service_goes_on(export: Path) -> None:
    async def run() -> None:
        async with serving(export) as service:
            held = hold(service)
            held.answer = lambda _: 1 / 0  # type: ignore[method-assign]
            with pytest.raises(Problem) as met:
                await service.predict([picture()])
            assert met.value.status == 500
            assert "division" not in str(met.value.content())
            del held.answer
            held.go.release()
            assert (await service.predict([picture()])).images

    asyncio.run(run())


def test_a_stop_answers_what_was_accepted(export: Path) -> None:
    async def run() -> None:
        async with serving(export) as service:
            held = hold(service)
            task = asyncio.create_task(service.predict([picture()]))
            await held.is_asked()
            assert service.unready is None
            held.go.release()
            await task
            await service.stop()
            assert service.unready is not None
            with pytest.raises(Problem) as met:
                await service.predict([picture()])
            assert met.value.status == 503

    asyncio.run(run())


class Log:
    """A log that writes when it is let to."""

    pending = 0

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.futures: list[Future[bool]] = []

    def record(self, rows: Sequence[Any]) -> Future[bool]:
        self.rows.extend(rows)
        self.futures.append(Future())
        return self.futures[-1]

    def close(self) -> None:
        for future in self.futures:
            if not future.done():
                future.set_result(False)


@pytest.mark.parametrize("committed", [True, False, None])
def test_logged_is_what_the_log_has_committed(
    export: Path, monkeypatch: pytest.MonkeyPatch, committed: bool | None
) -> None:
    log = Log()
    monkeypatch.setattr("atelier.monitoring.log.PredictionLog", lambda *_, **__: log)

    async def run() -> None:
        wait_ms = 1000.0 if committed is not None else 5.0
        async with serving(export, log="sqlite:///:memory:", log_wait_ms=wait_ms) as service:
            task = asyncio.create_task(
                service.predict([picture(0), b"bad", picture(1)], client="shop", request_id="r" * 8)
            )
            while not log.futures:
                await asyncio.sleep(0.001)
            if committed is not None:
                assert not task.done()
                log.futures[0].set_result(committed)
            outcome = await task
        assert outcome.logged is (committed is True)
        assert [(row.request_id, row.image_index, row.client) for row in log.rows] == [
            ("r" * 8, 0, "shop"),
            ("r" * 8, 2, "shop"),
        ]
        assert [row.predicted for row in log.rows] == [
            answer.ranked[0][0] for answer in outcome.images if isinstance(answer, ImageAnswer)
        ]
        assert all(row.latency_ms > 0 and len(row.image_sha256) == 64 for row in log.rows)

    asyncio.run(run())
