"""A recipe: everything that decides a training run, as frozen and strict data."""

from .augmentation import AugmentConfig
from .networks import (
    CNNConfig,
    HybridConfig,
    MLPConfig,
    ModelConfig,
    ResNetConfig,
    SpeedNetConfig,
    TimmConfig,
)
from .photos import Columns, PhotosConfig
from .recipe import Recipe
from .training import TrainConfig

__all__ = [
    "AugmentConfig",
    "CNNConfig",
    "Columns",
    "HybridConfig",
    "MLPConfig",
    "ModelConfig",
    "PhotosConfig",
    "Recipe",
    "ResNetConfig",
    "SpeedNetConfig",
    "TimmConfig",
    "TrainConfig",
]
