"""A network for one domain, and its way to another whose labels nobody has."""

from __future__ import annotations

from ..config import AugmentConfig, Recipe, SpeedNetConfig
from ..config.domain_adaptation import SelfTrainingConfig
from .fast import short_training

_MODEL = SpeedNetConfig(stem="convolution", stem_filters=16, widths=(32, 64), convolutions=(1, 3))


def adapted_from() -> Recipe:
    """A small network on its own domain, the start of `domain-adapted`.

    Nothing changes its images, for a mirror or a turn would be another domain's. Its stem learns:
    one that is frozen after whitening could not follow.
    """
    return Recipe(
        name="domain-source",
        model=_MODEL,
        train=short_training(3, batch_size=256, lr=0.12, sgd_lr=1.0),
    )


def adapted() -> Recipe:
    """From `domain-source` (`--init RUN`) to another domain without its labels, by self-training;
    `--set method.target=DATA` names it. What is learned of the target are changed images, labeled
    as they were before the change."""
    return Recipe(
        name="domain-adapted",
        model=_MODEL,
        augment=AugmentConfig(
            rotation_degrees=15,
            translation=0.08,
            scaling=0.15,
            contrast=0.3,
            brightness=0.3,
            cutout=8,
        ),
        train=short_training(6, batch_size=256, lr=0.06, sgd_lr=0.5),
        method=SelfTrainingConfig(target="fashion-mnist:inverted"),
    )
