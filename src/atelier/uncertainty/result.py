"""What `uncertainty` has found, as it is printed and kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from ..errors import RunError
from ..evaluation.conformal import Coverage
from ..evaluation.detection import Share
from ..evaluation.reliability import CalibrationError, ReliabilityBin
from ..evaluation.selective import RiskCoverage
from ..evaluation.tables import percent, percent_range, text_table
from ..runs import Run, read_json
from ..storage import write_json

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FORMAT_VERSION = 1
_FILE = "uncertainty.json"
_COVERAGES = (0.5, 0.7, 0.8, 0.9, 0.95, 1.0)
_AGAIN = "Make it anew with `atelier uncertainty`"


@dataclass(frozen=True)
class ProbabilityScores:
    """What the probabilities of one calibration are worth.

    Attributes:
        method: ``as trained``, ``temperature`` or ``isotonic``.
        ece: over 15 bins of equal width.
        ece_equal_mass: over 15 bins of equally many images.
        brier: the mean squared distance from the truth, 0 to 2.
        nll: the mean negative log-likelihood of the true class, in nats.
        bins: the points of the reliability diagram, of equal width.
    """

    method: str
    ece: CalibrationError
    ece_equal_mass: CalibrationError
    brier: float
    nll: float
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True)
class Detection:
    """How well one score tells one set of unknown images from the known ones.

    Attributes:
        score: of `detectors.SCORES`.
        unknowns: the name of the set.
        images: of the set.
        auroc: the area under the ROC curve.
        passing: the share of unknown images at or above the threshold of the score.
        roc: points (unknown images that pass, known images that pass).
        histogram: shares of the set in the bins of the score's `Detector`.
    """

    score: str
    unknowns: str
    images: int
    auroc: Share
    passing: Share
    roc: tuple[tuple[float, float], ...]
    histogram: tuple[float, ...]


@dataclass(frozen=True)
class Detector:
    """One score of known images.

    Attributes:
        score: of `detectors.SCORES`.
        threshold: that 95 % of the images reach which it was set on.
        kept: the share of the judged known images that reach it.
        edges: of the histograms' bins.
        histogram: shares of the judged known images in them.
        mean_auroc: over the sets of unknown images.
    """

    score: str
    threshold: float
    kept: Share
    edges: tuple[float, ...]
    histogram: tuple[float, ...]
    mean_auroc: float


@dataclass(frozen=True, repr=False)
class Uncertainty:
    """How much a run's probabilities can be trusted, and what it does with the unknown.

    Attributes:
        run: its name.
        part: that it was judged on, test or validation.
        images: of that part.
        held_out: validation images that temperature, curve, sets and thresholds were fitted on; 0
            where none were held out.
        temperature: None where nothing was held out.
        level: the promised share of sets that hold the true class.
        notes: what a reader must know.
        probabilities: as trained, and calibrated where images were held out.
        selective: the risk-coverage curve of each way to order the answers.
        conformal: one for each kind of sets; empty where nothing was held out.
        detectors: one for each score.
        detections: one for each score and set of unknown images.
        known: the judged known images that the scores were computed for.
    """

    run: str
    part: str
    images: int
    held_out: int
    temperature: float | None
    level: float
    notes: tuple[str, ...]
    probabilities: tuple[ProbabilityScores, ...]
    selective: tuple[RiskCoverage, ...]
    conformal: tuple[Coverage, ...]
    detectors: tuple[Detector, ...]
    detections: tuple[Detection, ...]
    known: int
    format_version: int = FORMAT_VERSION

    @property
    def served(self) -> ProbabilityScores:
        """The probabilities that predictions, exports and services give."""
        return self.probabilities[1 if self.held_out else 0]

    @property
    def sets(self) -> Coverage | None:
        """The sets that `predict` gives; None where nothing was held out."""
        return self.conformal[0] if self.conformal else None

    @property
    def best_score(self) -> str:
        """That with the largest mean area over the sets of unknown images."""
        return max(self.detectors, key=lambda row: row.mean_auroc).score

    @property
    def unknowns(self) -> tuple[str, ...]:
        """The names of the sets of unknown images."""
        return tuple(dict.fromkeys(row.unknowns for row in self.detections))

    def detection(self, score: str, unknowns: str) -> Detection:
        """The row of a score and a set."""
        return next(
            row for row in self.detections if (row.score, row.unknowns) == (score, unknowns)
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain: dict[str, Any] = _adapter().dump_python(self, mode="json")
        return plain

    def save(self, run: Run) -> None:
        """Write ``uncertainty.json`` into the run's folder, whole or not at all."""
        write_json(run.path / _FILE, self.to_dict())

    def __str__(self) -> str:
        fitted = (
            f"fitted on {self.held_out:,} validation images"
            if self.held_out
            else "nothing could be fitted, for no images were held out"
        )
        parts = [
            f"{self.run}: judged on {self.images:,} {self.part} images; {fitted}",
            "probabilities\n" + text_table(*self.probability_table()),
            "accuracy of the surest answers\n" + text_table(*self.selective_table()),
        ]
        if self.conformal:
            head = f"sets that are to hold the true class of {100 * self.level:.4g} % of the images"
            low, high = self.conformal[0].expected
            parts.append(
                f"{head}; by chance {percent_range((low, high), 1)}\n"
                + text_table(*self.conformal_table())
            )
        parts.append(
            f"known images above unknown ones (AUROC, {self.known:,} known)\n"
            + text_table(*self.auroc_table())
        )
        parts.append(
            "unknown images that pass where 95 % of the known ones do\n"
            + text_table(*self.passing_table())
        )
        parts += self.notes
        return "\n\n".join(parts)

    __repr__ = __str__  # as of an evaluation: in a notebook a wall of numbers helps nobody

    def probability_table(self) -> tuple[list[str], list[list[str]]]:
        """The header and the cells, as text."""
        header = ["", "ECE", "95 % interval", "by chance", "equal mass", "95 % interval", "Brier",
                  "NLL"]  # fmt: skip
        return header, [
            [
                row.method + (f" {self.temperature:.3f}" if row.method == "temperature" else ""),
                percent(row.ece.value),
                percent_range(row.ece.interval),
                percent(row.ece.by_chance),
                percent(row.ece_equal_mass.value),
                percent_range(row.ece_equal_mass.interval),
                f"{row.brier:.4f}",
                f"{row.nll:.4f}",
            ]
            for row in self.probabilities
        ]

    def selective_table(self) -> tuple[list[str], list[list[str]]]:
        """The header and the cells, as text."""
        header = ["ordered by", *(percent(c, 0) for c in _COVERAGES), "AURC", "above the least"]
        return header, [
            [
                row.score,
                *(percent(row.accuracy_at(c)) for c in _COVERAGES),
                percent(row.aurc),
                percent(row.excess),
            ]
            for row in self.selective
        ]

    def conformal_table(self) -> tuple[list[str], list[list[str]]]:
        """The header and the cells, as text."""
        header = ["sets", "hold it", "95 % interval", "classes", "of one", "empty", "least covered"]
        return header, [
            [
                row.method,
                percent(row.share),
                percent_range((row.low, row.high)),
                f"{row.mean_size:.2f}",
                percent(row.sizes[1] / row.images, 1),
                percent(row.sizes[0] / row.images, 1),
                f"{row.worst.name} {percent(row.worst.covered / row.worst.images, 1)}",
            ]
            for row in self.conformal
        ]

    def auroc_table(self) -> tuple[list[str], list[list[str]]]:
        """The header and the cells, as text."""
        scores = [row.score for row in self.detectors]
        rows = [
            [name, *(_share(self.detection(score, name).auroc) for score in scores)]
            for name in self.unknowns
        ]
        rows.append(["mean", *(percent(row.mean_auroc) for row in self.detectors)])
        return ["unknown", *scores], rows

    def passing_table(self) -> tuple[list[str], list[list[str]]]:
        """The header and the cells, as text."""
        scores = [row.score for row in self.detectors]
        rows = [
            [name, *(_share(self.detection(score, name).passing) for score in scores)]
            for name in self.unknowns
        ]
        rows.append([f"known ({self.part})", *(_share(row.kept) for row in self.detectors)])
        return ["passing", *scores], rows


def load_uncertainty(run: Run) -> Uncertainty | None:
    """What `uncertainty` has kept with a run; None where it was not asked.

    Raises:
        RunError: what is kept is damaged, or of another version.
    """
    path = run.path / _FILE
    if not path.is_file():
        return None
    kept = read_json(path)
    if kept.get("format_version") != FORMAT_VERSION:
        raise RunError(f"{path} is of another version of atelier", fix=_AGAIN)
    try:
        return _adapter().validate_python(kept)
    except ValueError as error:
        raise RunError(f"{path} is damaged", fix=_AGAIN) from error


@cache
def _adapter() -> TypeAdapter[Uncertainty]:
    from pydantic import TypeAdapter

    return TypeAdapter(Uncertainty)


def _share(share: Share) -> str:
    return f"{percent(share.value, 1)} ({100 * share.low:.1f} to {100 * share.high:.1f})"
