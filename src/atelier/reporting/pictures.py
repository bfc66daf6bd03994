"""Every figure of a report with its title, its caption and its words for the blind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ..drawing.picture import Picture
from ..evaluation import Evaluation
from ..predictions import Predictions
from . import gallery, plots
from .subjects import DatasetLike, ReportEntry, predicted_files, predicted_images

_CURVES_CAPTION = (
    "Training figures are taken while the model learns, on augmented images and with dropout "
    "where the recipe has them, so they may lie below those of validation."
)


def training_picture(histories: Mapping[str, plots.History]) -> Picture:
    """The curves of one run or several, by name."""
    many = len(histories) > 1
    epochs = max(map(len, histories.values()))
    return Picture(
        "training_curves",
        "Training of all runs" if many else "Training",
        plots.training_curves(histories),
        f"Loss and accuracy of {', '.join(histories)} over {epochs} epochs",
        _CURVES_CAPTION,
    )


def per_class_picture(evaluations: Mapping[str, Evaluation]) -> Picture:
    """The F1 of each class, of one run or several, by name."""
    return Picture(
        "per_class_f1",
        "F1 of each class",
        plots.per_class_f1(evaluations),
        f"F1 of each class for {', '.join(evaluations)}; the table holds the figures",
        "The hardest classes are on top.",
    )


def shared_errors_picture(
    images: npt.NDArray[np.uint8], together: Predictions, files: Sequence[str] | None
) -> Picture:
    """Images that several runs get wrong in the same way.

    Args:
        images: (N, C, H, W) uint8, N at least 1.
        together: what the runs say of these N images on average.
        files: the name of each image's file, where it has one.
    """
    drawing = gallery.worst_errors(images, together, files)
    assert drawing is not None
    return Picture(
        "shared_errors",
        "Wrong in every run",
        drawing,
        "Images that every run gives the same wrong answer, each with that answer and its label",
        "Above each image what all runs call it and how sure they are on average; below it the "
        "label.",
        images.shape[1] == 3,
    )


def run_pictures(name: str, entry: ReportEntry, dataset: DatasetLike) -> list[Picture]:
    """The pictures of one run.

    Raises:
        RunError: the predictions are not of the images that this data set is judged by.
    """
    result, predictions = entry.evaluation, entry.predictions
    images = predicted_images(dataset, predictions, name)
    photos = images.shape[1] == 3
    top = "; ".join(
        f"{c.true} called {c.predicted} {c.count:,} times" for c in result.top_confusions[:3]
    )
    pictures = []
    if entry.run.history:
        pictures.append(training_picture({name: entry.run.history}))
    if entry.augmented is not None:
        pictures.append(
            Picture(
                "augmented_samples",
                "What training saw",
                gallery.augmented_samples(*entry.augmented),
                "Training images and several augmented versions of each",
                "Each draw is independent. An image whose class you could no longer tell is "
                "augmented too much.",
                photos,
            )
        )
    pictures += [
        Picture(
            "confusion_matrix",
            "Confusion matrix",
            plots.confusion_matrix(result.confusion, predictions.classes),
            f"Confusion matrix of {name}. Most frequent errors: {top or 'none'}",
            "Per cent of each true class, with the number of images below. The color grows with "
            "the square root, so that rare errors can be seen.",
        ),
        per_class_picture({name: result}),
        Picture(
            "sample_predictions",
            "Sample predictions",
            gallery.sample_predictions(images, predictions),
            f"Twelve random {result.images} with the three most probable classes of each",
            "Drawn at random, not chosen. The bar of the true class is blue; a dashed frame and a "
            "cross mark an error.",
            photos,
        ),
    ]
    files = predicted_files(dataset, predictions)
    worst = gallery.worst_errors(images, predictions, files)
    pairs = gallery.confusable_pairs(images, predictions)
    if worst is not None:
        pictures.append(
            Picture(
                "worst_errors",
                "Worst errors",
                worst,
                "The errors that the model was most sure of, each with what it was called",
                "Above each image what it was called and how sure the model was; below it the "
                "label. Some of these labels may be wrong.",
                photos,
            )
        )
    if pairs is not None:
        pictures.append(
            Picture(
                "confusable_pairs",
                "Confusable pairs",
                pairs,
                f"The most frequent confusions, with examples: {top}",
                "True class → predicted class, with the errors the model was most sure of.",
                photos,
            )
        )
    return pictures


def data_pictures(dataset: DatasetLike) -> list[Picture]:
    """The pictures of the data set."""
    part, judged = dataset.judged
    parts = {"training": dataset.train.labels}
    if dataset.validation is not None:
        parts["validation"] = dataset.validation.labels
    parts[part] = judged.labels
    ranges = ", ".join(
        f"{part} {counts.min():,} to {counts.max():,}"
        for part, own in parts.items()
        for counts in (np.bincount(own, minlength=len(dataset.classes)),)
    )
    return [
        Picture(
            "class_balance",
            "Class balance",
            plots.class_balance(parts, dataset.classes),
            f"Images per class: {ranges}",
            "A model that learns from unequal classes tends to favor the frequent ones.",
        ),
        Picture(
            "samples",
            "Samples of each class",
            gallery.samples_per_class(dataset.train.images, dataset.train.labels, dataset.classes),
            f"Random training images of {', '.join(dataset.classes[:25])}",
            "Drawn at random from the training images.",
            dataset.train.images.shape[1] == 3,
        ),
    ]
