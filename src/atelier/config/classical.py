"""The options of classical models, which scikit-learn fits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from .strict import Cells, Strict

Positive = Annotated[float, Field(gt=0, le=1e6)]
Count = Annotated[int, Field(ge=1, le=100_000)]


class LogisticConfig(Strict):
    """Multinomial logistic regression on the pixels."""

    name: Literal["logistic"] = "logistic"
    inverse_penalty: Positive = 0.01
    """What the fit counts beside the squared weights: scikit-learn's C."""
    max_iterations: Count = 200
    """Of L-BFGS."""


class HOGSVMConfig(Strict):
    """Least-squares support vector machines on histograms of oriented gradients."""

    name: Literal["hog-svm"] = "hog-svm"
    cells: Cells = (4, 7)
    """Sides of a histogram's cell, in pixels; the histograms of several stand side by side."""
    orientations: Annotated[int, Field(ge=2, le=36)] = 9
    """Directions in half a turn."""
    components: Annotated[int, Field(ge=0, le=20_000)] = 2000
    """Training images by which a Gaussian kernel is approximated (Nystroem); 0 for none: a linear
    machine on the histograms."""
    gamma: Positive = 2.0
    """Of the kernel exp(-gamma d^2), of descriptors of length 1."""
    penalty: Positive = 0.03
    """L2, on the weights of the machines."""
    mirrored: bool = False
    """Learn from each training image's mirror image too."""


class RandomForestConfig(Strict):
    """A random forest on the pixels."""

    name: Literal["random-forest"] = "random-forest"
    trees: Annotated[int, Field(ge=1, le=5000)] = 100
    least_in_leaf: Count = 1
    """Training images that a leaf has at least."""
    max_depth: Annotated[int, Field(ge=0, le=256)] = 0
    """Of a tree; 0 for no limit."""
    smoothing: Positive = 0.1
    """Votes that each class has before the trees have theirs, so that no probability is 0."""


class HistGradientBoostingConfig(Strict):
    """Gradient boosting of trees on the pixels, which are put into bins."""

    name: Literal["hist-gradient-boosting"] = "hist-gradient-boosting"
    iterations: Count = 100
    """Each has a tree for every class."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.1
    """What each tree's answer is multiplied by."""
    leaves: Annotated[int, Field(ge=2, le=4096)] = 31
    """Of a tree, at most."""
    least_in_leaf: Count = 20
    """Training images that a leaf has at least."""
    feature_share: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Share of the pixels, drawn anew for each split, that it is chosen from."""
    penalty: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    """L2, on the leaves' values."""


class KNearestNeighborsConfig(Strict):
    """The labels of the nearest training images, by the Euclidean distance of the pixels."""

    name: Literal["k-nearest-neighbors"] = "k-nearest-neighbors"
    neighbors: Annotated[int, Field(ge=1, le=1000)] = 5
    """Training images that vote."""
    weights: Literal["uniform", "distance"] = "distance"
    """What a vote counts: 1, or the inverse of the distance."""
    smoothing: Positive = 0.1
    """Votes that each class has before the neighbors have theirs, so that no probability is 0."""
    mirrored: bool = False
    """Keep each training image's mirror image too."""


ClassicalConfig = (
    LogisticConfig
    | HOGSVMConfig
    | RandomForestConfig
    | HistGradientBoostingConfig
    | KNearestNeighborsConfig
)

WITHOUT_GRADIENT = frozenset({"random-forest", "hist-gradient-boosting", "k-nearest-neighbors"})
"""Names of models whose logits are steps, so that no gradient leads from them to the pixels."""

# What says on which images and labels to learn. `keep` chooses among epochs, of which there is one.
_OF_THE_DATA = frozenset(
    {
        "validation_share",
        "class_weights",
        "held_out",
        "label_noise",
        "noise_kind",
        "labels",
        "keep",
    }
)


def changed_settings(config: BaseModel, prefix: str) -> list[str]:
    """``PREFIX.field`` of each setting that is not at its default, and not of the data."""
    default = type(config)()
    return [
        f"{prefix}.{field}"
        for field in type(config).model_fields
        if field not in _OF_THE_DATA and getattr(config, field) != getattr(default, field)
    ]
