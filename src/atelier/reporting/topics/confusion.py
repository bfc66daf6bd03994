"""Which classes are taken for which."""

from __future__ import annotations

import numpy as np

from ...evaluation.tables import percent
from ..sections import Block, Section, Shown, Table, for_each_run
from ..subjects import Subject

_MOST_PAIRS = 10


def confusion_section(subject: Subject) -> Section | None:
    """The most frequent confusions of all runs side by side, then the matrix of each."""
    common: list[Block] = []
    if len(subject.entries) > 1:
        header, rows = _side_by_side(subject)
        if rows:
            common.append(Table("Most frequent confusions of all runs, in images", header, rows))
    runs: dict[str, list[Block]] = {}
    for name, result in subject.evaluations.items():
        own = subject.pictures[name]
        runs[name] = [Shown(own["confusion_matrix"])]
        if result.top_confusions:
            runs[name].append(Table("Most frequent confusions", *result.confusion_table()))
        if "confusable_pairs" in own:
            runs[name].append(Shown(own["confusable_pairs"]))
    return for_each_run("confusion", "Confusion", runs, best=subject.best, blocks=common)


def _side_by_side(subject: Subject) -> tuple[list[str], list[list[str]]]:
    counts = {name: result.confusion.copy() for name, result in subject.evaluations.items()}
    total = sum(counts.values(), np.zeros_like(next(iter(counts.values()))))
    images = total.sum(axis=1)
    np.fill_diagonal(total, 0)
    order = np.argsort(-total, axis=None, kind="stable")[:_MOST_PAIRS]
    classes = subject.dataset.classes
    rows = [
        [
            f"{classes[true]} called {classes[called]}",
            *(f"{own[true, called]:,}" for own in counts.values()),
            percent(total[true, called] / images[true], 1),
        ]
        for true, called in zip(*np.unravel_index(order, total.shape), strict=True)
        if total[true, called]
    ]
    return ["confusion", *counts, "of the class, all runs"], rows
