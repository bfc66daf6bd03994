"""40 % of the training labels are wrong: one network and schedule, and what can be done."""

from __future__ import annotations

from ..config import AugmentConfig, MethodConfig, Recipe, SpeedNetConfig, SupervisedConfig
from ..config.noisy_labels import (
    BootstrappingConfig,
    CoTeachingConfig,
    GeneralizedCrossEntropyConfig,
)
from .fast import short_training


def noisy() -> Recipe:
    """40 % wrong labels under plain cross-entropy: what the methods are measured against."""
    return _noisy("noisy", SupervisedConfig())


def noisy_gce() -> Recipe:
    """The same under generalized cross-entropy, to which unlikely labels matter less."""
    return _noisy("noisy-gce", GeneralizedCrossEntropyConfig())


def noisy_bootstrapping() -> Recipe:
    """The same under bootstrapping, where the network's own answer is part of the target."""
    return _noisy("noisy-bootstrapping", BootstrappingConfig())


def noisy_co_teaching() -> Recipe:
    """Two such networks, each of which learns from what the other finds easy."""
    return _noisy("noisy-co-teaching", CoTeachingConfig(gradual_epochs=3), members=2)


def _noisy(name: str, method: MethodConfig, *, members: int = 1) -> Recipe:
    """The last weights are kept, so that no right label chooses anything."""
    recipe = Recipe(
        name=name,
        model=SpeedNetConfig(
            stem_filters=16, widths=(64, 128), convolutions=(1, 2), members=members
        ),
        augment=AugmentConfig(mirror="random"),
        method=method,
        train=short_training(8, batch_size=128, lr=0.05, sgd_lr=0.5, label_noise=0.4),
    )
    return recipe.changed({"train.label_smoothing": 0.0})
