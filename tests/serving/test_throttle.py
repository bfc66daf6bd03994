"""Rates for each client."""

from __future__ import annotations

import pytest

from atelier.serving import throttle
from atelier.serving.throttle import Throttle, household


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_then_the_rate():
    clock = Clock()
    bucket = Throttle(2.0, 3, clock=clock)
    assert [bucket.wait_s("a") for _ in range(4)] == [0, 0, 0, 0.5]
    clock.now += 0.25
    assert bucket.wait_s("a") == pytest.approx(0.25)
    clock.now += 0.25
    assert bucket.wait_s("a") == 0
    clock.now += 3600
    assert [bucket.wait_s("a") for _ in range(4)] == [0, 0, 0, 0.5]  # no more than a burst


def test_over_time_the_rate_is_kept():
    clock = Clock()
    bucket = Throttle(5.0, 10, clock=clock)
    granted = 0
    for _ in range(10_000):
        clock.now += 0.01
        granted += bucket.wait_s("a") == 0
    assert granted == pytest.approx(10 + 5 * 100, abs=2)


def test_clients_do_not_pay_for_each_other():
    bucket = Throttle(1.0, 1, clock=Clock())
    assert [bucket.wait_s(name) == 0 for name in "aabbc"] == [True, False, True, False, True]


def test_memory_is_bounded_and_the_busiest_are_remembered(monkeypatch):
    monkeypatch.setattr(throttle, "_MAX_CLIENTS", 100)
    bucket = Throttle(1.0, 1, clock=Clock())
    assert bucket.wait_s("busy") == 0
    for number in range(10_000):
        bucket.wait_s(str(number))
        if number % 50 == 0:
            assert bucket.wait_s("busy") > 0
    assert len(bucket._buckets) == 100


@pytest.mark.parametrize(
    ("address", "whose"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("somewhere", "somewhere"),
    ],
)
def test_one_household_is_one_client(address, whose):
    assert household(address) == whose
