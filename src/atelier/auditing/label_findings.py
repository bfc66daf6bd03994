"""What is to be said of labels, in the order in which a person should look at it."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..evaluation.tables import percent, text_table
from ..storage import write_text

_SHOWN = 20
_SHOWN_PAIRS = 5
_POSITIONS = ("position", "nearest_given", "nearest_suggested")


@dataclass(frozen=True)
class Suspect:
    """An image whose label is likely wrong.

    Attributes:
        rank: 1 is the most suspicious.
        image: a file, or ``train/12`` for the image of that id in the training part.
        part: train, validation or test.
        given: the label that it has.
        suggested: the class that networks take it for, which have not learned from it.
        confidence_given, confidence_suggested: their mean probabilities.
        position: among all images.
        nearest_given, nearest_suggested: positions of the training images of both classes that it
            is most like; -1 where there are none.
    """

    rank: int
    image: str
    part: str
    given: str
    suggested: str
    confidence_given: float
    confidence_suggested: float
    position: int
    nearest_given: int
    nearest_suggested: int


@dataclass(frozen=True)
class Overlap:
    """Two classes that are taken for each other.

    Attributes:
        first, second: class names.
        first_as_second: images labeled `first` that look like `second`.
        second_as_first: the other way.
        share: both, of all images of the two.
    """

    first: str
    second: str
    first_as_second: int
    second_as_first: int
    share: float

    def __str__(self) -> str:
        def images(count: int) -> str:
            return f"{count:,} {'image' if count == 1 else 'images'}"

        return (
            f"{images(self.first_as_second)} labeled {self.first} "
            f"{'looks' if self.first_as_second == 1 else 'look'} like {self.second}, and "
            f"{images(self.second_as_first)} the other way: {percent(self.share, 1)} of the two"
        )


@dataclass(frozen=True)
class Outlier:
    """An image that is far from all others.

    Attributes:
        image: as of a suspect.
        part: train, validation or test.
        given: its label.
        distance: the mean distance to the ten images that it is most like, as a multiple of the
            usual one.
        position: among all images.
    """

    image: str
    part: str
    given: str
    distance: float
    position: int


@dataclass(frozen=True, repr=False, eq=False)
class LabelAudit:
    """What networks said of labels that they had not learned from.

    Attributes:
        source: what the user calls the data set.
        classes: their names.
        recipe: of the networks.
        folds: how many networks.
        seconds: that they took.
        agreement: by part, the share of images whose label the networks agree with.
        suspects: the labels that are likely wrong, the most suspicious first.
        overlaps: pairs of classes, those that overlap most first.
        outliers: the farthest first.
        ranking: (N,) positions of all images, the most suspicious first.
    """

    source: str
    classes: tuple[str, ...]
    recipe: str
    folds: int
    seconds: float
    agreement: Mapping[str, float]
    suspects: tuple[Suspect, ...]
    overlaps: tuple[Overlap, ...]
    outliers: tuple[Outlier, ...]
    ranking: npt.NDArray[np.int64]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "recipe": self.recipe,
            "folds": self.folds,
            "seconds": self.seconds,
            "agreement": dict(self.agreement),
            "suspects": [_row(suspect) for suspect in self.suspects],
            "overlaps": [asdict(pair) for pair in self.overlaps],
            "outliers": [_row(outlier) for outlier in self.outliers],
        }

    def __str__(self) -> str:
        agreed = ", ".join(f"{percent(share)} of {part}" for part, share in self.agreement.items())
        by_part = Counter(suspect.part for suspect in self.suspects)
        counted = ", ".join(f"{by_part[part]:,} {part}" for part in self.agreement)
        networks = f"{self.folds} networks ({self.recipe}), asked about images new to them,"
        said = [
            f"{networks} agree with the labels of {agreed} images",
            f"labels likely wrong: {len(self.suspects):,} ({counted})",
        ]
        if self.suspects:
            header = ["rank", "label", "looks like", "by", "image"]
            rows = [
                [
                    f"{suspect.rank}",
                    suspect.given,
                    suspect.suggested,
                    percent(suspect.confidence_suggested, 1),
                    suspect.image,
                ]
                for suspect in self.suspects[:_SHOWN]
            ]
            said.append(text_table(header, rows))
        if self.overlaps:
            lines = "\n".join(map(str, self.overlaps[:_SHOWN_PAIRS]))
            said.append(f"classes that overlap\n{lines}")
        if self.outliers:
            named = ", ".join(outlier.image for outlier in self.outliers[:_SHOWN_PAIRS])
            said.append(f"images like no other: {len(self.outliers):,}, first {named}")
        return "\n\n".join(said)

    __repr__ = __str__

    def overlap_table(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows, those that overlap most first."""
        header = ["classes", "first as second", "second as first", "share of both"]
        return header, [
            [
                f"{pair.first} and {pair.second}",
                f"{pair.first_as_second:,}",
                f"{pair.second_as_first:,}",
                percent(pair.share, 1),
            ]
            for pair in self.overlaps
        ]

    def write_csv(self, path: str | Path) -> Path:
        """Write the suspects as a file of corrections, whose column ``action`` is empty.

        Whoever has looked at an image writes there ``keep``, ``relabel`` (to the class that is
        suggested), ``drop`` or the name of the right class. The file is then a data set itself.

        Raises:
            StorageError: no space or no permission.
        """
        header = ["rank", "image", "part", "given", "suggested"]
        header += ["confidence_given", "confidence_suggested", "action", "data"]
        rows = [
            [
                *(suspect.rank, suspect.image, suspect.part, suspect.given, suspect.suggested),
                f"{suspect.confidence_given:.4f}",
                f"{suspect.confidence_suggested:.4f}",
                "",
                self.source,
            ]
            for suspect in self.suspects
        ]
        return _write_table(path, header, rows)

    def write_outliers(self, path: str | Path) -> Path:
        """Write the outliers as a table.

        Raises:
            StorageError: no space or no permission.
        """
        rows = [
            [outlier.image, outlier.part, outlier.given, f"{outlier.distance:.3f}"]
            for outlier in self.outliers
        ]
        return _write_table(path, ["image", "part", "given", "distance"], rows)


def _write_table(path: str | Path, header: list[str], rows: list[list[Any]]) -> Path:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, table.getvalue())
    return Path(path)


def _row(found: Suspect | Outlier) -> dict[str, Any]:
    return {name: value for name, value in asdict(found).items() if name not in _POSITIONS}
