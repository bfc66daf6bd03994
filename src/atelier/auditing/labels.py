"""Which labels are likely wrong, which classes overlap, and which images are like no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..config import Recipe
from ..data.duplicates import Pairs, groups_of
from ..errors import DataError
from ..extras import require
from .collection import Collection
from .crossvalidation import OutOfFold, cross_validate
from .label_findings import LabelAudit, Outlier, Overlap, Suspect

FOLDS = 4
_FAR = 3.0  # times the interquartile range of the logarithms: Tukey's outer fence
_LEAST_OVERLAP = 2
_USUAL_IMAGES = 60_000  # what the recipes for arrays were made with
_MOST_EPOCHS_FACTOR = 8
_SMALLEST_BATCH = 32
_LEAST_STEPS = 20


def audit_labels(
    collection: Collection,
    copies: Pairs,
    source: str,
    *,
    recipe: Recipe,
    folds: int = FOLDS,
    keep: Path | None = None,
    device: str = "auto",
    progress: bool = True,
) -> LabelAudit:
    """Look for wrong labels by networks that have not seen the images that they judge.

    How many labels are wrong is estimated by confident learning (Northcutt, Jiang & Chuang 2021,
    "Confident Learning: Estimating Uncertainty in Dataset Labels"), which takes into account that
    some classes are answered with more confidence than others. Which they are is ranked by
    `suspicion`.

    Args:
        collection: all images; copies in it are dealt into the same fold.
        copies: of these.
        source: what the user calls the data set, for the file of corrections.
        recipe: of the networks.
        folds: how many networks.
        keep: a folder for what each network said; None keeps nothing.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        progress: show a bar on standard error.

    Raises:
        ConfigError: the recipe does not fit the images.
        DataError: there are too few images.
        ExtraError: cleanlab is not installed.
        StorageError: `keep` cannot be written.
    """
    require("cleanlab")  # before the minutes of training
    _refuse_rare(collection, folds)
    groups = groups_of(
        len(collection), zip(copies.first.tolist(), copies.second.tolist(), strict=True)
    )
    found = cross_validate(
        collection,
        recipe,
        folds=folds,
        groups=groups,
        keep=keep,
        device=device,
        progress=progress,
    )
    labels = collection.labels
    order = np.argsort(-suspicion(found.probs, labels), kind="stable")
    flagged = flagged_labels(found.probs, labels)
    suspects = [
        _suspect(collection, found, int(at), rank)
        for rank, at in enumerate(order[flagged[order]].tolist(), start=1)
    ]
    predicted = found.probs.argmax(axis=1)
    return LabelAudit(
        source=source,
        classes=collection.dataset.classes,
        recipe=recipe.name,
        folds=folds,
        seconds=found.seconds,
        agreement={
            part: float((predicted == labels)[collection.part == number].mean())
            for number, part in enumerate(collection.parts)
        },
        suspects=tuple(suspects),
        overlaps=tuple(class_overlaps(found.probs, labels, collection.dataset.classes)),
        outliers=tuple(_outliers(collection, found)),
        ranking=order,
    )


def for_few_images(recipe: Recipe, collection: Collection) -> Recipe:
    """A recipe for tens of thousands of images made to learn from fewer: more epochs, as the root
    of their number is smaller, of smaller batches. One that plans for itself comes back as it
    is."""
    count = len(collection.dataset.train)
    if recipe.plan or count >= _USUAL_IMAGES:
        return recipe
    factor = min((_USUAL_IMAGES / count) ** 0.5, _MOST_EPOCHS_FACTOR)
    batch = recipe.train.batch_size
    while batch > _SMALLEST_BATCH and count // batch < _LEAST_STEPS:
        batch //= 2
    return recipe.changed(
        {
            "train.num_epochs": round(recipe.train.num_epochs * factor),
            "train.warmup_epochs": recipe.train.warmup_epochs * factor,
            "train.batch_size": batch,
        }
    )


def suspicion(
    probs: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """(N,) how much speaks against each label: the loss, that is, how little confidence networks
    have in it. Of four rankings it finds most injected errors
    (benchmarks/results/label_errors.json).

    Args:
        probs: (N, K) out-of-fold probabilities.
        labels: (N,) given classes.
    """
    own = probs[np.arange(len(labels)), labels]
    loss: npt.NDArray[np.float64] = -np.log(np.maximum(own, 1e-12))
    return loss


def flagged_labels(
    probs: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """(N,) which labels confident learning takes for wrong, by the rate of noise between each two
    classes (cleanlab's ``prune_by_noise_rate``)."""
    found: npt.NDArray[np.bool_] = require("cleanlab.filter").find_label_issues(
        labels, probs, filter_by="prune_by_noise_rate", n_jobs=1
    )
    # It may flag what the networks answer as labeled, where their confidence is low.
    result: npt.NDArray[np.bool_] = found & (probs.argmax(axis=1) != labels)
    return result


def class_overlaps(
    probs: npt.NDArray[np.float64], labels: npt.NDArray[np.int64], classes: tuple[str, ...]
) -> list[Overlap]:
    """Pairs of classes whose images are taken for each other with the confidence that is usual for
    the class that they are taken for: the confident joint (Northcutt et al. 2021, section 3.1)."""
    joint = require("cleanlab.count").compute_confident_joint(labels, probs, calibrate=False)
    counts = np.bincount(labels, minlength=len(classes))
    found = [
        Overlap(
            classes[a],
            classes[b],
            int(joint[a, b]),
            int(joint[b, a]),
            float((joint[a, b] + joint[b, a]) / max(1, counts[a] + counts[b])),
        )
        for a in range(len(classes))
        for b in range(a + 1, len(classes))
        if joint[a, b] + joint[b, a] >= _LEAST_OVERLAP
    ]
    return sorted(found, key=lambda pair: (-pair.share, pair.first, pair.second))


def _suspect(collection: Collection, found: OutOfFold, at: int, rank: int) -> Suspect:
    classes, given = collection.dataset.classes, int(collection.labels[at])
    others = found.probs[at].copy()
    others[given] = -1
    suggested = int(others.argmax())
    return Suspect(
        rank=rank,
        image=collection.names[at],
        part=collection.parts[collection.part[at]],
        given=classes[given],
        suggested=classes[suggested],
        confidence_given=float(found.probs[at, given]),
        confidence_suggested=float(found.probs[at, suggested]),
        position=at,
        nearest_given=int(found.nearest[at, given]),
        nearest_suggested=int(found.nearest[at, suggested]),
    )


def _outliers(collection: Collection, found: OutOfFold) -> list[Outlier]:
    log = np.log(np.maximum(found.isolation, 1e-12))
    low, high = np.quantile(log, (0.25, 0.75))
    far = np.flatnonzero(log > high + _FAR * (high - low))
    far = far[np.argsort(-log[far], kind="stable")]
    return [
        Outlier(
            collection.names[at],
            collection.parts[collection.part[at]],
            collection.dataset.classes[collection.labels[at]],
            float(found.isolation[at]),
            at,
        )
        for at in far.tolist()
    ]


def _refuse_rare(collection: Collection, folds: int) -> None:
    """A class whose images are all held out cannot be told apart from an error."""
    learned = collection.part != (
        collection.parts.index("test") if "test" in collection.parts else -1
    )
    classes = collection.dataset.classes
    counts = np.bincount(collection.labels[learned], minlength=len(classes))
    rare = [f"{classes[at]} ({counts[at]})" for at in np.flatnonzero(counts < folds).tolist()]
    if rare:
        raise DataError(
            f"labels are judged by {folds} networks, and classes have fewer images than that",
            got=", ".join(rare[:5]),
            fix="Add images of these classes, or leave --labels out",
        )
