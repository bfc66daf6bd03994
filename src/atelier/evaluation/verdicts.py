"""What a comparison of two recipes says, in plain words."""

from __future__ import annotations

import math

from .agreement import Agreement
from .pairs import Pair, PairedTest
from .power import LEVEL
from .ranks import Ranking
from .tables import p_value, percent

_MOST_TIMES = 1000  # a need of over so many times these images is more than one could have


def say(pair: Pair, n: int, images: str, *, uneven: bool) -> str:
    """Which of two recipes is better, by how much, or what it would take to tell.

    Args:
        pair: with its corrected tests.
        n: the number of images.
        images: what they are called.
        uneven: whether classes have so different numbers of images that balanced accuracy counts.
    """
    parts = [_say_primary(pair, f"{n:,} {images}"), _say_size(pair.primary, n, images)]
    if uneven:
        parts.append(_say_balanced(pair))
    if pair.difference is not None:
        parts.append(_say_over_seeds(pair, *pair.difference))
    return " ".join(part for part in parts if part)


def say_ranking(ranking: Ranking) -> str:
    """The mean ranks of recipes, and whether they differ."""
    ranks = ", ".join(
        f"{name} {rank:.2f}" for name, rank in zip(ranking.names, ranking.ranks, strict=True)
    )
    text = (
        f"Mean ranks by {ranking.score} over {ranking.n} {ranking.blocks}: {ranks}; that all are "
        f"alike: {p_value(ranking.p)} (Friedman)"
    )
    if ranking.p >= LEVEL:
        return text + "."
    return text + (f"; ranks more than {ranking.critical_difference:.2f} apart differ (Nemenyi).")


def say_agreement(agreement: Agreement) -> str:
    """How alike the first two recipes answer, beside two trainings of one."""
    names, same, shared = agreement.names, agreement.same, agreement.shared_errors
    text = (
        f"{names[0]} and {names[1]} give the same answer on {percent(same[0][1], 1)} of the images "
        f"and share {percent(shared[0][1], 1)} of their errors"
    )
    own = same[0][0]
    if own is not None:
        text += f"; two seeds of {names[0]} agree on {percent(own, 1)}"
    return text + "."


def _say_primary(pair: Pair, images: str) -> str:
    test = pair.primary
    (a, b), only = (pair.a, pair.b), (test.only_a, test.only_b)
    shares = (test.accuracy_a, test.accuracy_b)
    if test.verdict < 0:  # the mean over seeds ranks a first, the tested seed ranks b first
        (a, b), only, shares = (b, a), only[::-1], shares[::-1]
    where = (
        f"seed {test.seed_a}"
        if test.seed_a == test.seed_b
        else f"{pair.a} seed {test.seed_a}, {pair.b} seed {test.seed_b}"
    )
    facts = (
        f"{percent(shares[0])} against {percent(shares[1])}; on {images} {only[0]:,} were right "
        f"only for {a} and {only[1]:,} only for {b}, {p_value(test.p_holm)} (Holm)."
    )
    others = [other for other in pair.tests[1:] if other.verdict != test.verdict]
    listed = ", ".join(
        f"{other.seed_a} ({_outcome(pair, other)}, {p_value(other.p_holm)})" for other in others
    )
    if test.verdict and not pair.verdict:
        return (
            f"{a} and {b} are indistinguishable over {len(pair.tests)} seeds, although {a} was "
            f"ahead on {where}: {facts}"
            + (f" The same test says otherwise on seed {listed}." if others else "")
        )
    verdict = f"{a} is better than {b}" if test.verdict else f"{a} and {b} are indistinguishable"
    if others:
        verdict += f" on {where}, but not on every seed"
    elif len(pair.tests) > 1:
        verdict += f" on each of {len(pair.tests)} seeds, as on {where}"
    else:
        verdict += f" here ({where})"
    return f"{verdict}: {facts}" + (
        f" The same test says otherwise on seed {listed}." if others else ""
    )


def _outcome(pair: Pair, test: PairedTest) -> str:
    return {1: f"{pair.a} better", -1: f"{pair.b} better", 0: "no difference shown"}[test.verdict]


def _say_size(test: PairedTest, n: int, images: str) -> str:
    gap, (low, high) = test.effect.difference, test.effect.interval
    if test.verdict < 0:
        gap, low, high = -gap, -high, -low
    if test.verdict:
        return (
            f"The gap is {_points(gap)} points (95 % interval {_points(low)} to {_points(high)})."
        )
    if not test.only_a + test.only_b:
        return f"They are right on the very same {images}."
    if test.images_needed is None or test.images_needed <= n:
        # No gap at all; or one that the formula would have told, and the exact test did not.
        if test.detectable is None:
            return ""
        return (
            f"So many {images} would most likely show a gap of {_points(test.detectable)} points."
        )
    if test.images_needed > _MOST_TIMES * n:
        return f"No number of {images} that one could have would tell so small a gap."
    return f"About {_rounded(test.images_needed)} {images} would be needed to tell such a gap."


def _say_balanced(pair: Pair) -> str:
    score = pair.balanced
    mean, low, high, ahead = score.difference, score.low, score.high, pair.a
    if mean < 0:
        mean, low, high, ahead = -mean, -high, -low, pair.b
    text = (
        f"By balanced accuracy, where all classes weigh alike, {ahead} is ahead by "
        f"{_points(mean)} points (95 % interval {_points(low)} to {_points(high)})"
    )
    if low <= 0:
        return text + ", an interval that includes zero."
    plain = pair.primary.accuracy_a - pair.primary.accuracy_b
    if (plain > 0) != (ahead == pair.a) and plain:
        return text + ", against the order by plain accuracy."
    return text + "."


def _say_over_seeds(pair: Pair, mean: float, low: float, high: float) -> str:
    ahead = pair.a if mean >= 0 else pair.b
    if mean < 0:
        mean, low, high = -mean, -high, -low
    text = (
        f"Over {len(pair.tests)} common seeds {ahead} is ahead by {_points(mean)} points on "
        f"average on these images (95 % interval {_points(low)} to {_points(high)})"
    )
    if low > 0:
        return text + "."
    text += ", an interval that includes zero: new seeds may reverse the order"
    if pair.seeds_needed is not None and pair.seeds_needed > len(pair.tests):
        text += f"; about {_rounded(pair.seeds_needed)} seeds would be needed to tell"
    return text + "."


def _points(share: float) -> str:
    return f"{100 * share:.2f}"


def _rounded(count: int) -> str:
    """Two digits, rounded up: an estimate from an estimate deserves no more."""
    unit = 10 ** max(0, len(str(count)) - 2)
    return f"{math.ceil(count / unit) * unit:,}"
