"""Images of many requests, gathered into batches and answered by threads that each own a core.

All bookkeeping is done in the event loop's thread, so nothing is locked: a worker is handed a whole
batch and hands back whole answers. What arrives while the workers compute gathers by itself, and
workers that are free share at once what there is.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from ..cores import keep_to, usable_cores
from .registry import ServedModel

_log = logging.getLogger(__name__)
_WORTH_SHARING = 8  # images: fewer are computed sooner together than by several workers


class Waiting(Protocol):
    """One image that waits for a model."""

    @property
    def model(self) -> ServedModel:
        """The version that it was admitted with, and will be answered by."""

    @property
    def over(self) -> bool:
        """Whether nobody waits for its answer any more: it is dropped and not computed."""

    def begin(self) -> None:
        """A worker has it now."""


I = TypeVar("I", bound=Waiting)  # noqa: E741 - of item
A = TypeVar("A")

Compute = Callable[[ServedModel, Sequence[I]], A]


@dataclass(eq=False, slots=True)
class _Line(Generic[I]):
    """The images that wait for one version of a model, and how many more are being decoded."""

    items: deque[tuple[float, I]] = field(default_factory=deque)
    coming: int = 0


@dataclass(eq=False, slots=True)
class _Worker(Generic[I]):
    """A thread, the core that it is pinned to if there are several, and its next batch."""

    core: int | None
    thread: threading.Thread | None = None
    inbox: queue.SimpleQueue[tuple[ServedModel, list[I]] | None] = field(
        default_factory=queue.SimpleQueue
    )
    busy_since: float | None = None


class Batcher(Generic[I, A]):
    """Gathers images and has them computed.

    `start`, `stop` and all other methods belong to the event loop's thread.

    Args:
        compute: run by a worker: a version of a model and its images to answers.
        finished: called in the event loop's thread with a batch and its answers, or with what
            `compute` raised.
        workers: threads; None is one for each core.
        max_batch: images in a batch.
        max_delay_s: how long the first image of a batch that is not full waits for images that are
            being decoded.
    """

    def __init__(
        self,
        compute: Compute[I, A],
        finished: Callable[[list[I], A | BaseException], None],
        *,
        workers: int | None,
        max_batch: int,
        max_delay_s: float,
    ) -> None:
        self._compute, self._finished = compute, finished
        self._max_batch, self._max_delay_s = max_batch, max_delay_s
        self._lines: dict[ServedModel, _Line[I]] = {}
        cores = usable_cores()
        count = workers or len(cores)
        several = count > 1 and len(cores) > 1
        # From the last core down: other programs tend to crowd on the first.
        own = itertools.islice(itertools.cycle(cores[::-1]), count)
        self._workers = [_Worker[I](core if several else None) for core in own]
        self._idle: list[_Worker[I]] = []
        self._waiting = 0
        self._soon: asyncio.Handle | None = None
        self._later: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start the workers; needs a running event loop."""
        self._loop = asyncio.get_running_loop()
        for number, worker in enumerate(self._workers):
            worker.thread = threading.Thread(
                target=self._work, args=(worker,), name=f"model-{number}", daemon=True
            )
            worker.thread.start()
        self._idle = list(self._workers)

    async def stop(self, timeout_s: float = 5.0) -> None:
        """End the workers after the batches that they have; whatever still waits is left."""
        for worker in self._workers:
            worker.inbox.put(None)

        def join() -> None:
            until = time.monotonic() + timeout_s
            for worker in self._workers:
                if worker.thread is not None:
                    worker.thread.join(max(0.0, until - time.monotonic()))

        await asyncio.to_thread(join)

    @property
    def waiting(self) -> int:
        """Images that wait for a worker, those that are being decoded included."""
        return self._waiting

    def waiting_for(self, model: ServedModel) -> int:
        """Images that wait for one version of a model."""
        line = self._lines.get(model)
        return 0 if line is None else len(line.items) + line.coming

    @property
    def oldest_batch_s(self) -> float:
        """For how long the worker that has been busy longest has had its batch."""
        since = [worker.busy_since for worker in self._workers if worker.busy_since is not None]
        return time.monotonic() - min(since) if since else 0.0

    def expect(self, model: ServedModel) -> None:
        """Count an image that will be `put` or given up once it is decoded."""
        self._line(model).coming += 1
        self._waiting += 1

    def give_up(self, model: ServedModel) -> None:
        """An image that was expected will not come."""
        self._line(model).coming -= 1
        self._waiting -= 1
        self._schedule()

    def put(self, item: I, *, expected: bool = False) -> None:
        """Let an image wait for a worker."""
        line = self._line(item.model)
        line.items.append((time.monotonic(), item))
        if expected:
            line.coming -= 1
        else:
            self._waiting += 1
        self._schedule()

    def _line(self, model: ServedModel) -> _Line[I]:
        line = self._lines.get(model)
        if line is None:
            line = self._lines[model] = _Line()
        return line

    def _schedule(self) -> None:
        # After the other requests that this turn of the loop brings, so that they gather.
        if self._soon is None and self._idle:
            self._soon = self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        """Hand batches to idle workers while there are both."""
        for handle in (self._soon, self._later):
            if handle is not None:
                handle.cancel()
        self._soon = self._later = None
        while self._idle:
            found = self._ripest()
            if found is None:
                return
            model, wait_s = found
            if wait_s > 0:
                self._later = self._loop.call_later(wait_s, self._dispatch)
                return
            batch = self._take(model)
            if batch:
                worker = self._idle.pop()
                worker.busy_since = time.monotonic()
                worker.inbox.put((model, batch))

    def _ripest(self) -> tuple[ServedModel, float] | None:
        """The version whose first image has waited longest, and for how long it may wait on."""
        best: tuple[ServedModel, float] | None = None
        now = time.monotonic()
        for model, line in list(self._lines.items()):
            if not line.items:
                if not line.coming:
                    del self._lines[model]  # so that a version that was replaced can go
                continue
            since = line.items[0][0]
            gathers = line.coming and len(line.items) < self._max_batch
            wait_s = since + self._max_delay_s - now if gathers else since - now
            if best is None or wait_s < best[1]:
                best = model, wait_s
        return best

    def _take(self, model: ServedModel) -> list[I]:
        """As many as a batch may have, or a fair share for each idle worker if that is less."""
        items = self._lines[model].items
        share = max(-(-len(items) // len(self._idle)), _WORTH_SHARING)
        batch: list[I] = []
        while items and len(batch) < min(share, self._max_batch):
            _, item = items.popleft()
            self._waiting -= 1
            if not item.over:
                item.begin()
                batch.append(item)
        return batch

    def _work(self, worker: _Worker[I]) -> None:
        if worker.core is not None:
            keep_to([worker.core])
        while (work := worker.inbox.get()) is not None:
            model, batch = work
            answers: A | BaseException
            try:
                answers = self._compute(model, batch)
            except BaseException as error:  # the batch is answered whatever happens
                answers = error
            try:
                self._loop.call_soon_threadsafe(self._done, worker, batch, answers)
            except RuntimeError:  # the loop was stopped hard
                return

    def _done(self, worker: _Worker[I], batch: list[I], answers: A | BaseException) -> None:
        worker.busy_since = None
        self._idle.append(worker)
        self._dispatch()  # before the answers are sent: the worker need not wait for that
        self._finished(batch, answers)
