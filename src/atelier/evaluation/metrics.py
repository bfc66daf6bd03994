"""How good one run's predictions are.

Precision, recall, F1 and the confusion matrix are scikit-learn's; the expected calibration error
is that of Guo et al. 2017, arXiv 1706.04599.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import RunError
from ..predictions import Predictions
from .significance import mean_proportion_interval, wilson_interval
from .tables import html_table, percent, percent_range, text_table

if TYPE_CHECKING:
    from .calibration import CalibratedScores

_TOP_CONFUSIONS = 10
_UNEVEN = 1.5


@dataclass(frozen=True)
class ClassScore:
    """One class. A score without a denominator is NaN: recall where the class has no test image,
    precision where it was never predicted, F1 where neither happened.
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Confusion:
    """`count` images of class `true` were called `predicted`: `share` of that class's images."""

    true: str
    predicted: str
    count: int
    share: float


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """The scores of one run on N images of K classes; shares are in 0..1.

    Attributes:
        n: the number of images.
        accuracy: the share of images whose largest logit is at the true class.
        interval: the 95 % Wilson interval of `accuracy`. It covers the draw of the test images
            for this one trained model. It does not cover training again with another seed.
        per_class: K rows in the order of the classes.
        macro_precision, macro_recall, macro_f1: unweighted means over the classes that occur
            among the labels or the predictions; a score without a denominator counts as 0 there
            (scikit-learn's convention).
        balanced_accuracy: the mean recall of the classes that occur among the labels.
        balanced_interval: its 95 % interval from the Wilson intervals of the recalls (Zou & Donner
            2008), for this one trained model; None where nobody computed it.
        top_confusions: the off-diagonal cells of `confusion`, largest first, at most 10.
        confusion: (K, K) int64, rows are true classes, columns predicted ones.
        nll: the mean negative log-likelihood of the true class, in nats.
        ece: the expected calibration error over 15 equal-width bins of the confidence.
        images: what the images are called: test images, say.
        note: what a reader must know of them; empty where they are what one expects.
        calibrated: the scores of the calibrated probabilities, where the run has a temperature.
        coverage: for shares of wrong answers, the largest share of the images, surest first, among
            which no larger share is wrong.
    """

    n: int
    accuracy: float
    interval: tuple[float, float]
    per_class: tuple[ClassScore, ...]
    macro_precision: float
    macro_recall: float
    macro_f1: float
    balanced_accuracy: float
    top_confusions: tuple[Confusion, ...]
    confusion: npt.NDArray[np.int64]
    nll: float
    ece: float
    images: str = "images"
    note: str = ""
    calibrated: CalibratedScores | None = None
    coverage: Mapping[float, float] = field(default_factory=dict)
    balanced_interval: tuple[float, float] | None = None

    @property
    def uneven(self) -> bool:
        """Whether the largest class among the labels is over 1.5 times the smallest. Accuracy then
        says most of the large classes, and the scores that weigh all alike come first."""
        supports = [row.support for row in self.per_class if row.support]
        return max(supports) > _UNEVEN * min(supports)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a score without a denominator is None."""
        return {
            "n": self.n,
            "images": self.images,
            "note": self.note,
            "accuracy": self.accuracy,
            "accuracy_interval_95": list(self.interval),
            "macro_precision": self.macro_precision,
            "macro_recall": self.macro_recall,
            "macro_f1": self.macro_f1,
            "balanced_accuracy": self.balanced_accuracy,
            "balanced_accuracy_interval_95": (
                None if self.balanced_interval is None else list(self.balanced_interval)
            ),
            "uneven": self.uneven,
            "nll": self.nll,
            "ece": self.ece,
            "calibrated": None if self.calibrated is None else asdict(self.calibrated),
            "coverage_at_error": {f"{error:g}": part for error, part in self.coverage.items()},
            "per_class": [
                {key: None if value != value else value for key, value in asdict(row).items()}
                for row in self.per_class
            ],
            "top_confusions": [asdict(row) for row in self.top_confusions],
            "confusion": self.confusion.tolist(),
        }

    def __str__(self) -> str:
        parts = ["\n".join(self._summary()), text_table(*self.class_table())]
        if self.top_confusions:
            parts.append("most frequent confusions\n" + text_table(*self.confusion_table()))
        return "\n\n".join(parts)

    __repr__ = __str__  # in a notebook a wall of numbers helps nobody

    def _repr_html_(self) -> str:
        parts = [f"<p>{'<br>'.join(map(html.escape, self._summary()))}</p>"]
        parts.append(html_table(*self.class_table()))
        if self.top_confusions:
            parts.append("<p>most frequent confusions</p>" + html_table(*self.confusion_table()))
        return "\n".join(parts)

    def _summary(self) -> list[str]:
        covered = f"on {self.n:,} {self.images} (95 % interval "
        plain = f"accuracy {percent(self.accuracy)}"
        balanced = f"balanced accuracy {percent(self.balanced_accuracy)}"
        macro = (
            f"macro precision {percent(self.macro_precision)}, recall "
            f"{percent(self.macro_recall)}, F1 {percent(self.macro_f1)}"
        )
        within = percent_range(self.interval)
        if self.uneven:
            supports = [row.support for row in self.per_class if row.support]
            first = [
                (
                    f"{balanced} {covered}{percent_range(self.balanced_interval)}; "
                    "other seeds are not covered)"
                ),
                macro,
                (
                    f"{plain} (95 % interval {within}), where a class counts by its images, "
                    f"{min(supports):,} to {max(supports):,}"
                ),
            ]
        else:
            first = [
                f"{plain} {covered}{within}; other seeds are not covered)",
                f"{macro}; {balanced}",
            ]
        return [
            *first,
            f"NLL {self.nll:.4f} nats, calibration error (ECE) {percent(self.ece)}",
            *([] if self.calibrated is None else [str(self.calibrated)]),
            *([_say_coverage(self.coverage)] if self.coverage else []),
            *([self.note] if self.note else []),
        ]

    def class_table(self) -> tuple[list[str], list[list[str]]]:
        """The header and the cells of the table of classes, as text."""
        header = ["class", "precision", "recall", "F1", "images"]
        return header, [
            [row.name, *map(percent, (row.precision, row.recall, row.f1)), f"{row.support:,}"]
            for row in self.per_class
        ]

    def confusion_table(self) -> tuple[list[str], list[list[str]]]:
        """The header and the cells of the table of confusions, as text."""
        header = ["true class", "called", "images", "of the class"]
        return header, [
            [row.true, row.predicted, f"{row.count:,}", percent(row.share)]
            for row in self.top_confusions
        ]


def evaluate_predictions(predictions: Predictions) -> Evaluation:
    """Score a run's predictions.

    Raises:
        RunError: there is no image, a label is out of range, or a logit is not finite.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    _refuse_unusable(predictions)
    labels, predicted = predictions.labels, predictions.predicted
    classes = predictions.classes
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=np.arange(len(classes)), zero_division=np.nan
    )
    confusion: npt.NDArray[np.int64] = confusion_matrix(
        labels, predicted, labels=np.arange(len(classes))
    ).astype(np.int64)
    occurs = (confusion.sum(0) + confusion.sum(1)) > 0
    labeled = support > 0
    n, n_correct = len(labels), int(np.trace(confusion))

    def macro(scores: npt.NDArray[np.float64]) -> float:
        return float(np.nan_to_num(scores[occurs]).mean())

    return Evaluation(
        n=n,
        accuracy=n_correct / n,
        interval=wilson_interval(n_correct, n),
        per_class=tuple(
            ClassScore(name, float(precision[k]), float(recall[k]), float(f1[k]), int(support[k]))
            for k, name in enumerate(classes)
        ),
        macro_precision=macro(precision),
        macro_recall=macro(recall),
        macro_f1=macro(f1),
        balanced_accuracy=float(np.nanmean(recall)),
        top_confusions=_top_confusions(confusion, classes),
        confusion=confusion,
        nll=nll(predictions),
        ece=ece(predictions.probs, labels),
        balanced_interval=mean_proportion_interval(np.diag(confusion)[labeled], support[labeled]),
    )


def nll(predictions: Predictions) -> float:
    """The mean negative log-likelihood of the true class, in nats.

    From the logits and not from probabilities, so that a confident error costs what it costs:
    `sklearn.metrics.log_loss` clips probabilities.
    """
    logits = predictions.logits.astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    true = logits[np.arange(len(logits)), predictions.labels]
    return float((np.log(np.exp(logits).sum(axis=1)) - true).mean())


def ece(
    probs: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.integer[Any]], *, bins: int = 15
) -> float:
    """The expected calibration error of the predicted class (Guo et al. 2017), in 0..1.

    The mean over images of |accuracy - mean confidence| within the image's bin; the bins are
    (0, 1/bins], (1/bins, 2/bins], ...

    Args:
        probs: (N, K), N at least 1.
        labels: (N,) true classes.
        bins: the number of equal-width bins.
    """
    confidence = probs.max(axis=1).astype(np.float64)
    correct = probs.argmax(axis=1) == labels
    index = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    # |sum of correct - sum of confidence| is the bin's gap times its number of images.
    gap = np.bincount(index, weights=correct - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(labels))


def _say_coverage(coverage: Mapping[float, float]) -> str:
    shares = (f"{percent(part, 1)} at {percent(error, 0)}" for error, part in coverage.items())
    return f"coverage of the surest images by their error: {', '.join(shares)}"


def _refuse_unusable(predictions: Predictions) -> None:
    if len(predictions) == 0:
        raise RunError("there is no image to evaluate on", fix="Choose a split that holds images")
    last = len(predictions.classes) - 1
    if predictions.labels.min() < 0 or predictions.labels.max() > last:
        raise RunError(
            "the predictions hold a label that is no class",
            got=f"{predictions.labels.min()} to {predictions.labels.max()}",
            allowed=f"0 to {last}",
            fix="Run `atelier evaluate` on the run again with --refresh",
        )
    if not np.isfinite(predictions.logits).all():
        raise RunError(
            "the predictions hold logits that are not finite: the training has diverged",
            fix="Train again with a lower learning rate, such as --set train.lr=0.0003",
        )


def _top_confusions(
    confusion: npt.NDArray[np.int64], classes: tuple[str, ...]
) -> tuple[Confusion, ...]:
    errors = confusion.copy()
    np.fill_diagonal(errors, 0)
    order = np.argsort(-errors, axis=None, kind="stable")[:_TOP_CONFUSIONS]
    return tuple(
        Confusion(
            classes[t], classes[p], int(errors[t, p]), float(errors[t, p] / confusion[t].sum())
        )
        for t, p in zip(*np.unravel_index(order, errors.shape), strict=True)
        if errors[t, p] > 0
    )
