"""What a report is made of: sections with words, tables and pictures, as plain data.

A topic's function says what is to be seen (`topics/`); `page` and the template say how.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ..drawing.picture import Picture


@dataclass(frozen=True, eq=False)
class Words:
    """A paragraph."""

    kind: ClassVar[str] = "words"
    text: str


@dataclass(frozen=True, eq=False)
class Points:
    """A list of sentences; `soft` is for what qualifies them."""

    kind: ClassVar[str] = "points"
    lines: Sequence[str]
    title: str = ""
    soft: bool = False


@dataclass(frozen=True, eq=False)
class Facts:
    """Names with their values."""

    kind: ClassVar[str] = "facts"
    items: Sequence[tuple[str, str]]


@dataclass(frozen=True, eq=False)
class Table:
    """Cells as text, the first column naming its row; `folded` begins closed."""

    kind: ClassVar[str] = "table"
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: bool = False


@dataclass(frozen=True, eq=False)
class Code:
    """What is to be typed."""

    kind: ClassVar[str] = "code"
    text: str
    title: str = ""


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture; `folded` begins closed."""

    kind: ClassVar[str] = "picture"
    picture: Picture
    folded: bool = False


Block = Words | Points | Facts | Table | Code | Shown


@dataclass(frozen=True, eq=False)
class Section:
    """One topic, or within it one run or one aspect.

    Attributes:
        key: its anchor; those of parts are put behind that of their section.
        title: its heading.
        blocks: what it says, in order.
        parts: of one run or one aspect each; they have no parts of their own.
        missing: where there is nothing to be said, why, and how to have it.
        folded: a part that begins closed.
    """

    key: str
    title: str
    blocks: Sequence[Block] = ()
    parts: Sequence[Section] = ()
    missing: str = ""
    folded: bool = False

    def pictures(self) -> Iterator[Picture]:
        """Every picture, in order."""
        for block in self.blocks:
            if isinstance(block, Shown):
                yield block.picture
        for part in self.parts:
            yield from part.pictures()


def for_each_run(
    key: str,
    title: str,
    runs: Mapping[str, Sequence[Block]],
    *,
    best: str,
    blocks: Sequence[Block] = (),
) -> Section | None:
    """A section with a part for each run that has something to say, closed but for the best.

    Args:
        key: the section's anchor.
        title: its heading.
        runs: for each run's name, what is said of it.
        best: the run that is shown open.
        blocks: what is said of all of them, before.

    Returns:
        None where nothing is said. What is said of a single run needs no heading of its own.
    """
    said = {name: own for name, own in runs.items() if own}
    if len(runs) == 1:
        blocks = [*blocks, *(block for own in said.values() for block in own)]
        said = {}
    if not blocks and not said:
        return None
    parts = [
        Section(f"run-{number}", name, own, folded=name != best)
        for number, (name, own) in enumerate(said.items(), start=1)
    ]
    return Section(key, title, blocks, parts)
