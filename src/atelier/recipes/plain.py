"""The reference networks."""

from __future__ import annotations

from ..config import (
    AugmentConfig,
    CNNConfig,
    HybridConfig,
    MLPConfig,
    Recipe,
    ResNetConfig,
    TrainConfig,
)


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
