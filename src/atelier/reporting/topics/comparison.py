"""Which run is better, whether that means anything, and what it costs."""

from __future__ import annotations

from ..pictures import comparison_pictures
from ..sections import Block, Points, Section, Shown, Table
from ..subjects import Subject


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
    blocks += [Shown(picture) for picture in comparison_pictures(comparison)]
    blocks.append(Points(comparison.notes, title="What the figures cover", soft=True))
    return Section("comparison", "Comparison", blocks)
