"""Classical models, which scikit-learn fits: what a network has to be better than."""

from __future__ import annotations

from ..config import (
    HistGradientBoostingConfig,
    HOGSVMConfig,
    KNearestNeighborsConfig,
    LogisticConfig,
    RandomForestConfig,
    Recipe,
)


def logistic() -> Recipe:
    """Multinomial logistic regression on the pixels."""
    return Recipe(name="logistic", model=LogisticConfig())


def hog_svm() -> Recipe:
    """Support vector machines on histograms of oriented gradients (Dalal & Triggs 2005)."""
    return Recipe(name="hog-svm", model=HOGSVMConfig())


def random_forest() -> Recipe:
    """A random forest on the pixels (Breiman 2001)."""
    return Recipe(name="random-forest", model=RandomForestConfig())


def hist_gradient_boosting() -> Recipe:
    """Gradient-boosted trees on the pixels (Friedman 2001), as LightGBM grows them."""
    return Recipe(name="hist-gradient-boosting", model=HistGradientBoostingConfig())


def k_nearest_neighbors() -> Recipe:
    """The labels of the nearest training images (Cover & Hart 1967); it keeps them all."""
    return Recipe(name="k-nearest-neighbors", model=KNearestNeighborsConfig())
