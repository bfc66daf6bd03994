"""Networks of dense layers, and of attention between places."""

from __future__ import annotations

from typing import Any

from ..config import (
    AugmentConfig,
    CCTConfig,
    CoAtNetConfig,
    MixerConfig,
    ModelConfig,
    Recipe,
    ResidualMLPConfig,
    TrainConfig,
    ViTConfig,
)


def residual_mlp() -> Recipe:
    """Residual blocks on the flattened pixels (Gorishniy et al. 2021, arXiv:2106.11959)."""
    return _recipe("residual-mlp", ResidualMLPConfig(), num_epochs=20, batch_size=256)


def mlp_wide() -> Recipe:
    """The feedforward network for its best: wide, and long trained on shifted images."""
    model = ResidualMLPConfig(depth=3, width=768, hidden=1536, drop_path=0.1)
    return _recipe("mlp-wide", model, num_epochs=40, batch_size=256)


def mixer() -> Recipe:
    """Dense layers in turn across patches and across channels (arXiv:2105.01601)."""
    return _recipe("mixer", MixerConfig(), num_epochs=25)


def vit() -> Recipe:
    """A vision transformer for small images (arXiv:2010.11929), from scratch, whose tokens come
    from a few convolutions (arXiv:2106.14881): without them it needs far more images."""
    model = ViTConfig(embedding="convolutions", readout="mean", drop_path=0.1)
    return _recipe("vit", model, num_epochs=25)


def cct() -> Recipe:
    """A compact convolutional transformer (arXiv:2104.05704)."""
    return _recipe("cct", CCTConfig(drop_path=0.1), num_epochs=25)


def coatnet() -> Recipe:
    """Convolutions below, relative attention above (arXiv:2106.04803)."""
    return _recipe("coatnet", CoAtNetConfig(drop_path=0.1), num_epochs=20)


def _recipe(name: str, model: ModelConfig, *, num_epochs: int, **options: Any) -> Recipe:
    """A cosine schedule fixed beforehand, whose last weights are kept."""
    settings = {
        "batch_size": 128,
        "lr": 1e-3,
        "weight_decay": 0.05,
        "schedule": "cosine",
        "warmup_epochs": 0.1 * num_epochs,
        "label_smoothing": 0.1,
        "keep": "last",
        "precision": "auto",
    }
    return Recipe(
        name=name,
        model=model,
        augment=AugmentConfig(mirror="random", crop_padding=2),
        mirror_average=True,
        train=TrainConfig(num_epochs=num_epochs, **{**settings, **options}),
    )
