"""Which recipe is better, and whether the difference means anything.

Two different questions are kept apart:

1. Do these two *trained models* differ on images like the test images? McNemar's exact test
   answers it from the images that only one of the two got right (McNemar 1947, in its exact
   binomial form). Dietterich 1998 found it the test with a sound false-alarm rate for models
   trained once. It sees one training of each: it says nothing about other seeds. Runs are tested
   seed by seed where both recipes have the seed, else each recipe's lowest. The test on the
   lowest common seed, fixed before any result is seen, is the primary one and the only one that
   can give the word "better". It is corrected by Holm 1979 over all pairs of recipes. The tests
   on further common seeds, each corrected over the pairs in the same way, are reported where
   they disagree; they are never pooled, for the same image under two seeds is not two
   independent trials.
2. Does the *recipe* do better when it is trained again? From two common seeds on, Student's t
   interval of the paired differences in accuracy answers it, with the test images held fixed.
   With two or three seeds it is wide; it is not corrected for the number of pairs.

Further seeds can only take "better" back: by the opposite outcome of the same test, or, from three
common seeds on, by an interval over seeds that includes zero. So the rate of false alarms stays
below the level of the primary test.

Where classes have different numbers of images, recipes are ranked by balanced accuracy, as
`evaluate` puts it first, and each pair is compared by it too, with the paired bootstrap.

Neither covers other data sets, other test sets or tuning by looking at the test set.
Sources: McNemar 1947, Psychometrika 12(2); Holm 1979, Scand. J. Statistics 6(2); Wilson 1927,
JASA 22; Dietterich 1998, Neural Computation 10(7).
"""

from __future__ import annotations

import html
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import numpy as np

from ..errors import RunError
from ..predictions import Predictions
from .agreement import Agreement, agreement_of
from .bootstrap import paired_bootstrap
from .metrics import Evaluation, evaluate_predictions
from .pairs import Pair, correct, pair_up, with_bootstrap
from .power import LEVEL, POWER
from .ranks import Ranking, rank_over_blocks
from .significance import seed_interval, wilson_interval
from .tables import ABSENT, html_table, percent, percent_range, text_table
from .verdicts import say, say_agreement, say_ranking

_BySeed = Mapping[str, Mapping[int, Predictions]]
SeedRuns = Mapping[str, Sequence[tuple[int, Predictions]]]
Costs = Mapping[str, Mapping[str, float | None]]

_MOST_SAID = 15  # pairs
_ABOUT_BLOCKS = (
    "Ranks: classes are blocks of one training on one set of images, and seeds are blocks on the "
    "same images; neither speaks for other data sets, of which Friedman's test is usually asked. "
    "They do not decide who is called better."
)


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
        balanced_accuracy: the mean over seeds of the mean recall of the classes.
        balanced_interval: its 95 % interval over images, for the lowest seed (Zou & Donner 2008).
        macro_f1: the mean over seeds.
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
    balanced_accuracy: float
    balanced_interval: tuple[float, float] | None
    macro_f1: float
    parameters: float | None = None
    train_seconds: float | None = None
    inference_ms_per_image: float | None = None


@dataclass(frozen=True, repr=False)
class Comparison:
    """Recipes on the same `n` images.

    Attributes:
        n: the number of images.
        rows: of the recipes, best first: by accuracy, or by balanced accuracy where `uneven`.
        pairs: every two recipes.
        images: what the images are called.
        note: what a reader must know of them.
        uneven: whether the largest class among the labels is over 1.5 times the smallest.
        agreement: how much alike the recipes answer; None for one recipe.
        rankings: the recipes ranked over classes and over common seeds, where there are two.
    """

    n: int
    rows: tuple[ComparisonRow, ...]
    pairs: tuple[Pair, ...]
    images: str = "test images"
    note: str = ""
    uneven: bool = False
    agreement: Agreement | None = None
    rankings: tuple[Ranking, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """Which recipes differ and by how much, in plain words, a few sentences for each pair."""
        return tuple(say(pair, self.n, self.images, uneven=self.uneven) for pair in self.pairs)

    @property
    def overview(self) -> tuple[str, ...]:
        """What goes beyond pairs: ranks of three or more recipes, and how alike two answer."""
        lines = [say_ranking(ranking) for ranking in self.rankings if len(ranking.names) > 2]
        if self.agreement is not None:
            lines.append(say_agreement(self.agreement))
        return tuple(lines)

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
        if self.uneven:
            notes.append(
                "Classes have different numbers of images: recipes are ranked by balanced "
                "accuracy, where all classes weigh alike. The tests count images."
            )
        if self.pairs:
            notes.append(
                "p: McNemar's exact test of two trained models on the same images, corrected by "
                f"Holm over {len(self.pairs)} pair{'s' * (len(self.pairs) > 1)}; "
                f"below {LEVEL:g} they differ."
            )
        if any(pair.primary.images_needed for pair in self.pairs if not pair.verdict):
            notes.append(
                f"Images or seeds needed: for a gap that is really as large as the one seen, to be "
                f"found in {percent(POWER, 0)} of trials. A gap that is noise has no such number."
            )
        if len(self.rows) > 2 and self.rankings:
            notes.append(_ABOUT_BLOCKS)
        return tuple(notes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "n": self.n,
            "images": self.images,
            "rows": [asdict(row) for row in self.rows],
            "uneven": self.uneven,
            "pairs": [{**asdict(pair), "verdict": pair.verdict} for pair in self.pairs],
            "agreement": None if self.agreement is None else asdict(self.agreement),
            "rankings": [asdict(ranking) for ranking in self.rankings],
            "sentences": list(self.sentences),
            "overview": list(self.overview),
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        parts = [text_table(*self.table())]
        parts += ["\n".join(lines) for lines in (self._shown(), self.overview) if lines]
        return "\n\n".join([*parts, "\n".join(self.notes)])

    __repr__ = __str__  # in a notebook a wall of numbers helps nobody

    def _shown(self) -> tuple[str, ...]:
        """The sentences, and of very many only those on the first recipe."""
        if len(self.pairs) <= _MOST_SAID:
            return self.sentences
        said = [
            sentence
            for sentence, pair in zip(self.sentences, self.pairs, strict=True)
            if self.rows[0].name in (pair.a, pair.b)
        ]
        left_out = len(self.pairs) - len(said)
        return (*said, f"{left_out:,} more pairs, without {self.rows[0].name}, are in the JSON.")

    def _repr_html_(self) -> str:
        def items(lines: Sequence[str]) -> str:
            return "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>"

        lists = (self._shown(), self.overview, self.notes)
        return html_table(*self.table()) + "".join(items(lines) for lines in lists if lines)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """The header and the cells of the comparison table, as text."""
        header = ["recipe", *["balanced"] * self.uneven, "accuracy", "seeds", "over seeds"]
        header += ["over images", "parameters", "training", "ms per image"]
        return header, [
            [
                row.name,
                *[percent(row.balanced_accuracy)] * self.uneven,
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
    seed: int = 0,
) -> Comparison:
    """Compare recipes on the same images; the module's docstring says how and why.

    Args:
        runs: for each recipe name, its (seed, predictions).
        costs: for each recipe name, what is known of `parameters`, `train_seconds` and
            `inference_ms_per_image`.
        images: what the images are called.
        note: what a reader must know of them.
        seed: of the bootstrap's draws.

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
    evaluations = {
        name: {own: evaluate_predictions(predictions) for own, predictions in members.items()}
        for name, members in by_seed.items()
    }
    uneven = next(iter(next(iter(evaluations.values())).values())).uneven
    rows = [_row(name, seeds, costs.get(name, {})) for name, seeds in evaluations.items()]
    rows.sort(key=lambda row: (-(row.balanced_accuracy if uneven else row.accuracy), row.name))
    ranked = {row.name: by_seed[row.name] for row in rows}
    names = list(ranked)
    number = len(names) * (len(names) - 1) // 2
    pairs = correct(
        [
            pair_up(a, ranked[a], b, ranked[b], pairs=number)
            for a, b in itertools.combinations(names, 2)
        ]
    )
    return Comparison(
        n=len(reference),
        rows=tuple(rows),
        pairs=tuple(_bootstrapped(pairs, ranked, seed)),
        images=images,
        note=note,
        uneven=uneven,
        agreement=agreement_of(ranked) if pairs else None,
        rankings=tuple(_rankings({name: evaluations[name] for name in names}, uneven)),
    )


def _bootstrapped(pairs: Sequence[Pair], runs: _BySeed, seed: int) -> list[Pair]:
    keys = {
        key
        for pair in pairs
        for key in ((pair.a, pair.primary.seed_a), (pair.b, pair.primary.seed_b))
    }
    if not keys:
        return []
    position = {key: place for place, key in enumerate(sorted(keys))}
    drawn = paired_bootstrap([runs[name][own] for name, own in position], seed=seed)
    return [with_bootstrap(pair, drawn, position) for pair in pairs]


def _rankings(evaluations: Mapping[str, Mapping[int, Evaluation]], uneven: bool) -> list[Ranking]:
    names, found = list(evaluations), []
    if len(names) < 2:
        return []
    common = sorted(set.intersection(*(set(seeds) for seeds in evaluations.values())))
    firsts = [own[common[0] if common else min(own)] for own in evaluations.values()]
    recalls = np.array([[row.recall for row in result.per_class] for result in firsts]).T
    recalls = recalls[np.isfinite(recalls).all(axis=1)]
    if len(recalls) > 1:
        found.append(rank_over_blocks(names, recalls, blocks="classes", score="recall"))
    if len(common) > 1:
        score = "balanced accuracy" if uneven else "accuracy"
        scores = [
            [own[s].balanced_accuracy if uneven else own[s].accuracy for s in common]
            for own in evaluations.values()
        ]
        found.append(rank_over_blocks(names, np.array(scores).T, blocks="seeds", score=score))
    return found


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
    name: str, by_seed: Mapping[int, Evaluation], cost: Mapping[str, float | None]
) -> ComparisonRow:
    evaluations = list(by_seed.values())
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
        balanced_accuracy=fmean(result.balanced_accuracy for result in evaluations),
        balanced_interval=evaluations[0].balanced_interval,
        macro_f1=fmean(result.macro_f1 for result in evaluations),
        parameters=cost.get("parameters"),
        train_seconds=cost.get("train_seconds"),
        inference_ms_per_image=cost.get("inference_ms_per_image"),
    )
