"""Which recipe is better, and whether the difference means anything.

Two different questions are kept apart:

1. Do these two *trained models* differ on images like the test images? McNemar's exact test
   answers it from the images that only one of the two got right (McNemar 1947, in its exact
   binomial form). Dietterich 1998 found it the test with a sound false-alarm rate for models
   trained once. It sees one training of each: it says nothing about other seeds. Runs are tested
   seed by seed where both recipes have the seed, else each recipe's lowest. The test on the
   lowest common seed, fixed before any result is seen, is the primary one and the only one that
   decides the word "better". It is corrected by Holm 1979 over all pairs of recipes. The tests
   on further common seeds, each corrected over the pairs in the same way, are reported where
   they disagree; they are never pooled, for the same image under two seeds is not two
   independent trials.
2. Does the *recipe* do better when it is trained again? From two common seeds on, Student's t
   interval of the paired differences in accuracy answers it, with the test images held fixed.
   With two or three seeds it is wide; it is not corrected for the number of pairs.

Neither covers other data sets, other test sets or tuning by looking at the test set.
Sources: McNemar 1947, Psychometrika 12(2); Holm 1979, Scand. J. Statistics 6(2); Wilson 1927,
JASA 22; Dietterich 1998, Neural Computation 10(7).
"""

from __future__ import annotations

import html
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..errors import RunError
from ..predictions import Predictions
from .metrics import evaluate_predictions
from .significance import holm, mcnemar_exact, seed_interval, wilson_interval
from .tables import ABSENT, html_table, p_value, percent, percent_range, text_table

SIGNIFICANCE = 0.05

SeedRuns = Mapping[str, Sequence[tuple[int, Predictions]]]
Costs = Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True)
class ComparisonRow:
    """One recipe.

    Attributes:
        name: the recipe.
        seeds: its seeds, ascending.
        accuracies: the accuracy of each seed, in 0..1.
        accuracy: their mean.
        seed_interval: the 95 % t interval of the mean over seeds; None for one seed.
        image_interval: the 95 % Wilson interval of one run with that accuracy on these images.
        parameters: the number of trained parameters, where given.
        train_seconds: the wall time of one training, where given.
        inference_ms_per_image: where given.
    """

    name: str
    seeds: tuple[int, ...]
    accuracies: tuple[float, ...]
    accuracy: float
    seed_interval: tuple[float, float] | None
    image_interval: tuple[float, float]
    parameters: float | None = None
    train_seconds: float | None = None
    inference_ms_per_image: float | None = None


@dataclass(frozen=True)
class PairedTest:
    """McNemar's exact test between one run of each recipe.

    Attributes:
        seed_a, seed_b: the seeds of the two runs; equal where the recipes share a seed.
        accuracy_a, accuracy_b: the accuracies of these two runs.
        only_a, only_b: the images that only this run got right.
        p: the two-sided exact p-value.
        p_holm: corrected over the pairs of recipes.
    """

    seed_a: int
    seed_b: int
    accuracy_a: float
    accuracy_b: float
    only_a: int
    only_b: int
    p: float
    p_holm: float

    @property
    def verdict(self) -> int:
        """1: a is better, -1: b is better, 0: this test cannot tell them apart."""
        if self.p_holm >= SIGNIFICANCE:
            return 0
        return 1 if self.only_a > self.only_b else -1


@dataclass(frozen=True)
class Pair:
    """Two recipes: the tests by common seed, the primary one first.

    `difference` is the mean over common seeds of accuracy a - accuracy b with its 95 % t
    interval, and None where fewer than two seeds are common.
    """

    a: str
    b: str
    tests: tuple[PairedTest, ...]
    difference: tuple[float, float, float] | None

    @property
    def primary(self) -> PairedTest:
        """The test on the lowest common seed, which alone decides on "better"."""
        return self.tests[0]


@dataclass(frozen=True, repr=False)
class Comparison:
    """Recipes on the same `n` images: rows by accuracy, best first, and every pair.

    `images` is what the images are called, and `note` what a reader must know of them.
    """

    n: int
    rows: tuple[ComparisonRow, ...]
    pairs: tuple[Pair, ...]
    images: str = "test images"
    note: str = ""

    @property
    def sentences(self) -> tuple[str, ...]:
        """Which recipes differ, in plain words, one sentence or two for each pair."""
        return tuple(_say(pair, f"{self.n:,} {self.images}") for pair in self.pairs)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the figures cover and what they do not."""
        notes = [
            (
                f"Over images: Wilson's 95 % interval for one run on these {self.n:,} "
                f"{self.images}; it does not cover other seeds."
            )
        ]
        if self.note:
            notes.insert(0, f"{self.note[0].upper()}{self.note[1:]}.")
        if any(row.seed_interval for row in self.rows):
            notes.append(
                f"Over seeds: Student's 95 % interval of the mean, with the {self.images} held "
                "fixed."
            )
        single = [row.name for row in self.rows if len(row.seeds) == 1]
        if single:
            notes.append(
                f"Trained with one seed only: {', '.join(single)}. Another seed may change the "
                "order."
            )
        if self.pairs:
            notes.append(
                "p: McNemar's exact test of two trained models on the same images, corrected by "
                f"Holm over {len(self.pairs)} pair{'s' * (len(self.pairs) > 1)}; "
                f"below {SIGNIFICANCE:g} they differ."
            )
        return tuple(notes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "n": self.n,
            "images": self.images,
            "rows": [asdict(row) for row in self.rows],
            "pairs": [asdict(pair) for pair in self.pairs],
            "sentences": list(self.sentences),
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        parts = [text_table(*self.table())]
        parts += ["\n".join(self.sentences)] if self.pairs else []
        return "\n\n".join([*parts, "\n".join(self.notes)])

    __repr__ = __str__  # in a notebook a wall of numbers helps nobody

    def _repr_html_(self) -> str:
        def items(lines: Sequence[str]) -> str:
            return "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>"

        return html_table(*self.table()) + items(self.sentences) + items(self.notes)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """The header and the cells of the comparison table, as text."""
        header = ["recipe", "accuracy", "seeds", "over seeds", "over images"]
        header += ["parameters", "training", "ms per image"]
        return header, [
            [
                row.name,
                percent(row.accuracy),
                str(len(row.seeds)),
                percent_range(row.seed_interval),
                percent_range(row.image_interval),
                ABSENT if row.parameters is None else f"{row.parameters:,.0f}",
                ABSENT if row.train_seconds is None else f"{row.train_seconds:,.0f} s",
                ABSENT
                if row.inference_ms_per_image is None
                else f"{row.inference_ms_per_image:.3g}",
            ]
            for row in self.rows
        ]


def compare_predictions(
    runs: SeedRuns,
    costs: Costs | None = None,
    *,
    images: str = "test images",
    note: str = "",
) -> Comparison:
    """Compare recipes on the same images; the module's docstring says how and why.

    Args:
        runs: for each recipe name, its (seed, predictions).
        costs: for each recipe name, what is known of `parameters`, `train_seconds` and
            `inference_ms_per_image`.
        images: what the images are called.
        note: what a reader must know of them.

    Raises:
        RunError: no runs, a seed twice in one recipe, predictions that cannot be evaluated, or
            runs whose images, labels or classes are not the same.
    """
    if not runs or not all(runs.values()):
        raise RunError("there are no runs to compare", fix="Name at least one run for each recipe")
    reference_name, reference = _first(runs)
    by_seed: dict[str, dict[int, Predictions]] = {}
    for name, members in runs.items():
        by_seed[name] = dict(sorted(members, key=lambda member: member[0]))
        if len(by_seed[name]) < len(members):
            raise RunError(
                f"{name} was given twice with the same seed",
                got=", ".join(str(seed) for seed, _ in members),
                fix="Name each run once, or train with another --seed",
            )
        for seed, predictions in by_seed[name].items():
            _refuse_other_images(
                reference, predictions, f"{name} (seed {seed})", reference_name, images
            )
    costs = costs or {}
    rows = [_row(name, seeds, costs.get(name, {})) for name, seeds in by_seed.items()]
    rows.sort(key=lambda row: (-row.accuracy, row.name))
    pairs = [
        _pair(a.name, by_seed[a.name], b.name, by_seed[b.name])
        for a, b in itertools.combinations(rows, 2)
    ]
    return Comparison(len(reference), tuple(rows), tuple(_correct(pairs)), images, note)


def _first(runs: SeedRuns) -> tuple[str, Predictions]:
    name, members = next(iter(runs.items()))
    seed, predictions = members[0]
    return f"{name} (seed {seed})", predictions


def _refuse_other_images(
    reference: Predictions, other: Predictions, name: str, reference_name: str, images: str
) -> None:
    same = {
        "classes": reference.classes == other.classes,
        images: np.array_equal(reference.ids, other.ids),
        "labels": np.array_equal(reference.labels, other.labels),
    }
    differing = [what for what, equal in same.items() if not equal]
    if differing:
        raise RunError(
            f"{name} and {reference_name} cannot be compared: "
            f"their {' and '.join(differing)} are not the same",
            got=f"{len(other):,} and {len(reference):,} images",
            fix="Compare runs that were evaluated on the same images of one data set",
        )


def _row(
    name: str, by_seed: Mapping[int, Predictions], cost: Mapping[str, float | None]
) -> ComparisonRow:
    evaluations = [evaluate_predictions(predictions) for predictions in by_seed.values()]
    accuracies = tuple(evaluation.accuracy for evaluation in evaluations)
    mean, low, high = seed_interval(accuracies)
    n = evaluations[0].n
    return ComparisonRow(
        name=name,
        seeds=tuple(by_seed),
        accuracies=accuracies,
        accuracy=mean,
        # With two seeds Student's interval easily leaves what an accuracy can be.
        seed_interval=None if len(by_seed) == 1 else (max(0.0, low), min(1.0, high)),
        image_interval=wilson_interval(min(mean * n, n), n),
        parameters=cost.get("parameters"),
        train_seconds=cost.get("train_seconds"),
        inference_ms_per_image=cost.get("inference_ms_per_image"),
    )


def _pair(
    a: str, runs_a: Mapping[int, Predictions], b: str, runs_b: Mapping[int, Predictions]
) -> Pair:
    common = [(seed, seed) for seed in runs_a if seed in runs_b]
    tests = []
    for seed_a, seed_b in common or [(next(iter(runs_a)), next(iter(runs_b)))]:
        right_a, right_b = runs_a[seed_a].correct, runs_b[seed_b].correct
        p = mcnemar_exact(right_a, right_b)
        only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
        tests.append(
            PairedTest(
                seed_a, seed_b, float(right_a.mean()), float(right_b.mean()), only_a, only_b, p, p
            )
        )
    gaps = [test.accuracy_a - test.accuracy_b for test in tests]
    return Pair(a, b, tuple(tests), seed_interval(gaps) if len(common) >= 2 else None)


def _correct(pairs: Sequence[Pair]) -> list[Pair]:
    """Holm over the pairs, apart for the first common seed, the second, and so on."""
    tests = [list(pair.tests) for pair in pairs]
    for position in range(max((len(own) for own in tests), default=0)):
        family = [own for own in tests if position < len(own)]
        for own, p_holm in zip(family, holm([own[position].p for own in family]), strict=True):
            own[position] = replace(own[position], p_holm=p_holm)
    return [replace(pair, tests=tuple(own)) for pair, own in zip(pairs, tests, strict=True)]


def _say(pair: Pair, images: str) -> str:
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
        f"only for {a} and {only[1]:,} only for {b}"
    )
    others = [
        f"{other.seed_a} ({_outcome(pair, other)}, {p_value(other.p_holm)})"
        for other in pair.tests[1:]
        if other.verdict != test.verdict
    ]
    verdict = f"{a} is better than {b}" if test.verdict else f"{a} and {b} are indistinguishable"
    if others:
        verdict += f" on {where}, but not on every seed"
    elif len(pair.tests) > 1:
        verdict += f" on each of {len(pair.tests)} seeds, as on {where}"
    else:
        verdict += f" here ({where})"
    text = f"{verdict}: {facts}, {p_value(test.p_holm)} (Holm)."
    if others:
        text += f" The same test says otherwise on seed {', '.join(others)}."
    if pair.difference is not None:
        text += " " + _say_over_seeds(pair, *pair.difference)
    return text


def _outcome(pair: Pair, test: PairedTest) -> str:
    return {1: f"{pair.a} better", -1: f"{pair.b} better", 0: "no difference shown"}[test.verdict]


def _say_over_seeds(pair: Pair, mean: float, low: float, high: float) -> str:
    ahead = pair.a if mean >= 0 else pair.b
    if mean < 0:
        mean, low, high = -mean, -high, -low
    text = (
        f"Over {len(pair.tests)} common seeds {ahead} is ahead by {100 * mean:.2f} points on "
        f"average on these images (95 % interval {100 * low:.2f} to {100 * high:.2f})"
    )
    if low <= 0:
        return text + ", an interval that includes zero: new seeds may reverse the order."
    return text + "."
