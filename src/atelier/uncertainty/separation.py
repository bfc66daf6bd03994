"""How well a run's scores tell known images from unknown ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..data import ImageSplit
from ..evaluation.detection import auroc, passing, passing_at, roc_points, threshold_keeping
from ..predictor import Outputs, Predictor
from ..progress import progress_bar
from .detectors import SCORES, Detectors
from .result import Detection, Detector
from .unknowns import UnknownImages

_BINS = 40
_EXAMPLES = 10

Images = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Example:
    """Some images of a set with what the run says of them.

    Attributes:
        name: of the set.
        images: (M, C, H, W) uint8.
        answers: the likeliest class of each.
        probabilities: of it, calibrated.
    """

    name: str
    images: Images
    answers: tuple[str, ...]
    probabilities: tuple[float, ...]


class Separation(NamedTuple):
    """What `separate` has found."""

    detectors: tuple[Detector, ...]
    detections: tuple[Detection, ...]
    examples: tuple[Example, ...]


def separate(
    predictor: Predictor,
    learned: ImageSplit,
    held_out: ImageSplit | None,
    known: ImageSplit,
    unknowns: list[UnknownImages],
    *,
    temperature: float | None,
    seed: int,
    progress: bool,
) -> Separation:
    """Ask the run for all images, and measure each score on each set of unknown images.

    Args:
        predictor: of the run.
        learned: training images, which distances are taken to.
        held_out: validation images, which thresholds are set on; None takes the known ones.
        known: judged images.
        unknowns: sets of other things.
        temperature: that calibrates; None for none.
        seed: of the resampling.
        progress: show a bar on standard error.
    """
    groups = [learned.images, known.images, *(held.images for held in [held_out] if held)]
    groups += [unknown.images for unknown in unknowns]
    total, done = sum(map(len, groups)), 0
    outputs: list[Outputs] = []
    with progress_bar("known and unknown images", total, show=progress) as bar:
        for images in groups:
            start = done
            outputs.append(
                predictor.outputs(
                    images,
                    on_done=lambda end, start=start: bar.update(  # type: ignore[misc]
                        start + end, f"{start + end:,} of {total:,} images"
                    ),
                )
            )
            done += len(images)
    detectors = Detectors(outputs[0].embedding, learned.labels, temperature or 1.0)
    scores = [detectors.scores(output) for output in outputs[1:]]
    own, others = scores[0], scores[-len(unknowns) :]
    calibrating = own if held_out is None else scores[1]
    rows: list[Detector] = []
    detections: list[Detection] = []
    for score in SCORES:
        threshold = threshold_keeping(calibrating[score])
        edges = _edges(own[score], [other[score] for other in others])
        of_score = [
            Detection(
                score=score,
                unknowns=unknown.name,
                images=len(unknown.images),
                auroc=auroc(own[score], other[score]),
                passing=passing_at(calibrating[score], other[score], seed=seed),
                roc=roc_points(own[score], other[score]),
                histogram=_histogram(other[score], edges),
            )
            for unknown, other in zip(unknowns, others, strict=True)
        ]
        rows.append(
            Detector(
                score=score,
                threshold=threshold,
                kept=passing(own[score], threshold),
                edges=tuple(map(float, edges)),
                histogram=_histogram(own[score], edges),
                mean_auroc=float(np.mean([row.auroc.value for row in of_score])),
            )
        )
        detections += of_score
    classes = predictor.card.classes
    examples = tuple(
        _example(unknown, output, classes, temperature or 1.0)
        for unknown, output in zip(unknowns, outputs[-len(unknowns) :], strict=True)
    )
    return Separation(tuple(rows), tuple(detections), examples)


def some(split: ImageSplit, most: int, seed: int) -> ImageSplit:
    """At most so many images of a split, drawn at random, in their order."""
    if len(split) <= most:
        return split
    return split.take(np.sort(np.random.default_rng(seed).permutation(len(split))[:most]))


def _example(
    unknown: UnknownImages, output: Outputs, classes: tuple[str, ...], temperature: float
) -> Example:
    logits = output.logits[:_EXAMPLES].astype(np.float64) / temperature
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    return Example(
        unknown.name,
        unknown.images[:_EXAMPLES],
        tuple(classes[k] for k in probs.argmax(axis=1)),
        tuple(map(float, probs.max(axis=1))),
    )


def _edges(
    known: npt.NDArray[np.float64], unknown: list[npt.NDArray[np.float64]]
) -> npt.NDArray[np.float64]:
    """Bins over all but the outermost values, which go into the first and the last."""
    low = min(float(np.quantile(values, 0.02)) for values in (known, *unknown))
    high = max(float(np.quantile(values, 0.98)) for values in (known, *unknown))
    # A set that is far away must not squeeze the known images into one bin.
    middle, spread = float(np.median(known)), float(np.ptp(np.quantile(known, [0.05, 0.95])))
    low, high = max(low, middle - 6 * spread), min(high, middle + 6 * spread)
    return np.linspace(low, high if high > low else low + 1, _BINS + 1)


def _histogram(
    values: npt.NDArray[np.float64], edges: npt.NDArray[np.float64]
) -> tuple[float, ...]:
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return tuple(map(float, counts / len(values)))
