"""Whether an export answers as its run does: measured before it is called done."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..evaluation import mcnemar_exact
from ..evaluation.tables import p_value, percent
from ..exported import Answers
from ..predictions import Predictions

TIE = 1e-4
"""Of two logits: below it, rounding decides which is larger, and neither answer is wrong."""
LARGEST_PROB_DIFFERENCE = 1e-3
"""Between the probabilities of a run and of its float32 export."""
LEAST_AGREEMENT = 0.99
"""Of an int8 export, on images like those of the data set."""
LEAST_ODD_AGREEMENT = 0.9
"""Of an int8 export, on images that are no garments: there its run only guesses, too."""
LARGEST_LOSS = 0.002
"""Of an int8 export's accuracy."""
_FEW = 1000  # images; below, one more or less may be over a bar by chance
_SIGNIFICANCE = 0.05

Precision = Literal["float32", "int8"]
_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Agreement:
    """How near the answers of an export are to its run's, on the same images.

    Attributes:
        images: their number.
        ties: those whose two largest logits lie within `TIE` in the run's answer.
        differing: those outside ties of which the two name different classes.
        largest_logit_difference: over all images and classes.
        largest_prob_difference: likewise, of calibrated probabilities.
    """

    images: int
    ties: int
    differing: int
    largest_logit_difference: float
    largest_prob_difference: float

    @property
    def share(self) -> float:
        """Of the images that are not told apart, in 0..1."""
        return 1 - self.differing / max(1, self.images)


@dataclass(frozen=True)
class AccuracyDifference:
    """How many of the same labeled images the run and its export get right.

    Attributes:
        run: accuracy, in 0..1.
        export: likewise.
        only_run: images that only the run gets right.
        only_export: images that only the export gets right.
        p: that both are right equally often, by McNemar's exact test.
    """

    run: float
    export: float
    only_run: int
    only_export: int
    p: float


@dataclass(frozen=True)
class Parity:
    """What was measured of an export, and what of it misses a bar.

    Attributes:
        precision: of the export.
        images: what the labeled images are called.
        labeled: agreement on them.
        accuracy: on them.
        odd: agreement on images that no data set has, read as `predict` reads them.
        failures: sentences on each bar that was missed; empty where the export is as good as said.
    """

    precision: Precision
    images: str
    labeled: Agreement
    accuracy: AccuracyDifference
    odd: Agreement
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether no bar was missed."""
        return not self.failures

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "passed": self.passed,
            **asdict(self),
            "labeled": {**asdict(self.labeled), "agreement": self.labeled.share},
            "odd": {**asdict(self.odd), "agreement": self.odd.share},
            "bars": {
                "tie_logits": TIE,
                "largest_prob_difference": LARGEST_PROB_DIFFERENCE,
                "least_agreement": 1.0 if self.precision == "float32" else LEAST_AGREEMENT,
                "least_odd_agreement": 1.0 if self.precision == "float32" else LEAST_ODD_AGREEMENT,
                "largest_accuracy_loss": LARGEST_LOSS,
            },
        }

    def __str__(self) -> str:
        accuracy = self.accuracy
        return (
            f"{self.images}: {_said(self.labeled)}\n"
            f"odd images: {_said(self.odd)}\n"
            f"accuracy: run {percent(accuracy.run)}, export {percent(accuracy.export)} "
            f"({accuracy.only_run:,} right by the run alone, {accuracy.only_export:,} by the "
            f"export alone; {p_value(accuracy.p)})"
        )


def agreement(reference: _Floats, temperature: float, answers: Answers) -> Agreement:
    """Compare an export's answers with its run's.

    Args:
        reference: (N, K) logits of the run.
        temperature: of the run.
        answers: of the export, to the same images.
    """
    ranked = np.sort(reference, axis=1)
    tied = (
        ranked[:, -1] - ranked[:, -2] < TIE
        if reference.shape[1] > 1
        else np.zeros(len(reference), bool)
    )
    other = reference.argmax(axis=1) != answers.logits.argmax(axis=1)
    nothing = np.zeros(len(reference), np.int64)
    names = tuple(map(str, range(reference.shape[1])))
    scaled = (reference / temperature).astype(np.float32)
    probs = Predictions(nothing, nothing, scaled, names).probs
    return Agreement(
        images=len(reference),
        ties=int(tied.sum()),
        differing=int((other & ~tied).sum()),
        largest_logit_difference=_largest(answers.logits, reference),
        largest_prob_difference=_largest(answers.probs, probs),
    )


def accuracy_difference(
    reference: _Floats, logits: _Floats, labels: npt.NDArray[np.int64]
) -> AccuracyDifference:
    """Compare how many labeled images the two get right.

    Args:
        reference: (N, K) logits of the run.
        logits: (N, K) of the export.
        labels: (N,) true classes.
    """
    by_run = reference.argmax(axis=1) == labels
    by_export = logits.argmax(axis=1) == labels
    return AccuracyDifference(
        run=float(by_run.mean()),
        export=float(by_export.mean()),
        only_run=int((by_run & ~by_export).sum()),
        only_export=int((by_export & ~by_run).sum()),
        p=mcnemar_exact(by_run, by_export),
    )


def judge(
    precision: Precision,
    images: str,
    labeled: Agreement,
    accuracy: AccuracyDifference,
    odd: Agreement,
) -> Parity:
    """Hold what was measured against the bars.

    A float32 export names the same class everywhere outside ties. An int8 export loses at most 0.2
    points of accuracy and agrees on 99 % of the labeled images; of fewer than 1,000 images it fails
    only where a test tells what it misses from chance (McNemar's, and the binomial's).
    """
    failures = []
    if not np.isfinite([labeled.largest_logit_difference, odd.largest_logit_difference]).all():
        failures.append("it gives logits that are not finite")
    parts = ((images, labeled, LEAST_AGREEMENT), ("odd images", odd, LEAST_ODD_AGREEMENT))
    for name, found, least in parts:
        if not _agrees(found, 1.0 if precision == "float32" else least):
            failures.append(
                f"{found.differing:,} of {found.images:,} {name} are given another class (largest "
                f"logit difference {found.largest_logit_difference:.3g})"
            )
        elif precision == "float32" and found.largest_prob_difference > LARGEST_PROB_DIFFERENCE:
            failures.append(
                f"probabilities of {name} differ by up to {found.largest_prob_difference:.3g}"
            )
    lost = (accuracy.only_run - accuracy.only_export) / max(1, labeled.images)
    told_apart = labeled.images >= _FEW or accuracy.p < _SIGNIFICANCE
    if lost > LARGEST_LOSS and told_apart:
        failures.append(
            f"its accuracy is {percent(accuracy.export)} where the run's is "
            f"{percent(accuracy.run)} ({p_value(accuracy.p)})"
        )
    return Parity(precision, images, labeled, accuracy, odd, tuple(failures))


def _agrees(found: Agreement, least: float) -> bool:
    if found.share >= least:
        return True
    if least == 1 or found.images >= _FEW:
        return False
    from scipy.stats import binomtest

    test = binomtest(found.differing, found.images, 1 - least, alternative="greater")
    return float(test.pvalue) >= _SIGNIFICANCE


def _largest(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    return float(np.abs(a - b).max(initial=0))


def _said(found: Agreement) -> str:
    return (
        f"{found.images - found.differing:,} of {found.images:,} are given the same class "
        f"({found.ties:,} ties), logits differ by up to {found.largest_logit_difference:.2g}"
    )
