"""What was found, in words: who is best, whether that means anything, how sure, what is confused,
and what to do next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...evaluation import NO_TEST_PART, Evaluation
from ...evaluation.tables import ABSENT, percent, percent_range
from ..sections import Block, Points, Section, Table, Words
from ..subjects import Subject, headline
from .errors import shared_errors

_BADLY_CALIBRATED = 0.03
_STATED_ERROR = 0.01
_MUCH_CONFUSED = 0.05  # of a class


def summary_section(subject: Subject, findings: Sequence[str] = ()) -> Section:
    """The first thing to be read.

    Args:
        subject: what the report is about.
        findings: sentences of other topics that belong here.
    """
    blocks: list[Block] = [Words(_about(subject)), Words(_who(subject))]
    if len(subject.entries) > 1:
        blocks.append(Table("The runs at a glance", *_glance(subject)))
    blocks.append(Points([*_found(subject), *findings], title="What was found"))
    if steps := next_steps(subject):
        blocks.append(Points(steps, title="What to do next"))
    return Section("summary", "Summary", blocks)


def _about(subject: Subject) -> str:
    part, judged = subject.dataset.judged
    number = len(subject.entries)
    runs = f"{number} run{'s' * (number > 1)} on {subject.dataset.name}"
    n, k = f"{len(judged.labels):,}", len(subject.dataset.classes)
    if part == "test":
        return f"{runs}, tested on {n} images of {k} classes that took no part in training."
    return f"{runs}, judged by {n} validation images of {k} classes; {NO_TEST_PART}."


def _who(subject: Subject) -> str:
    """Who is best, and whether the difference means anything."""
    if len(subject.entries) == 1:
        ((name, result),) = subject.evaluations.items()
        return right_on(name, result)
    comparison = subject.comparison
    if comparison is None or len(comparison.rows) < 2:
        best = subject.best
        lowest = min(headline(result) for result in subject.evaluations.values())
        return (
            f"{right_on(best, subject.evaluations[best])} The runs differ by their seed alone, "
            f"and reach {percent(lowest)} to {percent(headline(subject.evaluations[best]))}."
        )
    first = comparison.rows[0]
    seeds = f"mean of {len(first.seeds)} seeds" if len(first.seeds) > 1 else "one seed"
    score, interval = first.accuracy, first.image_interval
    if comparison.uneven:
        score = first.balanced_accuracy
        interval = first.balanced_interval or first.image_interval
    text = (
        f"The highest {'balanced ' * comparison.uneven}accuracy is that of {first.name}: "
        f"{percent(score)} ({seeds}, 95 % interval over images {percent_range(interval)})."
    )
    better: list[str] = []
    tied: list[str] = []
    worse: list[str] = []
    for pair in comparison.pairs:
        if first.name in (pair.a, pair.b):
            other = pair.b if pair.a == first.name else pair.a
            verdict = pair.verdict * (1 if pair.a == first.name else -1)
            (tied if verdict == 0 else better if verdict > 0 else worse).append(other)
    if better:
        text += f" It is better than {listed(better)}: a paired test on the same images says so."
    if tied:
        text += f" These images cannot tell it from {listed(tied)}: the gap may be luck."
    if worse:
        text += f" On the tested seed {listed(worse)} did better, so the order is not settled."
    return text


def right_on(name: str, result: Evaluation) -> str:
    """How often a run is right, with its interval; of uneven classes balanced accuracy first."""
    if result.uneven:
        return (
            f"{name} is right on {percent(result.balanced_accuracy)} of a class on average "
            f"(balanced accuracy; 95 % interval over images "
            f"{percent_range(result.balanced_interval)}, other seeds not covered), and on "
            f"{percent(result.accuracy)} of the {result.images} "
            f"({percent_range(result.interval)}): classes have different numbers of images."
        )
    return (
        f"{name} is right on {percent(result.accuracy)} of the {result.images} (95 % interval "
        f"over images {percent_range(result.interval)}, other seeds not covered)."
    )


def _glance(subject: Subject) -> tuple[list[str], list[list[str]]]:
    header = ["run", "accuracy", "95 % over images", "balanced accuracy", "macro F1"]
    header += ["ECE, calibrated", "hardest class", "parameters", "training"]
    rows = []
    for name, entry in subject.entries.items():
        result, metrics = entry.evaluation, entry.run.metrics
        hardest, scores = hardest_class(result), result.calibrated
        rows.append(
            [
                name,
                percent(result.accuracy),
                percent_range(result.interval),
                percent(result.balanced_accuracy),
                percent(result.macro_f1),
                ABSENT if scores is None else percent(scores.ece),
                hardest,
                _number(metrics.get("parameters"), "{:,}"),
                _number(metrics.get("train_seconds"), "{:,.0f} s"),
            ]
        )
    return header, rows


def hardest_class(result: Evaluation) -> str:
    """The class with the lowest F1."""
    scored = [row for row in result.per_class if not np.isnan(row.f1)]
    return min(scored, key=lambda row: row.f1).name


def _found(subject: Subject) -> list[str]:
    return [*_sureness(subject), *_confusions(subject)]


def _sureness(subject: Subject) -> list[str]:
    best = subject.best
    result = subject.evaluations[best]
    scores = result.calibrated
    lines = []
    if scores is not None:
        lines.append(
            f"How sure: the probabilities of {best} are off by {percent(scores.ece, 1)} on average "
            f"once calibrated ({percent(result.ece, 1)} as they come)."
        )
    else:
        lines.append(
            f"How sure: the probabilities of {best} are off by {percent(result.ece, 1)} on "
            "average, and no images were held out to calibrate them."
        )
    if share := result.coverage.get(_STATED_ERROR):
        lines.append(
            f"Of its answers the surest {percent(share, 0)} are wrong in "
            f"{percent(_STATED_ERROR, 0)}: the others are where a person should look."
        )
    return lines


def _confusions(subject: Subject) -> list[str]:
    hardest = Counter(hardest_class(result) for result in subject.evaluations.values())
    best = subject.best
    result = subject.evaluations[best]
    name = hardest_class(result)
    f1 = next(row.f1 for row in result.per_class if row.name == name)
    lines = [f"The hardest class of {best} is {name} (F1 {percent(f1, 1)})"]
    if len(subject.entries) > 1:
        agreed = hardest[name]
        lines[0] += (
            ", as of all the runs." if agreed == len(subject.entries) else ", but not of all runs."
        )
    else:
        lines[0] += "."
    if result.top_confusions:
        top = result.top_confusions[0]
        lines.append(
            f"Its most frequent error: {top.true} called {top.predicted}, {top.count:,} "
            f"image{'s' * (top.count > 1)}, {percent(top.share, 1)} of that class."
        )
    if len(subject.entries) > 1:
        wrong, same = shared_errors(subject)
        if wrong:
            lines.append(
                f"All {len(subject.entries)} runs are wrong on {wrong:,} images, on {same:,} of "
                "them with the same answer: those labels are the first to be doubted."
            )
    return lines


def next_steps(subject: Subject) -> list[str]:
    """What the figures suggest, the most useful first; each says which figure."""
    best = subject.best
    entry, result = subject.entries[best], subject.evaluations[best]
    steps = []
    comparison = subject.comparison
    if comparison is not None and any(len(row.seeds) == 1 for row in comparison.rows):
        steps.append(
            "Train with more seeds before you choose (`atelier compare … --seeds 3`): one "
            "training of each says nothing of the next."
        )
    if result.top_confusions and result.top_confusions[0].share > _MUCH_CONFUSED:
        top = result.top_confusions[0]
        steps.append(
            f"Look at {top.true} and {top.predicted} ({percent(top.share, 1)} confused): are the "
            "labels right (`atelier audit`), and can a person tell them apart at this image size?"
        )
    steps += _of_the_curves(best, entry.run.history)
    if result.uneven:
        steps.append(
            "Classes have different numbers of images: try `--set train.class_weights=balanced`, "
            "or gather more of the small ones."
        )
    if result.calibrated is None:
        steps.append(
            f"Hold images out of the training of {best} (train.validation_share above 0), so that "
            "its probabilities can be calibrated before anyone relies on them."
        )
    elif result.calibrated.ece > _BADLY_CALIBRATED:
        steps.append(
            f"Do not take the probabilities of {best} at their word: they are off by "
            f"{percent(result.calibrated.ece, 1)} on average even when calibrated."
        )
    return steps


def _of_the_curves(name: str, history: Sequence[Mapping[str, Any]]) -> list[str]:
    measured = [row for row in history if row.get("validation/accuracy") is not None]
    if len(measured) < 3:
        return []
    scores = [row["validation/accuracy"] for row in measured]
    best_epoch = measured[int(np.argmax(scores))]["epoch"]
    last = measured[-1]
    steps = []
    if best_epoch == last["epoch"] and scores[-1] - scores[-2] > 0.002:
        steps.append(
            f"Train {name} longer (train.num_epochs): its validation accuracy still rose in the "
            "last epoch."
        )
    train = last.get("train/accuracy")
    if train is not None and train - scores[-1] > _MUCH_CONFUSED:
        steps.append(
            f"{name} knows its training images by heart ({percent(train, 1)} there, "
            f"{percent(scores[-1], 1)} in validation): augment more, or use weight decay, dropout "
            "or label smoothing."
        )
    return steps


def listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _number(value: object, form: str) -> str:
    return form.format(value) if isinstance(value, int | float) else ABSENT
