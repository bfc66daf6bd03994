"""What a few-shot evaluation has found, and how it is kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..evaluation.tables import percent, percent_range, text_table
from ..runs import Run, read_json
from ..storage import write_json

_FILE = "few_shot.json"


@dataclass(frozen=True)
class Score:
    """The mean accuracy of a classifier over the episodes, with its 95 % interval."""

    classifier: str
    accuracy: float
    interval: tuple[float, float]


@dataclass(frozen=True, repr=False)
class FewShot:
    """W-way S-shot accuracies of a run.

    Attributes:
        run: the run's name.
        part: ``development``, or ``final`` of the test images.
        classes: names of those that episodes are drawn from.
        images: how many images of them there are.
        ways: W, classes of an episode.
        shots: S, images by which each of them is known.
        queries: images of each that are assigned.
        episodes: how many were drawn.
        seed: of the draw.
        scores: of each classifier.
        notes: sentences that who reads the scores must know.
    """

    run: str
    part: str
    classes: tuple[str, ...]
    images: int
    ways: int
    shots: int
    queries: int
    episodes: int
    seed: int
    scores: tuple[Score, ...]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        table = text_table(
            ["classifier", "accuracy", "95 % interval"],
            [
                [score.classifier, percent(score.accuracy), percent_range(score.interval)]
                for score in self.scores
            ],
        )
        what = "test images" if self.part == "final" else "images that it was not trained on"
        head = (
            f"{self.run}: {self.ways}-way {self.shots}-shot, {self.episodes:,} episodes of "
            f"{self.queries} queries a class (seed {self.seed})\n"
            f"from {self.images:,} {what}: {', '.join(self.classes)}"
        )
        return "\n".join([head, "", table, *(f"\nnote: {note}" for note in self.notes)])

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def save(self, run: Run) -> None:
        """Keep it in the run folder, beside that of the other part."""
        path = run.path / _FILE
        kept = read_json(path) if path.is_file() else {}
        write_json(path, {**kept, self.part: self.to_dict()})
