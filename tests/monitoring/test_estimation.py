from __future__ import annotations

import numpy as np
import pytest

from atelier.monitoring.estimation import Answered, class_shares, estimate

K = 4


def answered(n: int, shares: list[float], seed: int, harder: float = 0.0) -> Answered:
    """Answers of a calibrated model that is right as often as it is confident."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(K, n, p=shares)
    confidence = np.clip(rng.beta(8, 1.5, n) - harder, 0.3, 1)
    wrong = rng.random(n) >= confidence
    predicted = np.where(wrong, (labels + 1 + rng.integers(0, K - 1, n)) % K, labels)
    return Answered(predicted, confidence, labels)


EVEN = [0.25] * K


def accuracy(part: Answered) -> float:
    assert part.labels is not None
    return float((part.predicted == part.labels).mean())


def test_shares_of_true_classes_are_found_through_the_confusions() -> None:
    shares = [0.55, 0.15, 0.2, 0.1]
    reference, traffic = answered(4000, EVEN, 0), answered(3000, shares, 1)
    seen = np.bincount(traffic.predicted, minlength=K) / len(traffic)
    found = class_shares(reference, traffic, K)
    assert found.sum() == pytest.approx(1)
    assert np.abs(found - shares).max() < 0.03 < np.abs(seen - shares).max()


def test_intervals_of_shares_cover_them() -> None:
    shares = [0.4, 0.3, 0.2, 0.1]
    covered = 0
    for seed in range(10):
        pair = answered(800, EVEN, 2 * seed), answered(500, shares, 2 * seed + 1)
        _, found = estimate(*pair, K)
        covered += sum(e.low <= share <= e.high for e, share in zip(found, shares, strict=True))
    assert covered >= 34  # of 40 at 95 %


@pytest.mark.parametrize("harder", [0.0, 0.15])
def test_accuracy_is_estimated_from_honest_confidences(harder: float) -> None:
    covered = 0
    for seed in range(10):
        reference = answered(1500, EVEN, 3 * seed)
        traffic = answered(1000, EVEN, 3 * seed + 1, harder)
        found, _ = estimate(reference, Answered(traffic.predicted, traffic.confidence), K)
        # The truth of these images varies around what can be estimated.
        long_run = accuracy(answered(60_000, EVEN, 99, harder))
        covered += found.by_confidence.low <= long_run <= found.by_confidence.high
        if not harder:  # it rests on what is confident staying right, which is not so here
            assert found.by_threshold.low <= long_run + 0.03
            assert found.by_threshold.high >= long_run - 0.03
        assert found.by_confidence.low <= found.by_confidence.value <= found.by_confidence.high
    assert covered >= 8


def test_accuracy_by_the_shares_of_the_classes() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 4000)
    predicted = np.where((labels == 1) & (rng.random(4000) < 0.4), 0, labels)  # class 1 is harder
    reference = Answered(predicted, np.full(4000, 0.8), labels)
    more = np.flatnonzero(labels == 1)[:1500]
    traffic = Answered(predicted[more], np.full(1500, 0.8))
    found, shares = estimate(reference, traffic, 2)
    assert shares[1].value > 0.95
    assert (
        found.by_classes.low
        <= accuracy(Answered(predicted[more], np.ones(1500), labels[more]))
        <= found.by_classes.high
    )


def test_a_class_that_the_reference_does_not_have() -> None:
    reference = Answered(np.array([0, 0, 1, 1]), np.full(4, 0.9), np.array([0, 0, 1, 1]))
    found, shares = estimate(reference, Answered(np.array([2, 2, 0]), np.full(3, 0.5)), 3)
    assert [share.value for share in shares] == pytest.approx([1 / 3, 0, 2 / 3])
    assert 0 <= found.by_classes.value <= 1
