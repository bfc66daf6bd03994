"""Further views of the images of a training."""

from __future__ import annotations

from ..config import AugmentConfig, Recipe
from ..data.augment import Augmenter
from .preparation import Prepared


def augmenter_of(
    config: AugmentConfig, prepared: Prepared, recipe: Recipe, num_images: int
) -> Augmenter:
    """One that does what `config` says to images of this training, with draws of its own.

    Args:
        config: what to do.
        prepared: whose background, normalization and growth it takes.
        recipe: of the run.
        num_images: how many there are.
    """
    first = prepared.batches.augment
    return Augmenter(
        config,
        first.fill.flatten(),
        num_images,
        recipe.seed,
        prepared.device,
        mean=prepared.card.mean,
        std=prepared.card.std,
        growth=first.growth,
    )
