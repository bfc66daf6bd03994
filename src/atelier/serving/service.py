"""The service without HTTP: images in, answers out, for the API and the page alike."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import PIL.Image

from ..cores import usable_cores
from ..data.images import LoadedImage
from ..errors import LogError
from .batching import Batcher
from .computing import BatchAnswers, Computation, is_small, read_all
from .problems import Problem
from .registry import Registry, ServedModel
from .requests import Image, ImageAnswer, Outcome, Request
from .settings import ServeSettings

if TYPE_CHECKING:
    from ..monitoring.log import PredictionLog
    from ..monitoring.metrics import ServiceMetrics

_log = logging.getLogger(__name__)

_SWEEP_S = 0.02  # how often deadlines are looked at
_STUCK_S = 30.0  # a batch that takes longer than this will not end
_LOG_ANSWER_S = 5.0  # for a client who waits for the log itself
WORK = ("/v1/predict", "/v1/embed")


class Service:
    """Models, workers, metrics and log, and the way of a request through them.

    `load`, then `start` in the event loop; all other methods belong to that loop.

    Args:
        settings: of the service.

    Attributes:
        models: by name.
        metrics: what is counted.
        log: where answers are put down; None keeps none.

    Raises:
        ExtraError: a library is not installed.
        LogError: the log cannot be used.
    """

    def __init__(self, settings: ServeSettings) -> None:
        # Here, for both lead to optional libraries.
        from ..monitoring.log import PredictionLog
        from ..monitoring.metrics import ServiceMetrics

        self.settings = settings
        self.metrics: ServiceMetrics = ServiceMetrics()
        self.models = Registry(
            settings.models, batch_sizes={1, settings.max_batch}, on_loaded=self._tell_loaded
        )
        self.log: PredictionLog | None = None
        if settings.log is not None:
            self.log = PredictionLog(
                settings.log,
                retention_days=settings.log_retention_days,
                on_written=self.metrics.log_written,
                on_lost=self.metrics.log_lost,
                on_feedback=self.metrics.feedback,
            )
            log = self.log
            self.metrics.log_pending(lambda: log.pending)
        self._batcher: Batcher[Image, BatchAnswers] = Batcher(
            Computation(settings.limits, self.log, embeddings=settings.log_embeddings),
            self._answered,
            workers=settings.workers,
            max_batch=settings.max_batch,
            max_delay_s=settings.max_delay_ms / 1000,
        )
        self._open: deque[Request] = deque()
        self._running = False
        self._look = asyncio.Event()

    def load(self) -> None:
        """Load the models.

        Raises:
            ExportError: a file is missing, damaged or no export.
        """
        self.models.load()
        PIL.Image.init()  # its decoders, which the first request would wait for

    async def start(self) -> None:
        """Load what is not loaded yet, and take requests.

        Raises:
            ExportError: a file is missing, damaged or no export.
        """
        await asyncio.to_thread(self.load)
        self._loop = asyncio.get_running_loop()
        # Large images are decoded here, where they keep no small one waiting.
        self._decoders = ThreadPoolExecutor(len(usable_cores()), "decoder")
        self._watcher = ThreadPoolExecutor(1, "models")
        self._batcher.start()
        self._running = True
        self._tasks = [asyncio.create_task(self._sweep()), asyncio.create_task(self._watch())]

    async def stop(self) -> None:
        """Stop, after the requests that were accepted have been answered."""
        if not self._running:
            return
        self._running = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._batcher.stop()
        self._decoders.shutdown(wait=False, cancel_futures=True)
        self._watcher.shutdown(wait=False, cancel_futures=True)
        for request in self._open:
            request.fail(Problem("stopping"))
        if self.log is not None:
            await asyncio.to_thread(self.log.close)

    def look_at_models(self) -> None:
        """Look for new versions now, rather than at the next turn."""
        self._look.set()

    @property
    def full(self) -> bool:
        """Whether the queue takes no more."""
        return self._batcher.waiting >= self.settings.queue_size

    @property
    def unready(self) -> str | None:
        """Why the service should get no requests now; None where it should."""
        if not self._running:
            return "it is starting or stopping"
        if self._batcher.oldest_batch_s > _STUCK_S:
            return "a worker does not come back from its batch"
        return None

    def refuse_if_full(self, images: int = 1) -> None:
        """Raise a `Problem` if so many images find no room, before anything is done for them.

        What alone is more than the queue holds is taken where the queue is empty.
        """
        waiting = self._batcher.waiting
        if waiting and waiting + images > self.settings.queue_size:
            self.metrics.refused("queue")
            raise Problem("busy", "the queue is full", headers=_soon())

    async def predict(
        self,
        images: Sequence[bytes],
        *,
        model: str | None = None,
        client: str = "",
        request_id: str | None = None,
        top_k: int | None = None,
        embed: bool = False,
        log: bool = True,
    ) -> Outcome:
        """Answer the images of one request.

        Args:
            images: the bytes of image files.
            model: a name; None is the default.
            client: who asks, for the log.
            request_id: by which the client may speak of it later; None makes one.
            top_k: how many classes of each image are told; None is all.
            embed: whether embeddings are wanted.
            log: whether the answers are put down, where there is a log.

        Raises:
            Problem: no such model, the queue is full, or the deadline has passed. What is wrong
                with one image is in the outcome.
        """
        chosen = self.models.get(model)
        if not self._running:
            raise Problem("stopping", headers=_soon())
        self.refuse_if_full(len(images))
        request = Request(
            model=chosen,
            count=len(images),
            request_id=request_id or secrets.token_hex(16),
            client=client,
            top_k=len(chosen.model.classes) if top_k is None else top_k,
            embed=embed,
            log=log,
        )
        self._open.append(request)
        for index, data in enumerate(images):
            self._admit(Image(request, index, data))
        try:
            return await request.done
        except asyncio.CancelledError:
            request.over = True
            raise

    async def feedback(self, request_id: str, image_index: int, label: str) -> None:
        """Put down the true class of an image that was answered.

        Raises:
            Problem: there is no such answer in the log, no model knows the class, or the log cannot
                be written now.
        """
        log = self._kept_log()
        known = {name for model in self.models.served for name in model.model.classes}
        if label not in known:
            raise Problem("invalid-request", "no model has a class of this label")
        noted: bool | None = False
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOG_ANSWER_S):
                noted = await asyncio.wrap_future(log.feedback(request_id, image_index, label))
        if noted is None:
            raise Problem("unknown-prediction", "the log has no such image of such a request")
        if not noted:
            raise _log_away()

    async def forget(self, request_id: str) -> int:
        """Delete a request from the log: how many predictions were deleted.

        Raises:
            Problem: there is no such request in the log, or the log cannot be written now.
        """
        log = self._kept_log()
        try:
            deleted = await asyncio.to_thread(log.delete, request_id, timeout=_LOG_ANSWER_S)
        except LogError as error:
            raise _log_away() from error
        if not deleted:
            raise Problem("unknown-prediction", "the log has no such request")
        return deleted

    def scrape(self) -> tuple[bytes, str]:
        """The metrics for Prometheus, and their content type."""
        for model in self.models.served:
            self.metrics.queued(model.name, self._batcher.waiting_for(model))
        return self.metrics.render()

    def _admit(self, image: Image) -> None:
        model = image.model
        if is_small(image.data):
            self._batcher.put(image)  # the worker decodes it: one step between threads less
            return
        self._batcher.expect(model)
        limits = self.settings.limits

        def decode() -> LoadedImage | Problem | None:
            return None if image.over else read_all(model, [image.data], limits)[0]

        def decoded(future: Future[LoadedImage | Problem | None]) -> None:
            with suppress(RuntimeError):  # the loop was stopped hard
                self._loop.call_soon_threadsafe(self._decoded, image, future)

        self._decoders.submit(decode).add_done_callback(decoded)

    def _decoded(self, image: Image, future: Future[LoadedImage | Problem | None]) -> None:
        if isinstance(loaded := None if future.cancelled() else future.result(), LoadedImage):
            image.loaded = loaded
            self._batcher.put(image, expected=True)
            return
        self._batcher.give_up(image.model)
        if loaded is not None:
            image.request.settle(image.index, loaded)

    def _answered(self, batch: list[Image], result: BatchAnswers | BaseException) -> None:
        """A worker has come back."""
        model = batch[0].model
        if isinstance(result, BaseException):
            _log.error("a batch for %s failed", model.name, exc_info=result)
            for image in batch:
                image.request.fail(Problem("internal"))
            return
        self._count(model, batch, result)
        if result.logged is None:
            self._settle(batch, result, logged=False)
            return
        start = time.monotonic()
        waited = self._loop.create_future()

        def settle(future: asyncio.Future[bool]) -> None:
            late.cancel()
            self.metrics.stage("log", time.monotonic() - start)
            self._settle(batch, result, logged=future.result())

        def tell(committed: bool) -> None:
            if not waited.done():
                waited.set_result(committed)

        def written(future: Future[bool]) -> None:
            with suppress(RuntimeError):  # the loop was stopped hard
                self._loop.call_soon_threadsafe(tell, future.result())

        waited.add_done_callback(settle)
        late = self._loop.call_later(self.settings.log_wait_ms / 1000, tell, False)
        result.logged.add_done_callback(written)

    def _settle(self, batch: list[Image], result: BatchAnswers, *, logged: bool) -> None:
        for image, answer in zip(batch, result.answers, strict=True):
            kept = logged and image.request.log and isinstance(answer, ImageAnswer)
            image.request.settle(image.index, answer, logged=kept)

    def _count(self, model: ServedModel, batch: list[Image], result: BatchAnswers) -> None:
        metrics, name, version = self.metrics, model.name, model.version
        metrics.batch(name, len(batch))
        metrics.stage("decode", result.decode_s)
        metrics.stage("model", result.model_s)
        for image, answer in zip(batch, result.answers, strict=True):
            if image.index == 0 and image.request.started is not None:
                metrics.stage("queue", image.request.started - image.request.arrived)
            if isinstance(answer, ImageAnswer) and image.request.log:
                predicted, share = answer.ranked[0]
                metrics.answered(name, version, predicted, share, answer.unknown)

    async def _sweep(self) -> None:
        """Refuse what has waited too long and no worker has yet."""
        allowed_s = self.settings.deadline_ms / 1000
        while True:
            await asyncio.sleep(_SWEEP_S)
            latest = time.monotonic() - allowed_s
            while self._open and (self._open[0].done.done() or self._open[0].arrived < latest):
                request = self._open.popleft()
                if not (request.done.done() or request.started is not None):
                    self.metrics.refused("deadline")
                    request.fail(Problem("too-late", headers=_soon()))

    async def _watch(self) -> None:
        """Look for new versions of the models, now and then or when asked."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.settings.watch_s):
                    await self._look.wait()
            self._look.clear()
            await self._loop.run_in_executor(self._watcher, self.models.refresh)

    def _tell_loaded(self, model: ServedModel) -> None:
        self.metrics.model_loaded(model.name, model.version)

    def _kept_log(self) -> PredictionLog:
        if self.log is None:
            raise Problem("unknown-prediction", "this service keeps no log")
        return self.log


def _log_away() -> Problem:
    return Problem("busy", "the log cannot be written now", headers=_soon(5))


def _soon(seconds: int = 1) -> dict[str, str]:
    return {"Retry-After": str(seconds)}
