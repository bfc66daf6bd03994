"""Which run is better, whether that means anything, and what it costs."""

from __future__ import annotations

from ..comparisons import comparison_pictures
from ..sections import Block, Points, Section, Shown, Table
from ..subjects import Subject

_OPEN = 2  # pictures that are not folded away


def comparison_section(subject: Subject) -> Section | None:
    """None where there is nothing to compare."""
    comparison = subject.comparison
    if comparison is None:
        return None
    blocks: list[Block] = [
        Table("Accuracy with its 95 % intervals, and cost", *comparison.table()),
    ]
    if comparison.sentences:
        blocks.append(Points(comparison.sentences, title="Which differ"))
    if comparison.overview:
        blocks.append(Points(comparison.overview, title="Beyond pairs"))
    blocks += [
        Shown(picture, folded=number >= _OPEN)
        for number, picture in enumerate(comparison_pictures(comparison))
    ]
    blocks.append(Points(comparison.notes, title="What the figures cover", soft=True))
    return Section("comparison", "Comparison", blocks)
