"""Batches: what is gathered, what is dropped, and who waits for what."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from atelier.serving.batching import Batcher

PATIENCE_S = 20.0


@dataclass(eq=False)
class Item:
    model: Any
    number: int
    over: bool = False
    begun: bool = False

    def begin(self) -> None:
        self.begun = True


class Bench:
    """A batcher whose workers wait until they are let go, and what came back from it."""

    def __init__(self, **options: Any) -> None:
        self.batches: list[list[int]] = []
        self.answers: list[Any] = []
        self.go = threading.Semaphore(0)
        self.changed = asyncio.Event()
        self.threads: set[str] = set()
        settings: dict[str, Any] = {"workers": 1, "max_batch": 4, "max_delay_s": 30.0, **options}
        self.batcher: Batcher[Item, Any] = Batcher(self._compute, self._finished, **settings)

    def _compute(self, model: Any, batch: Sequence[Item]) -> str:
        self.threads.add(threading.current_thread().name)
        assert all(item.model is model for item in batch)
        assert self.go.acquire(timeout=PATIENCE_S)
        if model == "broken":
            raise RuntimeError("no answer")
        return f"{model}: {len(batch)}"

    def _finished(self, batch: list[Item], answers: Any) -> None:
        self.batches.append([item.number for item in batch])
        self.answers.append(answers)
        self.changed.set()

    def put(self, *numbers: int, model: Any = "a") -> list[Item]:
        items = [Item(model, number) for number in numbers]
        for item in items:
            self.batcher.put(item)
        return items

    async def finished(self, batches: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.batches) < batches:
                self.changed.clear()
                await self.changed.wait()

    async def turns(self, number: int = 5) -> None:
        for _ in range(number):
            await asyncio.sleep(0)


@asynccontextmanager
async def bench(**options: Any) -> Any:
    made = Bench(**options)
    made.batcher.start()
    try:
        yield made
    finally:
        made.go.release(1000)
        await made.batcher.stop()


def test_what_arrives_together_is_one_batch_and_nobody_waits_for_more() -> None:
    async def run() -> None:
        async with bench() as made:
            made.put(0, 1, 2)
            made.go.release()
            await made.finished(1)
            assert made.batches == [[0, 1, 2]]
            assert made.answers == ["a: 3"]
            assert made.batcher.waiting == 0

    asyncio.run(run())


def test_what_arrives_while_the_workers_compute_gathers_up_to_the_limit() -> None:
    async def run() -> None:
        async with bench() as made:
            made.put(0)
            await made.turns()
            for number in range(1, 7):  # each by itself, as of several clients
                made.put(number)
                await made.turns()
            assert made.batcher.waiting == 6
            made.go.release(3)
            await made.finished(3)
            assert made.batches == [[0], [1, 2, 3, 4], [5, 6]]

    asyncio.run(run())


def test_a_batch_waits_for_images_that_are_being_decoded_and_goes_when_they_are() -> None:
    async def run() -> None:
        async with bench() as made:
            made.batcher.expect("a")
            made.put(0)
            await made.turns()
            assert made.batcher.waiting == 2
            made.batcher.put(Item("a", 1), expected=True)
            made.go.release()
            await made.finished(1)
            assert made.batches == [[0, 1]]

    asyncio.run(run())


def test_a_batch_does_not_wait_for_an_image_that_was_given_up() -> None:
    async def run() -> None:
        async with bench() as made:
            made.batcher.expect("a")
            made.put(0)
            await made.turns()
            made.batcher.give_up("a")
            made.go.release()
            await made.finished(1)
            assert made.batches == [[0]]
            assert made.batcher.waiting == 0

    asyncio.run(run())


def test_a_batch_waits_no_longer_than_the_delay() -> None:
    async def run() -> None:
        async with bench(max_delay_s=0.01) as made:
            made.batcher.expect("a")
            made.put(0)
            made.go.release()
            await made.finished(1)
            assert made.batches == [[0]]
            assert made.batcher.waiting == 1

    asyncio.run(run())


def test_what_nobody_waits_for_any_more_is_not_computed() -> None:
    async def run() -> None:
        async with bench() as made:
            made.put(0)
            await made.turns()
            items = made.put(1, 2, 3)
            items[0].over = items[2].over = True
            made.go.release(2)
            await made.finished(2)
            assert made.batches == [[0], [2]]
            assert [item.begun for item in items] == [False, True, False]

    asyncio.run(run())


def test_models_are_not_mixed_and_who_waited_longest_comes_first() -> None:
    async def run() -> None:
        async with bench() as made:
            made.put(0)
            await made.turns()
            made.put(1, model="b")
            made.put(2, 3, model="a")
            made.put(4, model="b")
            made.go.release(3)
            await made.finished(3)
            assert made.batches == [[0], [1, 4], [2, 3]]

    asyncio.run(run())


def test_a_batch_that_fails_is_told_and_the_worker_goes_on() -> None:
    async def run() -> None:
        async with bench() as made:
            made.put(0, model="broken")
            made.put(1)
            made.go.release(2)
            await made.finished(2)
            assert isinstance(made.answers[0], RuntimeError)
            assert made.answers[1] == "a: 1"

    asyncio.run(run())


def test_workers_compute_at_the_same_time() -> None:
    async def run() -> None:
        async with bench(workers=2, max_batch=1) as made:
            made.put(0, 1, 2)
            async with asyncio.timeout(PATIENCE_S):
                while len(made.threads) < 2:
                    await asyncio.sleep(0.001)
            assert made.batcher.waiting == 1
            assert made.batcher.oldest_batch_s > 0
            made.go.release(3)
            await made.finished(3)
            assert sorted(made.batches) == [[0], [1], [2]]
            assert made.batcher.oldest_batch_s == 0

    asyncio.run(run())


def test_idle_workers_share_many_images_and_few_stay_together() -> None:
    async def run() -> None:
        async with bench(workers=2, max_batch=32) as made:
            made.go.release(4)
            made.put(*range(32))
            await made.finished(2)
            assert sorted(made.batches) == [[*range(16)], [*range(16, 32)]]
            await made.turns()
            made.put(*range(8))
            await made.finished(3)
            assert made.batches[2] == [*range(8)]

    asyncio.run(run())


def test_what_one_worker_alone_is_free_for_is_not_shared() -> None:
    async def run() -> None:
        async with bench(workers=2, max_batch=32) as made:
            made.put(0)
            await made.turns()
            made.put(*range(1, 33))
            made.go.release(2)
            await made.finished(2)
            assert sorted(made.batches) == [[0], [*range(1, 33)]]

    asyncio.run(run())


@pytest.mark.skipif(
    len(getattr(os, "sched_getaffinity", lambda _: [0])(0)) < 2, reason="needs two cores"
)
def test_each_worker_keeps_to_a_core_of_its_own() -> None:
    cores: list[set[int]] = []

    def compute(model: Any, batch: Sequence[Item]) -> None:
        cores.append(os.sched_getaffinity(0))
        ready.wait(PATIENCE_S)

    ready = threading.Barrier(2)

    async def run() -> None:
        done = asyncio.Event()
        left = [None, None]

        def finished(batch: list[Item], answers: Any) -> None:
            left.pop()
            if not left:
                done.set()

        batcher: Batcher[Item, Any] = Batcher(
            compute, finished, workers=2, max_batch=1, max_delay_s=0.0
        )
        batcher.start()
        batcher.put(Item("a", 0))
        batcher.put(Item("a", 1))
        async with asyncio.timeout(PATIENCE_S):
            await done.wait()
        await batcher.stop()

    before = os.sched_getaffinity(0)
    asyncio.run(run())
    assert sorted(map(len, cores)) == [1, 1]
    assert cores[0] != cores[1]
    assert os.sched_getaffinity(0) == before
