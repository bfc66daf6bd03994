"""How good the runs are on each class."""

from __future__ import annotations

from ...evaluation.tables import percent
from ..pictures import per_class_picture
from ..sections import Block, Section, Shown, Table, for_each_run
from ..subjects import Subject


def classes_section(subject: Subject) -> Section | None:
    """F1 of all runs side by side, then the whole table of each."""
    evaluations = subject.evaluations
    common: list[Block] = []
    if len(evaluations) > 1:
        rows = zip(*(result.per_class for result in evaluations.values()), strict=True)
        cells = [
            [own[0].name, f"{own[0].support:,}", *(percent(row.f1) for row in own)] for own in rows
        ]
        common.append(Shown(per_class_picture(evaluations)))
        common.append(Table("F1 of each class", ["class", "images", *evaluations], cells))
    runs: dict[str, list[Block]] = {}
    for name, result in evaluations.items():
        scores = Table("Scores of each class", *result.class_table())
        own = [] if len(evaluations) > 1 else [Shown(subject.pictures[name]["per_class_f1"])]
        runs[name] = [*own, scores]
    return for_each_run("classes", "Classes", runs, best=subject.best, blocks=common)
