"""Embeddings for classes that are held out, by episodes and by plain classification.

The five held out are what ``numpy.random.default_rng(0).choice(10, 5, replace=False)`` draws, taken
as they came: Coat, Sneaker, Pullover, Dress and Sandal.
"""

from __future__ import annotations

from ..config import AugmentConfig, MethodConfig, Recipe, SpeedNetConfig, SupervisedConfig
from ..config.few_shot import PrototypicalConfig
from .fast import short_training

HELD_OUT = ("Pullover", "Dress", "Coat", "Sandal", "Sneaker")


def few_shot() -> Recipe:
    """A prototypical network on five classes of Fashion-MNIST; five others are held out."""
    # Five classes are few to learn from, so that their turned images are classes too.
    method = PrototypicalConfig(ways=10, queries=5, rotations=True)
    return _few_shot("few-shot", method, num_epochs=3, members=1)


def few_shot_plain() -> Recipe:
    """Six networks side by side that learn the same five classes as plain classifiers: what one
    makes of classes that it does not know is partly chance."""
    return _few_shot("few-shot-plain", SupervisedConfig(), num_epochs=2, members=6)


def _few_shot(name: str, method: MethodConfig, *, num_epochs: int, members: int) -> Recipe:
    """What lies where is kept: the maximum over all places tells known classes apart, and unknown
    ones worse than raw pixels do (LOG.md). Longer trainings were not tried."""
    model = SpeedNetConfig(
        stem_filters=16, widths=(32, 64), convolutions=(1, 2), pooling="none", members=members
    )
    recipe = Recipe(
        name=name,
        model=model,
        augment=AugmentConfig(mirror="random", crop_padding=1),
        mirror_average=True,
        method=method,
        train=short_training(num_epochs, batch_size=128, lr=0.05, sgd_lr=0.5, held_out=HELD_OUT),
    )
    return recipe.changed({"train.label_smoothing": 0.0})
