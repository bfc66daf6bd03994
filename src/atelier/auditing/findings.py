"""What an audit found, in the order in which a person should look at it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..data.duplicates import Pairs
from ..evaluation.tables import text_table
from ..storage import write_text
from .collection import Collection
from .label_findings import LabelAudit
from .lookalikes import Lookalikes

Kind = Literal["exact", "near", "mirrored", "look-alike"]
_KINDS: tuple[Kind, ...] = ("exact", "near", "mirrored", "look-alike")
_SHOWN = 20
_NAMED = 5
_POSITIONS = ("first", "second")


@dataclass(frozen=True)
class PairFinding:
    """Two images that show the same.

    Attributes:
        file_a, file_b: files, or ``train/12`` for the 13th image of the training part.
        part_a, part_b: train, validation or test.
        label_a, label_b: class names.
        kind: ``exact`` (the same pixels), ``near`` (compressed, scaled or lightened), ``mirrored``,
            ``look-alike`` (near only to a trained network: to be looked at).
        distance: bits in which the perceptual hashes differ; of look-alikes 1 - cosine similarity.
        first, second: positions among all images.
    """

    file_a: str
    file_b: str
    part_a: str
    part_b: str
    label_a: str
    label_b: str
    kind: Kind
    distance: float
    first: int
    second: int

    @property
    def contradicts(self) -> bool:
        """Whether the labels differ."""
        return self.label_a != self.label_b

    @property
    def leaks(self) -> bool:
        """Whether the parts differ, so that what is judged by has been learned."""
        return self.part_a != self.part_b


@dataclass(frozen=True)
class SmallPhoto:
    """A photo that is enlarged more than twice; sides in pixels."""

    file: str
    width: int
    height: int


@dataclass(frozen=True, repr=False)
class Audit:
    """What was found in a data set.

    Attributes:
        name: of the data set.
        counts: images by part.
        pairs: the worst first: labels that differ, then parts that differ, then by kind.
        constant: names of the images that show one color.
        small: photos with hardly any pixels.
        warnings: sentences on classes with too few images.
        notes: what was left out, or could not be looked at.
        labels: which labels are likely wrong; None where that was not asked.
    """

    name: str
    counts: Mapping[str, int]
    pairs: tuple[PairFinding, ...]
    constant: tuple[str, ...]
    small: tuple[SmallPhoto, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()
    labels: LabelAudit | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "images": dict(self.counts),
            "pairs": [_row(pair) for pair in self.pairs],
            "constant": list(self.constant),
            "small": [asdict(photo) for photo in self.small],
            "warnings": list(self.warnings),
            "notes": list(self.notes),
            **({} if self.labels is None else {"labels": self.labels.to_dict()}),
        }

    def __str__(self) -> str:
        sizes = ", ".join(f"{count:,} {part}" for part, count in self.counts.items())
        parts = [f"{self.name}: {sizes} images", text_table(*self._count_table())]
        if self.pairs:
            shown = self.pairs[:_SHOWN]
            title = "the pairs to look at"
            if len(self.pairs) > _SHOWN:
                title += f" first, {_SHOWN} of {len(self.pairs):,}"
            header = ["kind", "distance", "label", "other label", "image", "other image"]
            rows = [
                [
                    pair.kind,
                    _distance(pair),
                    pair.label_a,
                    pair.label_b if pair.contradicts else "the same",
                    _place(pair.file_a, pair.part_a),
                    _place(pair.file_b, pair.part_b),
                ]
                for pair in shown
            ]
            parts.append(f"{title}\n{text_table(header, rows)}")
        said = [*self.warnings]
        if self.constant:
            said.append(f"of one color are {_some(self.constant)}")
        if self.small:
            words = [f"{photo.file} ({photo.width} x {photo.height})" for photo in self.small]
            said.append(f"enlarged more than twice are {_some(words)}")
        said += self.notes
        if said:
            parts.append("\n".join(said))
        if self.labels is not None:
            parts.append(str(self.labels))
        return "\n\n".join(parts)

    __repr__ = __str__

    def write_csv(self, path: str | Path) -> Path:
        """Write all pairs as a table, whole or not at all.

        Raises:
            StorageError: no space or no permission.
        """
        table = io.StringIO()
        names = [name for name in PairFinding.__dataclass_fields__ if name not in _POSITIONS]
        writer = csv.DictWriter(table, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(_row(pair) for pair in self.pairs)
        write_text(path, table.getvalue())
        return Path(path)

    def _count_table(self) -> tuple[list[str], list[list[str]]]:
        header = ["pairs that show the same", "in all", "labels differ", "across parts"]
        rows = []
        for kind in _KINDS:
            own = [pair for pair in self.pairs if pair.kind == kind]
            if own or kind != "look-alike":
                differ, leak = sum(p.contradicts for p in own), sum(p.leaks for p in own)
                rows.append([kind, f"{len(own):,}", f"{differ:,}", f"{leak:,}"])
        return header, rows


def ranked_pairs(
    collection: Collection, copies: Pairs, lookalikes: Lookalikes | None
) -> tuple[PairFinding, ...]:
    """All pairs, the worst first; look-alikes only where they are no copies already."""
    kinds = np.where(copies.mirrored, 2, np.where(copies.exact, 0, 1))
    found = list(
        zip(
            copies.first.tolist(),
            copies.second.tolist(),
            kinds.tolist(),
            copies.distance.tolist(),
            strict=True,
        )
    )
    if lookalikes is not None:
        known = {(i, j) for i, j, *_ in found}
        found += [
            (i, j, 3, distance)
            for i, j, distance in zip(*_lists(lookalikes), strict=True)
            if (i, j) not in known
        ]
    classes, parts, names = collection.dataset.classes, collection.parts, collection.names
    pairs = [
        PairFinding(
            names[i],
            names[j],
            parts[collection.part[i]],
            parts[collection.part[j]],
            classes[collection.labels[i]],
            classes[collection.labels[j]],
            _KINDS[kind],
            distance,
            i,
            j,
        )
        for i, j, kind, distance in found
    ]
    return tuple(
        sorted(
            pairs,
            key=lambda pair: (
                pair.kind == "look-alike",
                not pair.contradicts,
                not pair.leaks,
                _KINDS.index(pair.kind),
                pair.distance,
                pair.first,
                pair.second,
            ),
        )
    )


def _lists(lookalikes: Lookalikes) -> tuple[list[Any], list[Any], list[Any]]:
    return lookalikes.first.tolist(), lookalikes.second.tolist(), lookalikes.distance.tolist()


def _row(pair: PairFinding) -> dict[str, Any]:
    return {name: value for name, value in asdict(pair).items() if name not in _POSITIONS}


def _distance(pair: PairFinding) -> str:
    return f"{pair.distance:.4f}" if pair.kind == "look-alike" else f"{pair.distance:g} bits"


def _place(file: str, part: str) -> str:
    """The file, and its part where the path does not say it."""
    return file if file.startswith(f"{part}/") else f"{file} ({part})"


def _some(names: list[str] | tuple[str, ...]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f"{len(names):,} {'image' if len(names) == 1 else 'images'}: " + (
        ", ".join(names[:_NAMED]) + more
    )
