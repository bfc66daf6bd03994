"""Two recipes on the same images: tests, the size of the difference, and what would tell it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..predictions import Predictions
from .bootstrap import Drawn
from .paired import PairedEffect, balanced_difference, paired_effect
from .power import LEVEL, detectable_difference, images_needed, seeds_needed
from .significance import holm, mcnemar_exact, seed_interval

_SETTLING_SEEDS = 3  # with two, Student's interval is 13 standard errors wide and refuses nothing


@dataclass(frozen=True)
class PairedTest:
    """McNemar's exact test between one run of each recipe.

    Attributes:
        seed_a, seed_b: the seeds of the two runs; equal where the recipes share a seed.
        accuracy_a, accuracy_b: the accuracies of these two runs.
        only_a, only_b: the images that only this run got right.
        p: the two-sided exact p-value.
        p_holm: corrected over the pairs of recipes.
        effect: how large the difference is.
        images_needed: how many such images would show a gap as large as the one seen, in four of
            five trials, at the level of Holm's first step; None where no gap was seen.
        detectable: the smallest gap that as many images as these show in four of five trials, where
            two models differ on as many of them; None where there is none.
    """

    seed_a: int
    seed_b: int
    accuracy_a: float
    accuracy_b: float
    only_a: int
    only_b: int
    p: float
    p_holm: float
    effect: PairedEffect
    images_needed: int | None
    detectable: float | None

    @property
    def verdict(self) -> int:
        """1: a is better, -1: b is better, 0: this test cannot tell them apart."""
        if self.p_holm >= LEVEL:
            return 0
        return 1 if self.only_a > self.only_b else -1


@dataclass(frozen=True)
class ScoreDifference:
    """A score of a minus that of b, with its 95 % interval over images."""

    difference: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 or -1 where the interval is on one side of zero, else 0."""
        return (self.low > 0) - (self.high < 0)


@dataclass(frozen=True)
class Pair:
    """Two recipes.

    Attributes:
        a, b: the recipes, the better ranked first.
        tests: by common seed, the primary one first.
        difference: the mean over common seeds of accuracy a - accuracy b with its 95 % t interval;
            None where fewer than two seeds are common.
        seeds_needed: how many common seeds would show such a mean difference in four of five trials
            at the 5 % level, if it varies as it does here; None where it is not known.
        balanced: of the primary runs, the difference in balanced accuracy.
        bootstrap: of the primary runs, differences in accuracy, balanced accuracy and macro F1 by
            the paired bootstrap over images, whose intervals are too narrow where a class has few.
    """

    a: str
    b: str
    tests: tuple[PairedTest, ...]
    difference: tuple[float, float, float] | None
    seeds_needed: int | None
    balanced: ScoreDifference
    bootstrap: Mapping[str, ScoreDifference]

    @property
    def primary(self) -> PairedTest:
        """The test on the lowest common seed."""
        return self.tests[0]

    @property
    def verdict(self) -> int:
        """1: a is better, -1: b is better, 0: indistinguishable.

        The primary test says who is better, and further seeds can only take it back: by the same
        test with the opposite outcome, or from three common seeds on by an interval over seeds that
        includes zero.
        """
        sign = self.primary.verdict
        if any(test.verdict == -sign for test in self.tests):
            return 0
        if self.difference is not None and len(self.tests) >= _SETTLING_SEEDS:
            mean, low, high = self.difference
            if low <= 0 <= high or mean * sign < 0:
                return 0
        return sign


def pair_up(
    a: str,
    runs_a: Mapping[int, Predictions],
    b: str,
    runs_b: Mapping[int, Predictions],
    *,
    pairs: int,
) -> Pair:
    """Test two recipes seed by seed; the p-values are not corrected yet.

    Args:
        a, b: their names.
        runs_a, runs_b: their predictions by seed, ascending.
        pairs: how many pairs the level is shared by.
    """
    common = [(seed, seed) for seed in runs_a if seed in runs_b]
    tests, level = [], LEVEL / pairs
    for seed_a, seed_b in common or [(next(iter(runs_a)), next(iter(runs_b)))]:
        right_a, right_b = runs_a[seed_a].correct, runs_b[seed_b].correct
        p = mcnemar_exact(right_a, right_b)
        only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
        effect = paired_effect(only_a, only_b, len(right_a))
        tests.append(
            PairedTest(
                seed_a=seed_a,
                seed_b=seed_b,
                accuracy_a=float(right_a.mean()),
                accuracy_b=float(right_b.mean()),
                only_a=only_a,
                only_b=only_b,
                p=p,
                p_holm=p,
                effect=effect,
                images_needed=images_needed(effect.difference, effect.discordant, level=level),
                detectable=detectable_difference(len(right_a), effect.discordant, level=level),
            )
        )
    difference, needed = None, None
    if len(common) >= 2:
        gaps = [test.accuracy_a - test.accuracy_b for test in tests]
        difference = seed_interval(gaps)
        needed = seeds_needed(difference[0], statistics.stdev(gaps))
    first = runs_a[tests[0].seed_a], runs_b[tests[0].seed_b]
    return Pair(a, b, tuple(tests), difference, needed, _balanced(*first), {})


def _balanced(a: Predictions, b: Predictions) -> ScoreDifference:
    counts = [
        np.bincount(a.labels[chosen], minlength=len(a.classes))
        for chosen in (a.correct & ~b.correct, b.correct & ~a.correct, slice(None))
    ]
    occurs = counts[2] > 0
    return ScoreDifference(*balanced_difference(*(own[occurs] for own in counts)))


def with_bootstrap(
    pair: Pair, drawn: Mapping[str, Drawn], position: Mapping[tuple[str, int], int]
) -> Pair:
    """The pair with intervals of its primary runs.

    Args:
        pair: as `pair_up` gives it.
        drawn: scores on the same draws of the images, by name.
        position: of each (recipe, seed) among the models in `drawn`.
    """
    a = position[pair.a, pair.primary.seed_a]
    b = position[pair.b, pair.primary.seed_b]
    scores = {name: ScoreDifference(*own.difference(a, b)) for name, own in drawn.items()}
    return replace(pair, bootstrap=scores)


def correct(pairs: Sequence[Pair]) -> list[Pair]:
    """Holm over the pairs, apart for the first common seed, the second, and so on."""
    tests = [list(pair.tests) for pair in pairs]
    for position in range(max((len(own) for own in tests), default=0)):
        family = [own for own in tests if position < len(own)]
        for own, p_holm in zip(family, holm([own[position].p for own in family]), strict=True):
            own[position] = replace(own[position], p_holm=p_holm)
    return [replace(pair, tests=tuple(own)) for pair, own in zip(pairs, tests, strict=True)]
