"""Named recipes: functions that return a `Recipe`, in one literal table.

Fashion-MNIST's shoes and bags nearly all face one way, so mirroring is a choice of each recipe and
never a default of the augmentation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .config import (
    AugmentConfig,
    CNNConfig,
    HybridConfig,
    MLPConfig,
    Recipe,
    ResNetConfig,
    TrainConfig,
)
from .errors import ConfigError, did_you_mean


def mlp() -> Recipe:
    """Two hidden layers on the flattened pixels: the baseline that knows nothing of images."""
    return Recipe(name="mlp", model=MLPConfig(), train=TrainConfig(num_epochs=12))


def cnn() -> Recipe:
    """The reference: what most tutorials build, trained as it deserves."""
    return Recipe(
        name="cnn",
        model=CNNConfig(batch_norm=True, dropout=0.25),
        augment=AugmentConfig(mirror="random"),
        mirror_average=True,
        train=TrainConfig(num_epochs=8),
    )


def hybrid() -> Recipe:
    """Convolutions find edges and textures, attention relates the parts of a garment."""
    return Recipe(
        name="hybrid",
        model=HybridConfig(dropout=0.25),
        augment=AugmentConfig(mirror="random"),
        mirror_average=True,
        train=TrainConfig(num_epochs=6),
    )


def resnet() -> Recipe:
    """A small pre-activation residual network (He et al. 2016, arXiv:1603.05027)."""
    return Recipe(
        name="resnet",
        model=ResNetConfig(),
        augment=AugmentConfig(mirror="random", crop_padding=2),
        mirror_average=True,
        train=TrainConfig(num_epochs=10, lr=4e-3),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "mlp": mlp,
    "cnn": cnn,
    "hybrid": hybrid,
    "resnet": resnet,
}


def get_recipe(
    name: str, *, data: str = "fashion-mnist", seed: int = 0, overrides: Iterable[str] = ()
) -> Recipe:
    """The recipe of that name for that data and seed, with overrides applied.

    Args:
        name: a key of `RECIPES`.
        data: a data set's name or folder.
        seed: of the split, the initial weights, the order of batches and the augmentation.
        overrides: ``path=value`` strings such as ``train.lr=0.01``.

    Raises:
        ConfigError: an unknown name (with the nearest one), key or value.
    """
    if name not in RECIPES:
        raise ConfigError("unknown recipe", got=name, fix=did_you_mean(name, RECIPES))
    recipe = RECIPES[name]().model_copy(update={"data": data})
    return recipe.with_overrides([f"seed={seed}", *overrides])
