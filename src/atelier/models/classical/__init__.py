"""Classical models as torch modules, so that every verb takes them as it takes a network.

`training/classical.py` has scikit-learn fit them. What their logits are: of `logistic` and
`hist-gradient-boosting` those of the softmax; of `random-forest` and `k-nearest-neighbors` the
logarithms of smoothed shares of votes, whose softmax is the shares; of `hog-svm` the decision
values of one machine for each class against the rest, which are no logits of anything until the
run's temperature makes them so.
"""

from __future__ import annotations

import math

from torch import nn

from ...config import (
    HistGradientBoostingConfig,
    HOGSVMConfig,
    KNearestNeighborsConfig,
    LogisticConfig,
    RandomForestConfig,
)
from ..classifier import Classifier, ImageShape
from .fitted import Pixels, as_it_is, num_fitted
from .hog import HOG
from .kernel import Nystroem
from .neighbors import Neighbors
from .trees import BoostedTrees, Forest, Trees

__all__ = [
    "HOG",
    "BoostedTrees",
    "Forest",
    "Neighbors",
    "Nystroem",
    "Pixels",
    "Trees",
    "build_hist_gradient_boosting",
    "build_hog_svm",
    "build_k_nearest_neighbors",
    "build_logistic",
    "build_random_forest",
    "num_fitted",
]


def build_logistic(
    config: LogisticConfig,  # noqa: ARG001 - how it is fitted, all of it
    image_shape: ImageShape,
    num_classes: int,
) -> Classifier:
    """A linear layer on the pixels (Cox 1958, "The regression analysis of binary sequences")."""
    return Classifier(nn.Flatten(), nn.Linear(math.prod(image_shape), num_classes))


def build_hog_svm(config: HOGSVMConfig, image_shape: ImageShape, num_classes: int) -> Classifier:
    """Histograms of oriented gradients, a Gaussian kernel, and a linear layer: a support vector
    machine (Cortes & Vapnik 1995, "Support-vector networks") for each class against the rest."""
    histograms = HOG(image_shape, config.cells, config.orientations)
    features: list[nn.Module] = [histograms]
    width = histograms.width
    if config.components:
        features.append(Nystroem(width, config.components, config.gamma))
        width = config.components
    return Classifier(nn.Sequential(*features), nn.Linear(width, num_classes))


def build_random_forest(
    config: RandomForestConfig, image_shape: ImageShape, num_classes: int
) -> Classifier:
    """A `Forest`, whose embedding is its logits."""
    return Classifier(Forest(image_shape[0], num_classes, config.smoothing), as_it_is(num_classes))


def build_hist_gradient_boosting(
    config: HistGradientBoostingConfig,  # noqa: ARG001 - how it is fitted, all of it
    image_shape: ImageShape,
    num_classes: int,
) -> Classifier:
    """`BoostedTrees`, whose embedding is their logits."""
    return Classifier(BoostedTrees(image_shape[0], num_classes), as_it_is(num_classes))


def build_k_nearest_neighbors(
    config: KNearestNeighborsConfig, image_shape: ImageShape, num_classes: int
) -> Classifier:
    """`Neighbors`, whose embedding is their logits."""
    neighbors = Neighbors(
        image_shape[0],
        math.prod(image_shape),
        num_classes,
        neighbors=config.neighbors,
        weights=config.weights,
        smoothing=config.smoothing,
    )
    return Classifier(neighbors, as_it_is(num_classes))
