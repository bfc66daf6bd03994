"""Who is let in, and how many at a time."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from atelier.serving.admission import Admission
from atelier.serving.limits import Limits


class Metrics:
    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def refused(self, reason: str) -> None:
        self.told.append((reason,))

    def request(self, route: str, status: int) -> None:
        self.told.append((route, status))


@pytest.fixture
def service() -> Any:
    settings = SimpleNamespace(limits=Limits(max_requests=3))
    return SimpleNamespace(full=False, settings=settings, metrics=Metrics())


@pytest.mark.parametrize("path", [b"/v1/predict", b"/v1/embed", b"/v1/predict?top_k=1"])
def test_work_is_turned_away_where_there_is_no_room_and_counted(service: Any, path: bytes) -> None:
    admission = Admission(service)
    admission.inside = 2
    assert not admission.turns_away(path)
    assert service.metrics.told == []
    admission.inside = 3
    assert admission.turns_away(path)
    assert service.metrics.told == [("queue",), (path.partition(b"?")[0].decode(), 503)]
    admission.inside, service.full = 0, True
    assert admission.turns_away(path)


@pytest.mark.parametrize("path", [b"/healthz", b"/readyz", b"/metrics", b"/", b"/v1/predictx"])
def test_what_costs_little_is_never_turned_away(service: Any, path: bytes) -> None:
    service.full = True
    assert not Admission(service).turns_away(path)


def test_a_moment_after_a_refusal_fewer_find_room(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crowd that comes at once has the whole room; one that stays has a part of it."""
    now = 100.0
    monkeypatch.setattr("atelier.serving.admission.time.monotonic", lambda: now)
    service.settings.limits = Limits(max_requests=400)
    admission = Admission(service)
    admission.inside = 399
    assert not admission.turns_away(b"/v1/predict")
    admission.inside = 400
    assert admission.turns_away(b"/v1/predict")
    now += 0.9
    admission.inside = 100
    assert admission.turns_away(b"/v1/predict")
    now += 0.9  # since the last refusal, not since the first
    assert admission.turns_away(b"/v1/predict")
    admission.inside = 99
    assert not admission.turns_away(b"/v1/predict")
    now += 1.1
    admission.inside = 399
    assert not admission.turns_away(b"/v1/predict")


def test_requests_are_begun_in_their_order_and_a_few_in_a_turn(service: Any) -> None:
    async def run() -> None:
        admission = Admission(service)
        begun: list[int] = []
        for number in range(50):
            admission.begin(lambda number=number: begun.append(number))  # type: ignore[misc]
        turns = []
        while len(begun) < 50:
            await asyncio.sleep(0)
            turns.append(len(begun))
        assert begun == list(range(50))
        assert turns == sorted(turns)
        assert len(set(turns)) >= 3
        admission.begin(lambda: begun.append(50))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert begun[-1] == 50

    asyncio.run(run())
